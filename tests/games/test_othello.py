"""Othello against published counts, a second program, and its words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.config import GameSettings, load_settings
from hexpipe.errors import IllegalMoveError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import OwnStates
from hexpipe.games.othello.rules import Othello
from hexpipe.games.playouts import random_playouts
from tests.games.othello import Othello as PlainOthello
from tests.refusals import refused

PERFT = {
    8: (4, 12, 56, 244, 1396, 8200, 55092, 390216),
    6: (4, 12, 56, 244, 1364, 7604, 47740, 308716),
    4: (4, 12, 44, 128, 424, 1256, 3624, 9116),
}
"""Lines of play of so many plies, a pass being one; of 8x8 they are in many programs' tests."""


def othello(size: int = 8) -> Othello:
    game = make_game(load_settings("quick", {"game.name": "othello", "game.board_size": size}).game)
    assert isinstance(game, Othello)
    return game


def lines(game: Othello, plies: int) -> list[int]:
    """How many lines of play there are of 1, 2, ... plies."""
    states, counts = game.new_states(1), []
    for _ in range(plies):
        rows = np.arange(len(states.ply), dtype=np.int32)
        mask = np.zeros((len(rows), game.num_actions), np.bool_)
        game.legal_mask(states, rows, mask)
        parents, actions = (part.astype(np.int32) for part in np.nonzero(mask))
        after: OwnStates = game.new_states(len(parents))
        for new, old in zip(after, states, strict=True):
            new[:] = old[parents]
        here = np.arange(len(parents), dtype=np.int32)
        game.step(after, here, actions, here)
        states = after
        counts.append(len(parents))
    return counts


@pytest.mark.parametrize("size", PERFT)
def test_there_are_as_many_lines_of_play_as_are_published(size: int) -> None:
    assert lines(othello(size), 6) == list(PERFT[size][:6])


@pytest.mark.slow
@pytest.mark.parametrize("size", PERFT)
def test_there_are_as_many_of_eight_plies_too(size: int) -> None:
    assert lines(othello(size), 8) == list(PERFT[size])


@given(st.sampled_from([4, 6, 8]), st.integers(0, 2**32))
def test_random_games_are_those_of_a_second_program(size: int, seed: int) -> None:
    """The one of the tests knows lines of cells and no bits."""
    game, plain = othello(size), PlainOthello(GameSettings(name="tests.games.othello:Othello", board_size=size))
    rng, row = np.random.default_rng(seed), np.zeros(1, np.int32)
    ours, theirs = game.new_states(1), plain.new_states(1)
    masks = np.zeros((2, 1, game.num_actions), np.bool_)
    codes = np.zeros((2, 1, game.num_actions), np.int8)
    while True:
        for which, (one, states) in enumerate(((game, ours), (plain, theirs))):
            one.legal_mask(states, row, masks[which])
            if states.winner[0] < 0:
                one.codes(states, row, codes[which])
        assert ours.winner[0] == theirs.winner[0]
        np.testing.assert_array_equal(ours.cells, theirs.cells)
        np.testing.assert_array_equal(*masks)
        np.testing.assert_array_equal(*codes)
        if ours.winner[0] >= 0:
            break
        action = rng.choice(np.flatnonzero(masks[0, 0]), 1)
        game.step(ours, row, action, row)
        plain.step(theirs, row, action, row)


def test_its_board_is_eight_cells_a_side_unless_one_is_named() -> None:
    settings = load_settings("quick", {"game.name": "othello"})
    assert (settings.game.board, settings.game.title) == ((8, 8), "Othello 8x8")
    with refused(SettingsError, kind="range", setting="game.board_size"):
        othello(7)
    with refused(SettingsError, kind="conflict", setting="game.board_width"):
        load_settings("quick", {"game.name": "othello", "game.board_size": 6, "game.board_width": 8})


def test_it_begins_with_four_discs_and_black_to_move() -> None:
    game = othello(4)
    picture = game.render(game.new_states(1).cells[0])
    assert picture.splitlines() == ["   a b c d", " 1 . . . .", " 2 . O X .", " 3 . X O .", " 4 . . . ."]


def test_illegal_moves_are_told_apart() -> None:
    game = othello()
    for words, text, kind in (
        (["a1"], "it turns no disc over", "rule"),
        (["pass"], "who can move must not pass", "rule"),
        (["d4"], "the cell is taken", "occupied"),
    ):
        with refused(IllegalMoveError, text, kind=kind, move=1):
            game.play([game.parse_action(word) for word in words])


def test_the_first_wins_random_games_as_often_as_when_they_are_played_move_by_move() -> None:
    game, rng, count = othello(6), np.random.default_rng(0), 3000
    states, mask = game.new_states(count), np.zeros((count, game.num_actions), np.bool_)
    while len(going := np.flatnonzero(states.winner < 0).astype(np.int32)):
        game.legal_mask(states, going, mask[: len(going)])
        noise = rng.random((len(going), game.num_actions)) * mask[: len(going)]
        game.step(states, going, noise.argmax(axis=1), going)
    share, length = (states.winner == 0).mean(), states.ply.mean()
    settings = load_settings("quick", {"game.name": "othello", "game.board_size": 6}).game
    moves, won = random_playouts(settings, 200)(1, 40)
    assert abs(won / 8000 - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert abs(moves / 8000 - length) < 4 * states.ply.std() / np.sqrt(count)
