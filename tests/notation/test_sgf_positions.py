"""Positions in SGF: stones that were set up, moves from there, and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.games.hex import Hex
from hexpipe.games.hex_game import HexGame
from hexpipe.games.set_up import SetUp, checked_position
from hexpipe.notation.format_conversion import from_sgf, to_sgf
from hexpipe.notation.sgf_positions import position_to_sgf, read_position
from tests.refusals import refused


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("AB[a1][b2]AW[c1]PL[W]", SetUp((0, 6), (2,), 1)),
        ("AB[a1][b2]AW[c1]", SetUp((0, 6), (2,), 1)),  # black has more stones
        ("AW[a1][b2]AB[c1]", SetUp((2,), (0, 6), 0)),
        ("AB[a1]AW[c1]", SetUp((0,), (2,), 0)),
        (";AB[a1];B[c1];W[d1]", SetUp((0,), (), 0, (2, 3))),
        (";AB[a1];W[c1];B[d1]", SetUp((0,), (), 1, (2, 3))),
        (";AB[a1]PL[black];B[c1];B[d1];W[e1]", SetUp((0, 2), (), 0, (3, 4))),
        (";B[a1];W[b1];AE[a1]AB[c1];B[d1]", SetUp((2,), (1,), 0, (3,))),
        (";B[a1];W[b1];PL[W]", SetUp((0,), (1,), 1)),
        (";B[a1];W[b1];B[c1]", SetUp(moves=(0, 1, 2))),
        (";W[a1];B[b1]", SetUp((), (), 1, (0, 1))),
        (";B[a1];B[b1];W[c1]", SetUp((0,), (), 0, (1, 2))),
        (";AB[a1]AW[b1];B[c1];W[resign]", SetUp((0,), (1,), 0, (2,))),
        (";B[a1];W[swap-sides];W[b1]", SetUp(moves=(0, 25, 1))),
        (";B[b1];W[swap-pieces];B[c1]", SetUp(moves=(1, 25, 10))),
        ("PL[W]", SetUp((), (), 1)),
        ("", SetUp()),
    ],
)
def test_what_nodes_mean(nodes: str, expected: SetUp) -> None:
    assert read_position(f"(;FF[4]GM[11]SZ[5]{nodes})") == (5, expected)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, SetUp((0,), (), 1)),
        (1, SetUp((0,), (), 1, (1,))),
        (2, SetUp((0,), (), 1, (1, 2))),
        (9, SetUp((0,), (), 1, (1, 2))),
    ],
)
def test_the_first_moves_alone(most: int, expected: SetUp) -> None:
    assert read_position("(;SZ[5];AB[a1];W[b1];B[c1])", most)[1] == expected


def test_a_limit_before_the_first_move_tells_whose_it_is() -> None:
    assert read_position("(;SZ[5]AB[a1];B[b1])", 0)[1] == SetUp((0,), (), 0)
    assert read_position("(;SZ[5]AB[a1]PL[W];B[b1])", 0)[1] == SetUp((0,), (), 1)


@pytest.mark.parametrize(
    ("nodes", "kind", "named"),
    [
        ("AB[a1]AW[a1]", "occupied", "AW[a1]"),
        ("AB[a1][a1]", "occupied", "AB[a1]"),
        (";B[a1];AB[a1]", "occupied", "AB[a1]"),
        ("AB[a1];W[a1]", "occupied", "W[a1]"),
        ("AB[f1]", "coordinate", "5x5"),
        ("AB[a1];W[swap-pieces]", "syntax", "swap"),
        ("AB[a1];W[pass]", "rule", "pass"),
        ("PL[X]", "unknown", "PL["),
    ],
)
def test_what_is_no_position(nodes: str, kind: str, named: str) -> None:
    with refused(NotationError, named, kind=kind):
        read_position(f"(;SZ[5]{nodes})")


@settings(deadline=None)
@given(st.permutations(range(25)), st.integers(0, 6), st.integers(0, 6), st.integers(0, 5), st.integers(0, 1))
def test_there_and_back(order: list[int], black: int, white: int, moves: int, colour: int) -> None:
    stones = order[: black + white]
    position = SetUp(
        tuple(sorted(stones[:black])),
        tuple(sorted(stones[black:])),
        colour,
        tuple(order[black + white : black + white + moves]),
    )
    assert read_position(position_to_sgf(5, position)) == (5, position)


@settings(deadline=None)
@given(st.permutations(range(9)), st.integers(0, 6), st.booleans())
def test_a_game_is_a_position(order: list[int], plies: int, swapped: bool) -> None:
    moves = order[:plies]
    if swapped and moves:
        moves.insert(1, 9)
    text = to_sgf(HexGame(3, tuple(moves)))
    _, position = read_position(text)
    assert position.moves == from_sgf(text).moves
    game = Hex(3, swap=True)
    try:
        states = game.play(moves)
    except Exception:  # noqa: BLE001  (over before its end)
        return
    assert checked_position(game, position).cells.tolist() == states.cells.tolist()
