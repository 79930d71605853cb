from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.games import symmetry
from hexpipe.games.hex import Hex
from tests.games.reference import has_connected, neighbours

boards = st.integers(3, 7).flatmap(
    lambda n: st.lists(st.integers(0, 2), min_size=n * n, max_size=n * n).map(
        lambda cells: (n, np.array(cells, np.int8))
    )
)


@given(boards)
def test_both_symmetries_keep_connections(board: tuple[int, np.ndarray]) -> None:
    n, cells = board
    rotated = tuple(symmetry.rotate_cells(cells).tolist())
    transposed = tuple(symmetry.transpose_cells(cells, n).tolist())
    for colour in (0, 1):
        connected = has_connected(tuple(cells.tolist()), colour, n)
        assert has_connected(rotated, colour, n) == connected
        assert has_connected(transposed, 1 - colour, n) == connected


@given(boards)
def test_both_are_their_own_inverse(board: tuple[int, np.ndarray]) -> None:
    n, cells = board
    np.testing.assert_array_equal(symmetry.rotate_cells(symmetry.rotate_cells(cells)), cells)
    np.testing.assert_array_equal(symmetry.transpose_cells(symmetry.transpose_cells(cells, n), n), cells)
    batch = np.stack([cells, cells[::-1]])
    np.testing.assert_array_equal(symmetry.transpose_cells(batch, n)[0], symmetry.transpose_cells(cells, n))


@pytest.mark.parametrize("n", [3, 6])
def test_permutations_keep_neighbours(n: int) -> None:
    for permutation in (symmetry.half_turn(n), symmetry.transposition(n)):
        for cell in range(n * n):
            moved = {int(permutation[other]) for other in neighbours(cell, n)}
            assert moved == set(neighbours(int(permutation[cell]), n))


def test_the_other_side_sees_the_transposed_board() -> None:
    game = Hex(4)
    states = game.play([1, 6, 8])
    seen = np.zeros((1, 16), np.int8)
    game.codes(states, np.zeros(1, np.int32), seen)
    np.testing.assert_array_equal(seen[0], symmetry.transpose_cells(states.cells[0], 4))


@pytest.mark.parametrize("size", [3, 4, 21])
def test_a_square_has_a_group_of_eight(size: int) -> None:
    table = symmetry.square_symmetries(size)
    members = {tuple(row) for row in table.tolist()}
    assert len(members) == 8
    assert table[0].tolist() == list(range(size**2))
    for one in table:
        assert {tuple(one[other].tolist()) for other in table} == members


def test_planes_are_turned_alike() -> None:
    table = symmetry.square_symmetries(3)
    planes = np.arange(27).reshape(3, 9)
    for one, over in zip(table, symmetry.over_planes(table, 3), strict=True):
        assert over.dtype == np.int16
        np.testing.assert_array_equal(planes.ravel()[over], planes[:, one].ravel())
