"""Messages, addresses and cells of the game server; who has won there is who has won here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.errors import SettingsError
from hexpipe.play_server import protocol
from hexpipe.play_server.game import ServerGame
from hexpipe.play_server.protocol import BLUE, RED, TalkError, cell_of, place_of, read_message, server_address
from tests.play_server.fake_server import connected
from tests.refusals import refused

JOINED = {
    "slot_id": 1, "player": -1, "color": "red", "board_size": 7, "series_length": 1, "reconnect_token": "UvaZ-p_2",
    "protocol_version": 1,
}  # fmt: skip
MOVE = {"player": -1, "q": 3, "r": 1, "next_turn": 1}


def message(kind: str, payload: Any) -> str:
    return json.dumps({"type": kind, "payload": payload})


@given(st.data())
def test_places_and_cells(data: st.DataObject) -> None:
    size, first = data.draw(st.integers(1, 27)), data.draw(st.sampled_from([RED, BLUE]))
    q, r = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    cell = cell_of(q, r, size, first)
    assert place_of(cell, size, first) == (q, r)
    assert cell_of(q, r, size, first) == cell_of(r, q, size, -first)


def test_the_edges_of_whoever_begins_are_top_and_bottom() -> None:
    assert [cell_of(q, 2, 5, RED) for q in range(5)] == [2, 7, 12, 17, 22], "a row of red's is a column here"
    assert [cell_of(2, r, 5, BLUE) for r in range(5)] == [2, 7, 12, 17, 22]


@given(st.data())
def test_the_same_player_wins_by_the_servers_rules(data: st.DataObject) -> None:
    """Against a slow search for a chain in the server's own columns and rows."""
    size, first = data.draw(st.integers(3, 9)), data.draw(st.sampled_from([RED, BLUE]))
    places = data.draw(st.permutations([(q, r) for q in range(size) for r in range(size)]))
    game, stones = ServerGame(size, first), {RED: set[tuple[int, int]](), BLUE: set[tuple[int, int]]()}
    player = first
    for q, r in places:
        stones[player].add((q, r))
        won = connected(stones[player], player, size)
        game.play(player, q, r, None if won else -player)
        assert game.winner == (player if won else None)
        if won:
            return
        player = -player
    raise AssertionError("a full board without a winner")


@pytest.mark.parametrize(("kind", "payload", "wanted"), [
    ("joined", JOINED, protocol.Joined),
    ("move", MOVE, protocol.Move),
    ("move", {**MOVE, "next_turn": None}, protocol.Move),
    ("move", {**MOVE, "q": True}, protocol.Move),
    ("error", {"message": "No available slot"}, protocol.ServerError),
    ("game_over", {"winner": 1, "reason": "resignation"}, protocol.GameOver),
    ("opponent_left_slot", {"message": "gone"}, protocol.OpponentLeft),
])  # fmt: skip
def test_messages_of_the_server(kind: str, payload: dict[str, Any], wanted: type) -> None:
    assert type(read_message(message(kind, payload))) is wanted


def test_what_is_not_used_is_passed_over() -> None:
    assert read_message(message("chat", {"player": 1, "message": "hello"})) is None
    assert read_message(message("of later times", {"x": [1, {"y": 2}]})) is None
    read = read_message(message("move", {**MOVE, "clock": 5}))
    assert isinstance(read, protocol.Move)
    assert (read.q, read.r) == (3, 1)
    read = read_message(message("move", {**MOVE, "q": True}))
    assert isinstance(read, protocol.Move)
    assert (read.q, type(read.q)) == (1, int)


@pytest.mark.parametrize("text", [
    "", "hello", "{", "[]", "null", "5", '"move"', b"\xff\xfe", "NaN",
    "[" * 50_000, '{"type": "move", "payload": ' + '{"a": ' * 20_000,
    '{"type": 5, "payload": {}}', '{"type": "move"}', '{"type": "move", "payload": []}', '{"payload": {}}',
    '{"type": "move", "payload": null}',
    json.dumps({"type": "x" * 101}),
    *(message("move", {**MOVE, **wrong}) for wrong in (
        {"q": 27}, {"q": -1}, {"q": "3"}, {"q": 3.0}, {"q": 10**40}, {"q": None}, {"player": 0}, {"player": "-1"},
        {"next_turn": 2},
    )),
    message("move", {name: value for name, value in MOVE.items() if name != "next_turn"}),
    '{"type": "move", "payload": {"player": -1, "q": NaN, "r": 1, "next_turn": 1}}',
    message("joined", {**JOINED, "reconnect_token": "x" * 201}),
    message("joined", {**JOINED, "board_size": 28}),
    message("error", {"message": "x" * 501}),
    message("reconnected", {**JOINED, "slot": {"state": "full", "board": [[0] * 28]}}),
    message("reconnected", {**JOINED, "slot": {"state": "full", "board": [[0]] * 28}}),
    message("reconnected", {**JOINED, "slot": {"state": "full", "board": [[2]]}}),
    message("reconnected", {**JOINED, "slot": {"state": "full", "player_usernames": {str(n): "" for n in range(5)}}}),
])  # fmt: skip
def test_what_is_no_message(text: str | bytes) -> None:
    with pytest.raises(TalkError) as caught:
        read_message(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = ("joined", "reconnected", "game_start", "move", "move_rejected", "game_over", "error", "opponent_disconnected")
PARTS = ("player", "q", "r", "next_turn", "slot", "board", "slot_id", "reason", "winner", "board_size", "message")


@given(st.sampled_from(KINDS) | st.text(max_size=5), JSON | st.dictionaries(st.sampled_from(PARTS), JSON))
def test_any_json_is_a_message_or_refused(kind: str, payload: Any) -> None:
    try:
        read = read_message(json.dumps({"type": kind, "payload": payload}))
    except TalkError:
        return
    assert read is None or isinstance(read, protocol.Message)


@given(st.text() | st.binary())
def test_any_text_is_a_message_or_refused(text: str | bytes) -> None:
    try:
        read_message(text)
    except TalkError:
        return


@pytest.mark.parametrize(("text", "address"), [
    ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000"),
    ("wss://hex.example/", "wss://hex.example"),
    ("https://hex.example/games/", "wss://hex.example/games"),
    ("http://[::1]:8000", "ws://[::1]:8000"),
])  # fmt: skip
def test_addresses_of_servers(text: str, address: str) -> None:
    assert server_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:8000", "ftp://a", "ws://", "ws://:80", "ws://a:x", "ws://a:99999", "ws://[::1", "ws://a?b",
     "ws://a/#c"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with refused(SettingsError, kind="syntax"):
        server_address(text)


def test_addresses_of_matches() -> None:
    joining = protocol.joining_address("ws://a:1", 7, 3, "A & B")
    assert joining == "ws://a:1/ws/matchmake?board_size=7&series_length=3&model_name=hexpipe&username=A+%26+B"
    assert "username" not in protocol.joining_address("ws://a:1", 7, 1, "")
    assert protocol.returning_address("ws://a:1", 3, "x&y") == "ws://a:1/ws/reconnect?slot_id=3&token=x%26y"
