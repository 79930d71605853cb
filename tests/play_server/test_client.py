"""The client against a server that keeps to its protocol, loses connections, contradicts itself or talks nonsense."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

pytest.importorskip("websockets", reason="hexpipe[play-server] is not installed")

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.thinker import RandomThinker
from hexpipe.errors import InferenceError, UsageError
from hexpipe.games.hex import Hex
from hexpipe.games.set_up import Position, checked_position
from hexpipe.play_server import client, protocol
from hexpipe.play_server.client import GameResult, play_games
from tests.play_server.fake_server import BLUE, RED, FakeServer, Talk, whole_match
from tests.refusals import refused

SIZE = 3


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WAITS", (0.0, 0.01, 0.02))


class Listener:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.states: list[str] = []
        self.results: list[GameResult] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def goes_on(self, state: str) -> None:
        self.states.append(state)

    def ended(self, result: GameResult) -> None:
        self.results.append(result)

    @property
    def outcomes(self) -> list[str]:
        return [result.result for result in self.results]


class Careful(RandomThinker):
    """Thinks about legal positions of the right player alone, and notes them."""

    def __init__(self, seed: int = 0, before: Callable[[], object] = lambda: None) -> None:
        super().__init__(seed)
        self.asked: list[tuple[int, ...]] = []
        self._before, self._rules = before, Hex(SIZE)

    def prepare(self, board_size: int, swap: bool) -> None:
        super().prepare(board_size, swap)
        self._rules = Hex(board_size)
        assert not swap

    def think(self, position: Position, seconds: float | None = None) -> Analysis:
        self._before()
        checked_position(self._rules, position)
        self.asked.append(tuple(position))  # type: ignore[arg-type]
        return super().think(position, seconds)


def play(server: FakeServer, thinker: Careful | None = None, **options: Any) -> Listener:
    listener = Listener()
    play_games(server.address, thinker or Careful(), listener, **{"size": SIZE, **options})
    return listener


def first_moves(talk: Talk, moves: int = 1) -> None:
    """Join as red, and play so many moves of the client's with an answer to each."""
    talk.join()
    talk.start()
    for _ in range(moves):
        talk.take()
        talk.answer()


# games as they should be


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("player", "first"), [(RED, RED), (RED, BLUE), (BLUE, RED), (BLUE, BLUE)])
def test_a_game_of_either_colour_whoever_begins(player: int, first: int, seed: int) -> None:
    winner = 0

    def script(talk: Talk) -> None:
        nonlocal winner
        talk.join(player)
        if player == RED:
            talk.say("waiting_for_opponent", slot_id=2, board_size=5)
        talk.start(first)
        talk.say("chat", player=-player, message="hello")
        winner = talk.play_out(first)
        talk.end(winner)

    with FakeServer(script, size=5) as server:
        listener = play(server, Careful(seed), size=5, name="mine")
    (result,) = listener.results
    assert result.result == ("won" if winner == player else "lost")
    assert (result.first, result.side, result.opponent) == (
        player == first,
        {RED: "red", BLUE: "blue"}[player],
        "somebody",
    )
    assert (result.reason, result.size, result.slot) == ("connected_sides", 5, 2)
    assert len(set(result.moves)) == len(result.moves) >= 5
    query = {"board_size": "5", "series_length": "1", "model_name": "hexpipe", "username": "mine"}
    assert server.asked == [("/ws/matchmake", query)]
    assert listener.notes == []


def test_so_many_games_in_matches_of_one() -> None:
    with FakeServer(whole_match, whole_match, whole_match) as server:
        assert len(play(server, games=3).results) == 3


def test_a_match_of_several_games_changes_who_begins_and_is_played_to_its_end() -> None:
    def script(talk: Talk) -> None:
        talk.join(series_length=3)
        for number, first in ((1, RED), (2, BLUE), (3, RED)):
            talk.start(first, number)
            winner = talk.play_out(first)
            talk.say("series_update", current_game_number=number + 1)
        talk.end(winner)

    with FakeServer(script) as server:
        listener = play(server, games=1, series=3)
    assert [result.first for result in listener.results] == [True, False, True]
    assert server.asked[0][1]["series_length"] == "3"


def test_an_opponent_who_resigns_or_leaves() -> None:
    def resigns(talk: Talk) -> None:
        first_moves(talk)
        talk.hear()
        talk.say("game_over", winner=RED, reason="resignation")
        talk.say("opponent_disconnected", reason="waiting_for_reconnect")
        talk.wait()

    def leaves(talk: Talk) -> None:
        first_moves(talk)
        talk.say("opponent_disconnected", reason="waiting_for_reconnect", reconnect_timeout_seconds=30)
        talk.say("opponent_disconnected", reason="reconnect_timeout", reconnect_timeout_seconds=30)
        talk.wait()

    def another_match(talk: Talk) -> None:
        first_moves(talk)
        talk.say("opponent_left_slot", message="gone")
        talk.wait()

    with FakeServer(resigns, leaves, another_match) as server:
        listener = play(server, games=3)
    assert listener.outcomes == ["won", "unfinished", "unfinished"]
    assert [result.reason for result in listener.results] == ["resignation", "the opponent left", "the opponent left"]


def test_a_move_is_sent_again_where_the_opponent_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody says that the opponent is back."""
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.1)
    sent = []

    def script(talk: Talk) -> None:
        talk.join()
        talk.start()
        for told in (True, False):
            sent.append(talk.hear())
            talk.say("move_rejected", reason=protocol.PAUSED)
            if told:
                talk.say("opponent_disconnected", reason="waiting_for_reconnect")
                talk.say("opponent_reconnected", player=BLUE)
        talk.end(talk.play_out())

    with FakeServer(script) as server:
        listener = play(server)
    assert [message["type"] for message in sent] == ["move", "move"]
    assert len(listener.results) == 1
    assert listener.notes == []


# connections that are lost


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"ws://127.0.0.1:{held.getsockname()[1]}"


def test_a_server_that_is_down_at_the_start() -> None:
    listener = Listener()
    with refused(UsageError, "after 4 failures in a row", kind="access"):
        play_games(closed_port(), Careful(), listener, size=SIZE)
    assert [note.rsplit(" ", 2)[1] for note in listener.notes] == ["0", "0.01", "0.02"], "the waits grow"
    assert listener.results == []


def test_a_server_that_is_up_a_little_later() -> None:
    busy = HTTPStatus.SERVICE_UNAVAILABLE
    with FakeServer(busy, busy, whole_match) as server:
        listener = play(server)
    assert len(listener.results) == 1
    assert len(listener.notes) == 2


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012])
@pytest.mark.parametrize("after", ["our move", "their move"])
def test_a_match_is_taken_up_where_the_server_has_it(after: str, code: int) -> None:
    """Kicked at whatever place; the server took our last move or did not, the opponent answered or did not."""
    board: dict[tuple[int, int], int] = {}

    def begins(talk: Talk) -> None:
        first_moves(talk)
        if after == "our move":
            talk.take()
        board.update(talk.board)
        talk.kick(code)

    def goes_on(talk: Talk) -> None:
        to_move = BLUE if after == "our move" else RED
        talk.take_back(board, RED, to_move)
        talk.end(talk.play_out(to_move))

    with FakeServer(begins, goes_on, size=5) as server:
        listener = play(server, thinker := Careful(3), size=5)
    assert server.asked[1] == ("/ws/reconnect", {"slot_id": "2", "token": "secret"})
    (result,) = listener.results
    assert result.result in ("won", "lost")
    assert len(set(result.moves)) == len(result.moves)
    assert any("back in the match" in note for note in listener.notes)
    assert [len(moves) for moves in thinker.asked] == list(range(0, 2 * len(thinker.asked), 2)), "each position once"


def test_a_move_that_the_server_did_not_get_is_thought_of_again() -> None:
    board: dict[tuple[int, int], int] = {}

    def begins(talk: Talk) -> None:
        first_moves(talk)
        talk.hear()
        board.update(talk.board)
        talk.kick()

    def goes_on(talk: Talk) -> None:
        talk.take_back(board, RED, RED)
        talk.say("opponent_reconnected", player=BLUE)
        talk.end(talk.play_out())

    with FakeServer(begins, goes_on) as server:
        assert len(play(server).results) == 1


def test_what_was_played_while_we_were_away_is_seen() -> None:
    board: dict[tuple[int, int], int] = {}

    def begins(talk: Talk) -> None:
        first_moves(talk)
        message = talk.hear()["payload"]
        talk.board[message["q"], message["r"]] = RED
        board.update(talk.board)
        talk.kick()

    def goes_on(talk: Talk) -> None:
        free = [(q, r) for q in range(5) for r in range(5) if (q, r) not in board]
        board[free[0]] = BLUE
        talk.take_back(board, RED, RED)
        talk.end(talk.play_out())

    with FakeServer(begins, goes_on, size=5) as server:
        listener = play(server, size=5)
    (result,) = listener.results
    assert len(result.moves) >= 5


def test_connections_lost_before_the_game_and_between_games() -> None:
    """Joined but not begun; and then the second game of a match begun, and won, unseen."""

    def joins(talk: Talk) -> None:
        talk.join(series_length=3)
        talk.say("waiting_for_opponent")
        talk.kick()

    def waits(talk: Talk) -> None:
        talk.say("reconnected", slot_id=2, player=RED, board_size=3, slot={"state": "waiting", "board": None})
        talk.say("waiting_for_opponent")
        talk.kick()

    def begun(talk: Talk) -> None:
        talk.take_back({}, RED, RED, player_usernames={"1": "late"})
        talk.take()
        talk.answer()
        talk.hear()
        talk.kick()

    def second(talk: Talk) -> None:
        talk.take_back({(1, 1): BLUE}, RED, RED, current_game_number=2, player_1_wins=1)
        talk.take()
        talk.kick()

    def over(talk: Talk) -> None:
        board = {(q, 0): BLUE for q in range(3)}
        talk.take_back(board, RED, None, current_game_number=3, player_1_wins=2, series_winner=RED, winner=RED)
        talk.wait()

    with FakeServer(joins, waits, begun, second, over) as server:
        listener = play(server, series=3)
    assert listener.outcomes == ["won", "won"]
    assert [result.first for result in listener.results] == [True, False]
    assert {result.opponent for result in listener.results} == {"late"}
    assert {result.reason for result in listener.results} == {"ended while the connection was lost"}


def test_a_game_that_ended_unseen() -> None:
    board: dict[tuple[int, int], int] = {}

    def begins(talk: Talk) -> None:
        talk.join()
        talk.start()
        to_move = RED
        while not (talk.take() if to_move == RED else talk.answer()):
            to_move = -to_move
        board.update(talk.board)
        talk.kick()

    def over(talk: Talk) -> None:
        winner = RED if len(board) % 2 else BLUE
        talk.take_back(board, RED, winner, winner=winner, series_winner=winner, player_1_wins=1)
        talk.wait()

    with FakeServer(begins, over) as server:
        listener = play(server)
    assert listener.outcomes in (["won"], ["lost"])


@pytest.mark.parametrize("why", ["Slot is not available for reconnect", "Invalid reconnect token"])
def test_a_match_that_the_server_does_not_let_us_back_into_is_lost_and_the_next_one_begins(why: str) -> None:
    def begins(talk: Talk) -> None:
        first_moves(talk)
        talk.kick()

    with FakeServer(begins, lambda talk: talk.refuse(why), whole_match) as server:
        listener = play(server, games=2)
    assert listener.outcomes[0] == "unfinished"
    assert why in listener.results[0].reason
    assert listener.outcomes[1] in ("won", "lost")


def test_a_token_of_the_servers_is_taken_when_it_lets_us_back() -> None:
    board: dict[tuple[int, int], int] = {}

    def begins(talk: Talk) -> None:
        first_moves(talk)
        board.update(talk.board)
        talk.kick()

    def again(talk: Talk) -> None:
        talk.board = board
        slot = talk.snapshot(RED)
        talk.say("reconnected", slot_id=2, player=RED, board_size=3, slot=slot, reconnect_token="second")
        talk.take()
        talk.kick()

    def ends(talk: Talk) -> None:
        talk.take_back(board, RED, BLUE)
        talk.end(talk.play_out(BLUE))

    with FakeServer(begins, again, ends) as server:
        play(server)
    assert [query.get("token") for _, query in server.asked] == [None, "secret", "second"]


def test_kicked_again_and_again_it_is_given_up() -> None:
    def begins(talk: Talk) -> None:
        first_moves(talk)
        talk.kick(reason="no more")

    listener = Listener()
    with (
        FakeServer(begins, *[lambda talk: talk.kick()] * 3) as server,
        refused(UsageError, "4 failures in a row", "1008", kind="access"),
    ):
        play_games(server.address, Careful(), listener, size=SIZE)
    assert listener.outcomes == ["unfinished"]
    assert "no more" in listener.notes[0]


# what a server refuses


@pytest.mark.parametrize("why", ["Unsupported board size", "Too many connections from your IP"])
def test_what_the_server_refuses_ends_it_at_once(why: str) -> None:
    with FakeServer(lambda talk: talk.refuse(why)) as server, refused(UsageError, why, "3x3", kind="foreign"):
        play(server)


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN])
def test_what_is_no_game_server(status: HTTPStatus) -> None:
    with FakeServer(status) as server, refused(UsageError, str(status.value), kind="foreign"):
        play(server)


def test_another_protocol_or_board_than_asked_for() -> None:
    with FakeServer(lambda talk: talk.join(protocol_version=2)) as server, refused(UsageError, kind="version"):
        play(server)
    with FakeServer(lambda talk: talk.join(board_size=9)) as server, refused(UsageError, "--size 9", kind="board"):
        play(server)


def test_a_full_server_is_asked_again_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FULL_SECONDS", 0.01)
    full = [lambda talk: talk.refuse("No available slot", 1000)] * 6
    with FakeServer(*full, whole_match) as server:
        listener = play(server)
    assert len(listener.results) == 1
    assert sum("waiting for a place" in state for state in listener.states) == 6


# a server or an opponent that breaks the rules


def contradicts(talk: Talk) -> None:
    first_moves(talk)
    talk.hear()


def raw(text: str | bytes) -> Callable[[Talk], None]:
    def say(talk: Talk) -> None:
        contradicts(talk)
        talk.connection.send(text)

    return say


def said(kind: str, **payload: Any) -> Callable[[Talk], None]:
    return raw(json.dumps({"type": kind, "payload": payload}))


@pytest.mark.parametrize(("script", "words"), [
    (said("move_rejected", reason="Cell already occupied"), "rejects our move: Cell already occupied"),
    (said("move", player=BLUE, q=0, r=0, next_turn=RED), "it is red's turn"),
    (said("move", player=BLUE, q=20, r=0, next_turn=RED), "column 20"),
    (said("move", player=RED, q=2, r=2, next_turn=BLUE), "taken"),
    (said("game_over", winner=BLUE, reason="connected_sides"), "do not connect"),
    (said("game_start", board_size=3, first_turn=RED, current_game_number=2), "in the middle"),
    (said("error", message="Message too large"), "Message too large"),
    (raw("hello"), "no message of its protocol"),
    (raw("[" * 10_000), "no message of its protocol"),
    (raw(b"\x00\x01"), "no message of its protocol"),
    (said("move", player=BLUE, q=0), "no message of its protocol"),
    (raw(json.dumps({"type": "chat", "payload": {"message": "x" * protocol.LONGEST_MESSAGE}})), "1009"),
])  # fmt: skip
def test_what_cannot_be_has_the_servers_state_asked_for(script: Callable[[Talk], None], words: str) -> None:
    """The match is taken up again, and played to its end."""
    board: dict[tuple[int, int], int] = {}

    def begins(talk: Talk) -> None:
        script(talk)
        board.update(talk.board)
        talk.wait()

    def goes_on(talk: Talk) -> None:
        talk.take_back(board, RED, RED)
        talk.end(talk.play_out())

    with FakeServer(begins, goes_on) as server:
        listener = play(server)
    assert listener.outcomes in (["won"], ["lost"])
    assert words in listener.notes[0]


@pytest.mark.parametrize(("script", "words"), [
    (lambda talk: talk.start(), "begins with another message"),
    (lambda talk: (talk.join(), talk.say("move", player=BLUE, q=0, r=0, next_turn=RED)), "there is no game"),
    (lambda talk: (talk.join(), talk.start(board_size=5)), "another board"),
    (lambda talk: (talk.join(), talk.start(BLUE), talk.say("move", player=RED, q=0, r=0, next_turn=BLUE)), "not send"),
])  # fmt: skip
def test_nonsense_from_the_start_is_given_up_after_a_few_tries(script: Callable[[Talk], object], words: str) -> None:
    def nonsense(talk: Talk) -> None:
        script(talk)
        talk.wait()

    with FakeServer(*[nonsense] * 4) as server, refused(UsageError, "4 failures", kind="access") as caught:
        play(server)
    assert words in str(caught.value) or "begins with another" in str(caught.value)


def test_a_move_that_is_rejected_again_is_not_replaced_by_another() -> None:
    sent = []

    def rejects(talk: Talk) -> None:
        sent.append(talk.hear())
        talk.say("move_rejected", reason="Cell already occupied")
        talk.wait()

    def begins(talk: Talk) -> None:
        talk.join()
        talk.start()
        rejects(talk)

    def again(talk: Talk) -> None:
        talk.take_back({}, RED, RED)
        rejects(talk)

    listener = Listener()
    with FakeServer(begins, again, again, again) as server, refused(UsageError, "Cell already occupied"):
        play_games(server.address, thinker := Careful(), listener, size=SIZE)
    assert len(sent) == 4
    assert len({json.dumps(message) for message in sent}) == 1
    assert thinker.asked == [()]
    assert listener.outcomes == ["unfinished"]


@pytest.mark.parametrize("changed", [
    {"slot_id": 3}, {"player": BLUE}, {"board_size": 5},
])  # fmt: skip
def test_another_place_than_ours(changed: dict[str, Any]) -> None:
    def begins(talk: Talk) -> None:
        first_moves(talk)
        talk.kick()

    def another(talk: Talk) -> None:
        facts = {"slot_id": 2, "player": RED, "board_size": 3, "slot": talk.snapshot(RED), **changed}
        talk.say("reconnected", **facts)
        talk.wait()

    with FakeServer(begins, *[another] * 3) as server, refused(UsageError, "another place"):
        play(server)


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.2)

    def silent(talk: Talk) -> None:
        talk.wait()

    with FakeServer(*[silent] * 4) as server, refused(UsageError, "not answered within 0.2 s"):
        play(server)


# when it is our fault


def test_a_net_that_fails_resigns_and_plays_nothing_in_its_stead() -> None:
    heard = []

    def fails() -> None:
        raise InferenceError("the net is gone")

    def script(talk: Talk) -> None:
        talk.join()
        talk.start()
        heard.extend(talk.wait())

    listener = Listener()
    with FakeServer(script) as server, pytest.raises(InferenceError):
        play_games(server.address, Careful(before=fails), listener, size=SIZE)
    assert heard == [{"type": "resign", "payload": {}}]
    assert listener.outcomes == ["unfinished"]


def test_an_interrupt_resigns() -> None:
    heard = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    def script(talk: Talk) -> None:
        talk.join()
        talk.start()
        heard.extend(talk.wait())

    listener = Listener()
    with FakeServer(script) as server, pytest.raises(KeyboardInterrupt):
        play_games(server.address, Careful(before=interrupt), listener, size=SIZE, games=0)
    assert heard == [{"type": "resign", "payload": {}}]
    assert [result.reason for result in listener.results] == ["interrupted"]


def test_the_connection_lives_while_we_think() -> None:
    """Chatter during a search neither fills anything nor is lost on the way."""

    def chatty(talk: Talk) -> None:
        talk.join()
        talk.start()

        def chat() -> None:
            for number in range(200):
                talk.say("chat", player=BLUE, message=f"{number} " * 50)

        chatter = threading.Thread(target=chat)
        chatter.start()
        chatter.join(60)
        assert talk.connection.ping().wait(60), "nobody answers"
        talk.end(talk.play_out())

    with FakeServer(chatty) as server:
        listener = play(server, Careful(before=lambda: time.sleep(0.3)))
    assert len(listener.results) == 1
