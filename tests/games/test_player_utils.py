from __future__ import annotations

import numpy as np
import pytest

from hexpipe.errors import NotationError
from hexpipe.games import symmetry
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import check_side_to_move, side_to_move
from tests.refusals import refused


def test_the_stones_tell_the_side_to_move() -> None:
    game = Hex(5, swap=True)
    for moves in ([], [3], [3, 25], [3, 4], [3, 25, 4], [3, 4, 5]):
        states = game.play(moves)
        assert side_to_move(states.cells[0]) == states.view[0]
        assert side_to_move(states.cells[0].reshape(5, 5)) == states.view[0]
        check_side_to_move(states.cells[0], int(states.view[0]))
        with refused(NotationError, kind="turn"):
            check_side_to_move(states.cells[0], 1 - int(states.view[0]))


def test_after_a_mirrored_swap_white_has_the_first_stone() -> None:
    """The same game told both ways: the colour to move is the other one wherever the stone was turned over."""
    for moves in ([3, 25], [3, 25, 4], [3, 25, 4, 5]):
        states = Hex(5, swap=True).play(moves)
        mirrored = symmetry.transpose_cells(states.cells[0], 5)
        assert side_to_move(mirrored, mirrored_swap=True) == 1 - states.view[0]


def test_one_stone_each_leaves_white_to_move_only_when_that_is_said() -> None:
    cells = np.array([1, 2, 0], np.int8)
    assert side_to_move(cells) == 0
    assert side_to_move(cells, mirrored_swap=True) == 1
    check_side_to_move(cells, 1, mirrored_swap=True)
    with refused(NotationError, "mirrored", kind="turn"):
        check_side_to_move(cells, 1)


@pytest.mark.parametrize("cells", [[2, 0, 0], [1, 1, 0], [1, 2, 2]])
def test_impossible_stones(cells: list[int]) -> None:
    with refused(NotationError, f"{cells.count(1)} black", f"{cells.count(2)} white", kind="turn"):
        side_to_move(np.array(cells, np.int8))


@pytest.mark.parametrize("cells", [[1, 0, 0], [2, 2, 0], [1, 1, 2]])
def test_impossible_stones_after_a_mirrored_swap(cells: list[int]) -> None:
    with refused(NotationError, "mirrored swap", kind="turn"):
        side_to_move(np.array(cells, np.int8), mirrored_swap=True)
