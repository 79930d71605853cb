"""Compiled proofs of many positions of Hex in a row: what a search asks about its leaves."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hexpipe.games.hex_bits_kernels import Geometry
from hexpipe.games.hex_solver_kernels import Levels, Table, solve


@njit(cache=True, nogil=True, _nrt=False)
def prove(
    cells: NDArray[np.int8],
    view: NDArray[np.int8],
    to_move: NDArray[np.int8],
    ply: NDArray[np.int32],
    rows: NDArray[np.int32],
    first_ply: int,
    most: int,
    g: Geometry,
    table: Table,
    path: Levels,
    ends: NDArray[np.int8],
    values: NDArray[np.float32],
) -> None:
    """Solve the positions of ``rows`` int32 [k] whose game goes on, from ``first_ply`` on, by judging about ``most``
    positions for each.

    ``cells`` int8 [R, n * n], ``view`` (the colour to move) and ``to_move`` (the seat) int8 [R] are the states'. Where
    ``ends`` int8 [R] is negative and the winner is found, it gets the winner's seat, and ``values`` float32 [k, 2] 1
    for the winner and -1 for the loser.
    """
    for i in range(len(rows)):
        row = rows[i]
        if ends[row] >= 0 or ply[row] < first_ply:
            continue
        black = white = np.int64(0)
        for cell in range(cells.shape[1]):
            stone = np.int64(cells[row, cell])
            black |= (stone & 1) << cell
            white |= (stone >> 1) << cell
        found, _ = solve(black, white, np.int64(view[row]), most, g, table, path)
        if found != 0:
            seat = to_move[row] if found > 0 else 1 - to_move[row]
            ends[row] = seat
            values[i, seat] = 1
            values[i, 1 - seat] = -1
