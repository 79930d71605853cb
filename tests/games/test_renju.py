"""Rows that win, and renju's forbidden moves: against plain Python, pictures, and another's program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import IllegalMoveError, SettingsError
from hexpipe.games import conformance, renju_kernels
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Int8Array, States
from hexpipe.games.inarow import InARow
from hexpipe.games.playouts import random_playouts
from tests.games import reference_renju
from tests.games.reference_inarow import game_settings
from tests.refusals import refused

ROW = np.zeros(1, np.int32)
WORDS = ("allowed", "five", "overline", "double four", "double three")

# X black, O white, ? the cell that is asked about
PICTURES = {
    "two open threes": (
        "double three",
        """
        .........
        ....X....
        ....X....
        ..XX?....
        .........
        .........
        .........
        """,
    ),
    "one of the two is blocked, and is no three": (
        "allowed",
        """
        ....O....
        ....X....
        ....X....
        .OXX?.O..
        .........
        .........
        """,
    ),
    "a three and a four": (
        "allowed",
        """
        .........
        ....X....
        ....X....
        OXXX?....
        .........
        .........
        .........
        """,
    ),
    "two fours across": (
        "double four",
        """
        ....O....
        ....X....
        ....X....
        ....X....
        OXXX?....
        .........
        .........
        """,
    ),
    "two fours in one line, with a gap each": (
        "double four",
        """
        ..........
        .X.X?X.X..
        ..........
        """,
    ),
    "two fours in one line, of pairs": (
        "double four",
        """
        ..........
        .XX.X?.XX.
        ..........
        """,
    ),
    "both ends of a straight four are one four": (
        "allowed",
        """
        .........
        ..XX?X...
        .........
        """,
    ),
    "six in a row": (
        "overline",
        """
        .........
        .XXX?XX..
        .........
        """,
    ),
    "five in a row beside six": (
        "five",
        """
        ....X....
        ....X....
        ....X....
        ....X....
        .XXX?XX..
        .........
        """,
    ),
    "five in a row beside two fours": (
        "five",
        """
        X...X....
        .X..X....
        ..X.X....
        ....X....
        .XXX?...
        .........
        """,
    ),
    "four that only six would complete is no four": (
        "allowed",
        """
        ....O......
        ....X......
        ....X......
        ....X......
        OXXX?.X....
        ...........
        ...........
        """,
    ),
    "a three that can only grow where it is an overline is none": (
        "allowed",
        """
        ..............
        ..............
        ..............
        ..............
        ....XXX.XX....
        .....XX?......
        .......X......
        .......X......
        ..............
        .......O......
        ..............
        """,
    ),
    "the same, where that would be no overline": (
        "double three",
        """
        ..............
        ..............
        ..............
        ..............
        .....XX.......
        .....XX?......
        .......X......
        .......X......
        ..............
        .......O......
        ..............
        """,
    ),
}


def board_of(picture: str) -> tuple[Int8Array, int, tuple[int, int]]:
    """A square board of the stones of ``picture`` as cells [1, n * n], its size, and the place of the question mark."""
    lines = picture.split()
    n = max(len(lines), *map(len, lines))
    cells, asked = np.zeros((n, n), np.int8), (-1, -1)
    for i, line in enumerate(lines):
        for j, mark in enumerate(line):
            cells[i, j] = ".XO".find(mark) if mark != "?" else 0
            asked = (i, j) if mark == "?" else asked
    return cells.reshape(1, -1), n, asked


def as_board(cells: Int8Array, n: int) -> reference_renju.Board:
    return {divmod(cell, n): int(stone) - 1 for cell, stone in enumerate(cells[0]) if stone}


def judged(cells: Int8Array, n: int, place: tuple[int, int]) -> str:
    before = cells.copy()
    word = WORDS[renju_kernels.judged(cells, 0, *place, n)]
    np.testing.assert_array_equal(cells, before)
    return word


def shut_cells(cells: Int8Array, n: int) -> list[int]:
    out = np.zeros((1, n * n), np.bool_)
    renju_kernels.shut(cells, ROW, np.zeros(1, np.int8), np.zeros((1, 2), np.int16), n, n, True, out)
    return np.flatnonzero(out[0]).tolist()


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str, turns: int) -> None:
    wanted, picture = PICTURES[name]
    cells, n, (i, j) = board_of(picture)
    marked = np.zeros((n, n), np.int8)
    marked[i, j] = 1
    square = np.rot90(cells.reshape(n, n), turns)
    place = tuple(np.argwhere(np.rot90(marked, turns))[0].tolist())
    cells = np.ascontiguousarray(square).reshape(1, -1)
    assert reference_renju.judged(as_board(cells, n), n, place) == wanted
    assert judged(cells, n, place) == wanted
    assert (place[0] * n + place[1] in shut_cells(cells, n)) == (wanted not in ("allowed", "five"))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Int8Array, int]:
    """Boards with a crowd of stones somewhere, more of them black, as games do not have them."""
    n, side = draw(st.integers(5, 11)), draw(st.integers(4, 7))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    black, white = draw(st.sampled_from([(0.3, 0.02), (0.45, 0.05), (0.3, 0.2), (0.55, 0.2)]))
    cells = np.zeros((n, n), np.int8)
    top, left = generator.integers(0, max(1, n - side + 1), 2)
    chance = generator.random((n, n))
    crowd = np.where(chance < black, 1, np.where(chance > 1 - white, 2, 0))
    cells[top : top + side, left : left + side] = crowd[top : top + side, left : left + side]
    return cells.reshape(1, -1), n


def check_crowd(crowd: tuple[Int8Array, int]) -> None:
    cells, n = crowd
    board = as_board(cells, n)
    shut = []
    for cell in np.flatnonzero(cells[0] == 0).tolist():
        word = reference_renju.judged(board, n, divmod(cell, n))
        assert judged(cells, n, divmod(cell, n)) == word
        shut += [cell] if word not in ("allowed", "five") else []
    assert shut_cells(cells, n) == shut
    assert renju_kernels.may_move(cells, 0, n) == (len(shut) < np.count_nonzero(cells[0] == 0))


@settings(max_examples=25, deadline=None)
@given(crowds())
def test_crowds_are_judged_as_the_slow_rules_judge(crowd: tuple[Int8Array, int]) -> None:
    check_crowd(crowd)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(crowds())
def test_many_crowds_are_judged_as_the_slow_rules_judge(crowd: tuple[Int8Array, int]) -> None:
    check_crowd(crowd)


def play_cells(game: InARow, names: str) -> States:
    return game.play([game.parse_action(name) for name in names.split()])


@pytest.mark.parametrize(("rule", "winner"), [("free", 0), ("exact", ONGOING)])
def test_an_overline_wins_only_where_rows_are_free(rule: str, winner: int) -> None:
    game = InARow(game_settings(7, 5, row_rule=rule))
    assert play_cells(game, "a1 a7 b1 b7 c1 c7 e1 f7 f1 g7 d1").winner[0] == winner
    assert play_cells(game, "a1 a7 b1 b7 c1 c7 e1 f7 d1").winner[0] == 0


def test_renju_tells_why_not_and_lets_white_do_it() -> None:
    game = InARow(game_settings(9, 5, row_rule="renju"))
    for names, words in (
        ("a1 a9 b1 b9 c1 c9 e1 e9 f1 g9 d1", "an overline, six or more in a row, is forbidden to black"),
        ("e3 a9 e4 c9 c5 e9 d5 g9 e5", "two threes at once are forbidden to black"),
        ("e3 a9 e4 c9 e5 e9 b2 g9 c2 i9 d2 i1 e2", "two fours at once are forbidden to black"),
    ):
        with refused(IllegalMoveError, words, kind="rule"):
            play_cells(game, names)
    states = play_cells(game, "a1 a9 c1 b9 e1 c9 a3 e9 c3 f9 e3 d9")
    assert (states.winner[0], states.longest[0, 1]) == (1, 6)
    with refused(IllegalMoveError, "the cell is taken", kind="occupied"):
        play_cells(game, "a1 a1")
    with refused(IllegalMoveError, "seat 1 has already won", kind="over"):
        play_cells(game, "a1 a9 c1 b9 e1 c9 a3 e9 c3 f9 e3 d9 e5")


def test_a_game_where_black_may_play_nowhere_is_a_draw() -> None:
    """The one cell that white leaves is six in a row."""
    game = InARow(game_settings(9, 5, row_rule="renju"))
    for stones, winner in (((1, 1, 1, 0, 1, 1, 1), 2), ((1, 1, 1, 0, 2, 1, 1), ONGOING)):
        states = game.new_states(1)
        cells = states.cells.reshape(9, 9)
        cells[:] = 2
        cells[7:, 7:] = 1
        cells[8, 8] = 0
        cells[0, :7] = stones
        states.ply[0], states.to_move[0], states.view[0] = 79, 1, 1
        game.step(states, ROW, np.array([80], np.int32), ROW)
        assert states.winner[0] == winner
        legal = np.ones((1, 81), np.bool_)
        game.legal_mask(states, ROW, legal)
        assert np.flatnonzero(legal[0]).tolist() == ([3] if winner == ONGOING else [])


def test_terms_say_a_rule_only_where_it_is_not_the_usual_one() -> None:
    usual, exact, renju = (InARow(game_settings(15, 5, row_rule=rule)).terms for rule in ("free", "exact", "renju"))
    assert "row_rule" not in usual
    assert exact == {**usual, "row_rule": "exact"}
    assert renju == {**usual, "row_rule": "renju"}


@pytest.mark.parametrize(
    "more", [{"row_rule": "exact", "win_length": 3}, {"row_rule": "exact", "win_length": 3, "players": 3}]
)
def test_exact_rows_keep_the_contract(more: dict[str, Any]) -> None:
    conformance.check(make_game(game_settings(4, **more)))


def test_renju_keeps_the_contract() -> None:
    conformance.check(make_game(game_settings(6, 5, row_rule="renju")))


@pytest.mark.parametrize("rule", ["exact", "renju"])
def test_playouts_are_for_free_rows(rule: str) -> None:
    with refused(SettingsError, f"5 in a row 7x7, 2 players, {rule} has no kernel", setting="game.name"):
        random_playouts(game_settings(7, 5, row_rule=rule), 8)


# Where the package renju 0.1.0 does other than the rules here, which are the federation's (RIF, 1996 and 2008):
# - A forbidden move is placed and ends the game, won by white; here it is not legal. RIF lets white claim it.
# - It knows passes, which RIF has and nobody makes here: black without a legal move may pass there, here it is a draw.
# What is forbidden is the same in both, as is who wins by which row.
FOULS = {"overline": 3, "double four": 2, "double three": 1}


def check_games_of_the_package(rule: str, games: int) -> None:
    renju = pytest.importorskip("renju", reason="the package renju is not installed: pip install 'hexpipe[peers]'")
    checker = pytest.importorskip("renju.check_forbid")
    names = {"free": "freestyle", "exact": "standard", "renju": "renju"}
    statuses = {-1: "ONGOING", 0: "BLACK_WIN", 1: "WHITE_WIN", 2: "DRAW"}
    game = InARow(game_settings(15, 5, row_rule=rule))
    generator, kinds = np.random.default_rng(5), set()
    for number in range(games):
        board, states = renju.RenjuBoard(rule=names[rule]), game.new_states(1)
        # in the middle stones are soon in rows, which nobody is in a hurry to make
        middle = np.zeros((15, 15), np.bool_)
        middle[4:11, 4:11] = True
        child, two = np.ones(1, np.int32), game.new_states(2)
        while states.winner[0] == ONGOING:
            legal = np.zeros((1, 225), np.bool_)
            game.legal_mask(states, ROW, legal)
            empty = states.cells[0] == 0
            if rule == "renju" and states.to_move[0] == 0 and generator.random() < 0.3:
                grid = states.cells.reshape(15, 15).tolist()
                for cell in np.flatnonzero(empty).tolist():
                    i, j = divmod(cell, 15)
                    foul = FOULS.get(judged(states.cells, 15, (i, j)), 0)
                    assert checker.get_foul_type(grid, i, j) == foul
                    assert legal[0, cell] == (foul == 0)
                    kinds.add(foul)
            elif rule != "renju" or states.to_move[0] == 1:
                np.testing.assert_array_equal(legal[0], empty)
            near = np.flatnonzero(legal[0] & middle.ravel())
            chosen = near if near.size else np.flatnonzero(legal[0])
            for action in generator.permutation(chosen)[:3].tolist():
                for array, one in zip(two, states, strict=True):
                    array[0] = one[0]
                game.step(two, ROW, np.array([action], np.int32), child)
                if two.winner[1] == ONGOING or number % 2:
                    break
            status, _ = board.play_move(*divmod(action, 15))
            game.step(states, ROW, np.array([action], np.int32), ROW)
            assert status.name == statuses[int(states.winner[0])]
    assert rule != "renju" or {0, 1, 2, 3} <= kinds or games < 10


@pytest.mark.parametrize("rule", ["free", "exact", "renju"])
def test_games_are_won_as_the_package_renju_says(rule: str) -> None:
    check_games_of_the_package(rule, 3)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["free", "exact", "renju"])
def test_many_games_are_won_as_the_package_renju_says(rule: str) -> None:
    check_games_of_the_package(rule, 100)
