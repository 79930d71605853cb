"""Symmetries of the Hex board, and those of a square grid.

Two permutations keep the rules of Hex: the half turn (each colour keeps its sides) and, with the colours exchanged, the
transposition; both are their own inverse. A square grid has eight. A permutation ``p`` is int16 [n * n] and is applied
as ``new = old[p]``.
"""

from __future__ import annotations

import numpy as np

from hexpipe.games.game_env import Int8Array, Int16Array


def half_turn(board_size: int) -> Int16Array:
    """Return the rotation by 180 degrees, int16 [n * n]."""
    return np.arange(board_size**2, dtype=np.int16)[::-1].copy()


def transposition(board_size: int) -> Int16Array:
    """Return the exchange of rows and columns, int16 [n * n]."""
    return np.arange(board_size**2, dtype=np.int16).reshape(board_size, board_size).T.ravel().copy()


def square_symmetries(size: int) -> Int16Array:
    """Return the rotations by 0, 90, 180 and 270 degrees anticlockwise, then those of the mirrored square: int16 [8, n
    * n]."""
    square = np.arange(size**2, dtype=np.int16).reshape(size, size)
    return np.stack([np.rot90(side, turns).ravel() for side in (square, square[:, ::-1]) for turns in range(4)])


def rectangle_symmetries(rows: int, columns: int) -> Int16Array:
    """Return what leaves a board of ``rows`` and ``columns`` as it is: nothing, the half turn, left for right, top for
    bottom: int16 [4, rows * columns]."""
    board = np.arange(rows * columns, dtype=np.int16).reshape(rows, columns)
    return np.stack([side.ravel() for side in (board, board[::-1, ::-1], board[:, ::-1], board[::-1])])


def over_planes(permutations: Int16Array, planes: int) -> Int16Array:
    """Extend ``permutations`` int16 [K, m] to ``planes`` planes of m codes, the same in each: int16 [K, planes * m]."""
    first = np.arange(planes, dtype=np.int16)[:, None] * np.int16(permutations.shape[1])
    return np.ascontiguousarray((permutations[:, None, :] + first).reshape(len(permutations), -1))


def with_fixed_tail(permutation: Int16Array, extra: int) -> Int16Array:
    """Extend a ``permutation`` of the cells by ``extra`` fixed actions after them (swap), int16 [n * n + extra]."""
    area = len(permutation)
    return np.concatenate([permutation, np.arange(area, area + extra, dtype=np.int16)])


def rotate_cells(cells: Int8Array) -> Int8Array:
    """Rotate absolute cells int8 [..., n * n] by 180 degrees: the same position for both colours."""
    return np.ascontiguousarray(cells[..., ::-1])


def transpose_cells(cells: Int8Array, board_size: int) -> Int8Array:
    """Transpose absolute cells int8 [..., n * n] and exchange the colours: the same position from the other side.

    The colour to move changes, too.
    """
    swapped = np.array([0, 2, 1], np.int8)[cells]
    return np.ascontiguousarray(swapped[..., transposition(board_size)])
