"""Round trips of coordinates, move lists and boards in every form, and what cannot be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.games.game_env import States
from hexpipe.games.hex import Hex
from hexpipe.notation import format_conversion as notation
from hexpipe.notation.format_conversion import HexGame
from tests.games.hex_games import move_lists
from tests.refusals import refused


@settings(deadline=None)
@given(move_lists(), st.sampled_from([" ", ",", ", ", "", "\n"]))
def test_move_lists(game: tuple[int, list[int]], between: str) -> None:
    n, moves = game
    text = notation.format_moves(moves, n)
    assert notation.parse_moves(text, n, swap=True) == moves
    assert notation.parse_moves(text.upper().replace(" ", between), n, swap=True) == moves


@settings(deadline=None)
@given(st.integers(3, 27).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n * n))))
def test_names_of_moves(case: tuple[int, int]) -> None:
    n, action = case
    assert notation.parse_action(notation.action_name(action, n), n, swap=True) == action


def test_names() -> None:
    assert notation.action_name(26, 27) == "aa1"
    assert notation.parse_action("AA27", 27) == 27 * 27 - 1
    assert notation.cell_name(7, 5) == "c2"


def board_in(form: str, moves: list[int], n: int) -> Any:
    """The board after ``moves`` in one of `FORMS`."""
    game, cells = HexGame(n, tuple(moves)), notation.cells_from_moves(moves, n)
    square = cells.reshape(n, n)
    planes = notation.cells_to_planes(cells, n)
    forms: dict[str, Any] = {
        "picture": lambda: notation.render(cells, n),
        "text": lambda: notation.cells_to_text(cells, n),
        "flat": lambda: cells,
        "square": lambda: square.astype(np.float32),
        "lists": square.tolist,
        "minus": lambda: np.where(square == 2, -1, square),
        "planes": lambda: np.stack([square == 1, square == 2]),
        "planes and empty cells": lambda: np.stack([square == 1, square == 2, square == 0]),
        "planes and mover": lambda: notation.cells_to_planes(cells, n, game.to_move),
        "tensor": lambda: torch.from_numpy(square.copy()),
        "tensor of planes": lambda: torch.from_numpy(planes).to(torch.bfloat16).requires_grad_(),
        "states": lambda: states_after(moves, n),
        "words": lambda: notation.format_moves(moves, n).split() or "",
        "moves": lambda: notation.to_moves(game),
        "game": lambda: game,
        "sgf": lambda: notation.to_sgf(game),
        "hexworld": lambda: notation.to_hexworld(game),
        "json": lambda: notation.to_json(game),
    }
    assert set(forms) == set(FORMS)
    return forms[form]()


FORMS = (
    "picture",
    "text",
    "flat",
    "square",
    "lists",
    "minus",
    "planes",
    "planes and empty cells",
    "planes and mover",
    "tensor",
    "tensor of planes",
    "states",
    "words",
    "moves",
    "game",
    "sgf",
    "hexworld",
    "json",
)


def states_after(moves: list[int], n: int) -> States:
    """The row after ``moves``, whether or not somebody has connected on the way."""
    game, row = Hex(n, swap=True), np.zeros(1, np.int32)
    states = game.new_states(1)
    for move in moves:
        game.step(states, row, np.array([move], np.int16), row)
    return states


@settings(deadline=None)
@given(move_lists(), st.sampled_from(FORMS))
def test_boards_from_every_form(game: tuple[int, list[int]], form: str) -> None:
    n, moves = game
    found = notation.to_cells(board_in(form, moves, n), n)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, notation.cells_from_moves(moves, n))


def test_cells_of_moves_are_those_of_the_rules() -> None:
    moves = [3, 25, 7, 11, 2]
    np.testing.assert_array_equal(notation.cells_from_moves(moves, 5), Hex(5, swap=True).play(moves).cells[0])
    np.testing.assert_array_equal(notation.to_cells("#5,d1c2", 5), Hex(5).play([3, 7]).cells[0])


def test_the_side_to_move_in_a_third_plane_must_be_right() -> None:
    cells = notation.to_cells("a1 c2", 3)
    right, wrong = (notation.cells_to_planes(cells, 3, mover) for mover in (0, 1))
    np.testing.assert_array_equal(notation.to_cells(right, 3), cells)
    with refused(NotationError, "white is", kind="turn"):
        notation.to_cells(wrong, 3)
    np.testing.assert_array_equal(notation.to_cells(wrong, 3, mirrored_swap=True), cells)
    with refused(NotationError, "black is", kind="turn"):
        notation.to_cells(right, 3, mirrored_swap=True)
    right[2, 0, 0] = 1
    with refused(NotationError, "plane", kind="turn"):
        notation.to_cells(right, 3)


def test_a_link_shows_the_board_at_its_cursor() -> None:
    np.testing.assert_array_equal(notation.to_cells("#5c1,a1b2,c3", 5), notation.to_cells("a1 b2", 5))


def test_picture() -> None:
    assert notation.render(notation.to_cells("a1 c2", 3), 3) == "   a b c\n 1 X . .\n  2 . . O\n   3 . . ."
    assert notation.cells_to_text(notation.to_cells("a1 c2", 3), 3) == "X../..O/..."


@pytest.mark.parametrize(
    "board",
    [
        "#6,a1",
        "a1 a1",
        "a1 f1",
        "X../..O/..",
        "hello",
        "a1-b2",
        '{"size": 6, "moves": []}',
        np.zeros((4, 4)),
        np.full((5, 5), 3),
        np.ones((2, 5, 5)),
        np.zeros((4, 5, 5)),
        np.zeros((5, 5), complex),
        np.full((5, 5), np.nan),
        torch.zeros(6, 6),
        Hex(5).new_states(2),
        Hex(6).new_states(1),
        HexGame(6),
        [[0] * 5] * 4 + [[0] * 4],
        [0, 1, 2],
        ["a1", 5],
        object(),
        None,
    ],
    ids=lambda board: f"{type(board).__name__}",
)
def test_boards_that_cannot_be_read(board: Any) -> None:
    with pytest.raises(NotationError):
        notation.to_cells(board, 5)


def test_moves_that_are_not_on_the_board() -> None:
    with refused(NotationError, "30", kind="coordinate"):
        notation.cells_from_moves([30], 5)
