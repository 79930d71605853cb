"""Symmetries of the Hex board.

Two permutations keep the rules: the half turn (each colour keeps its sides) and, with the colours exchanged, the
transposition. A permutation ``p`` is int16 [n * n] and is applied as ``new = old[p]``; both here are their own inverse.
"""

from __future__ import annotations

import numpy as np

from hexpipe.games.game_env import Int8Array, Int16Array


def half_turn(board_size: int) -> Int16Array:
    """The rotation by 180 degrees, int16 [n * n]."""
    return np.arange(board_size**2, dtype=np.int16)[::-1].copy()


def transposition(board_size: int) -> Int16Array:
    """The exchange of rows and columns, int16 [n * n]."""
    return np.arange(board_size**2, dtype=np.int16).reshape(board_size, board_size).T.ravel().copy()


def with_fixed_tail(permutation: Int16Array, extra: int) -> Int16Array:
    """``permutation`` of the cells with ``extra`` fixed actions after them (swap), int16 [n * n + extra]."""
    area = len(permutation)
    return np.concatenate([permutation, np.arange(area, area + extra, dtype=np.int16)])


def rotate_cells(cells: Int8Array) -> Int8Array:
    """Absolute cells int8 [..., n * n] turned by 180 degrees: the same position for both colours."""
    return np.ascontiguousarray(cells[..., ::-1])


def transpose_cells(cells: Int8Array, board_size: int) -> Int8Array:
    """Absolute cells int8 [..., n * n] transposed, with the colours exchanged: the same position from the other side.

    Who is to move changes colour with the stones.
    """
    swapped = np.array([0, 2, 1], np.int8)[cells]
    return np.ascontiguousarray(swapped[..., transposition(board_size)])
