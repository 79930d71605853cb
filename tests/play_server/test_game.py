"""A game as the server tells it: what the rules do not allow is refused and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.play_server.game import ServerGame
from hexpipe.play_server.protocol import BLUE, RED, Snapshot, TalkError, place_of

SIZE = 3


def game_of(*places: tuple[int, int], first: int = RED) -> ServerGame:
    game = ServerGame(SIZE, first)
    for q, r in places:
        player = game.to_move
        game.play(player, q, r, -player)
    return game


def snapshot_of(game: ServerGame, **other: Any) -> Snapshot:
    rows = [[0] * game.size for _ in range(game.size)]
    for ply, cell in enumerate(game.moves):
        q, r = place_of(cell, game.size, game.first)
        rows[r][q] = -game.first if ply % 2 else game.first
    to_move = game.winner or game.to_move
    facts = {"state": "full", "board": rows, "current_turn": to_move, "winner": game.winner, "current_game_number": 1}
    return Snapshot.model_validate({**facts, **other})


@pytest.mark.parametrize(("move", "words"), [
    ((BLUE, 1, 1, RED), "it is red's turn"),
    ((RED, 0, 0, BLUE), "the cell is taken"),
    ((RED, 3, 0, BLUE), "3x3 board"),
    ((RED, 1, 1, RED), "cannot be"),
    ((RED, 1, 1, None), "nobody is next"),
])  # fmt: skip
def test_moves_that_cannot_be(move: tuple[Any, ...], words: str) -> None:
    game = game_of((0, 0), (1, 2))
    with pytest.raises(TalkError, match=words):
        game.play(*move)


def test_no_move_follows_the_last() -> None:
    game = game_of((0, 0), (0, 2), (1, 0), (1, 2))
    game.play(RED, 2, 0, None)
    assert game.winner == RED
    with pytest.raises(TalkError, match="red has already won"):
        game.play(BLUE, 2, 2, RED)
    assert len(game.moves) == 5


@given(st.data())
def test_what_was_played_unseen_is_caught_up_with(data: st.DataObject) -> None:
    """Of any game, after any of its last two moves were missed; and from nothing where they are all there are."""
    size, first = data.draw(st.integers(3, 7)), data.draw(st.sampled_from([RED, BLUE]))
    cells = data.draw(st.permutations(range(size * size)))[: data.draw(st.integers(0, size * size))]
    game = ServerGame(size, first)
    for cell in cells:
        if game.winner is not None:
            break
        played = ServerGame.from_snapshot(snapshot_of(game), size) if len(game.moves) <= 2 else None
        assert played is None or (played.first, set(played.moves)) == (first, set(game.moves))
        before, player = list(game.moves), game.to_move
        game._add(cell)
        for missed in range(min(2, len(before)) + 1):
            behind = ServerGame(size, first)
            for earlier in game.moves[: len(game.moves) - missed]:
                behind._add(earlier)
            behind.catch_up(snapshot_of(game))
            assert behind.moves == game.moves
        assert game.winner in (None, player)


@pytest.mark.parametrize(("changed", "words"), [
    ({"board": None}, "no 3x3 board"),
    ({"board": [[-1, 0, 0], [0, 0, 0]]}, "no 3x3 board"),
    ({"board": [[-1, 0, 0], [0, 0], [0, 1, 0]]}, "no 3x3 board"),
    ({"board": [[0, 0, 0], [0, 0, 0], [0, 1, 0]]}, "other stones"),
    ({"board": [[1, 0, 0], [0, 0, 0], [0, 1, 0]]}, "other stones"),
    ({"board": [[-1, 1, 0], [0, 0, 0], [0, 1, 0]]}, "more than can"),
    ({"board": [[-1, -1, -1], [1, 0, 0], [0, 1, 0]]}, "more than can"),
    ({"current_turn": BLUE}, "another player"),
    ({"current_turn": None}, "another player"),
    ({"winner": RED}, "another player"),
])  # fmt: skip
def test_states_that_cannot_be(changed: dict[str, Any], words: str) -> None:
    game = game_of((0, 0), (1, 2))
    with pytest.raises(TalkError, match=words):
        game.catch_up(snapshot_of(game, **changed))


def test_a_game_begun_unseen_says_whose_turn_it_is() -> None:
    game = game_of((0, 0))
    for changed in ({"current_turn": None}, {"current_game_number": None}):
        with pytest.raises(TalkError, match="whose turn"):
            ServerGame.from_snapshot(snapshot_of(game, **changed), SIZE)
