"""Batched rules of Connect Four in numba.

Row 0 is the top one. A cell can be played where it is empty and stands on the bottom or on a stone: each column has one
such cell until it is full. `States` is unpacked, as numba takes an attribute called ``view`` for the method of arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games.draw_kernels import GAMMA, drawn
from hexpipe.games.game_env import BoolArray, Int8Array, IntArray, States

CLOSED = np.int8(4)
_USED = 6
_LINE = 4


@njit(cache=True, nogil=True, _nrt=False)
def _run(cells: Int8Array, row: int, cell: int, columns: int, down: int, right: int) -> int:
    """Stones of the colour of ``cell`` beside it in the direction, at most three."""
    rows = cells.shape[1] // columns
    i, j = cell // columns, cell % columns
    stone = cells[row, cell]
    length = 0
    while length < _LINE - 1:
        i += down
        j += right
        if i < 0 or i >= rows or j < 0 or j >= columns or cells[row, i * columns + j] != stone:
            break
        length += 1
    return length


@njit(cache=True, nogil=True, _nrt=False)
def _play(fields, row: int, cell: int, columns: int) -> None:
    """Drop the mover's stone on ``cell``; find the winner, or a draw; pass the turn."""
    cells, _, to_move, views, winner, ply = fields
    seat = to_move[row]
    to_move[row] = 1 - seat
    views[row] = 1 - seat
    ply[row] += 1
    cells[row, cell] = 1 + seat
    if (
        _run(cells, row, cell, columns, 1, 0) >= _LINE - 1
        or _run(cells, row, cell, columns, 0, 1) + _run(cells, row, cell, columns, 0, -1) >= _LINE - 1
        or _run(cells, row, cell, columns, 1, 1) + _run(cells, row, cell, columns, -1, -1) >= _LINE - 1
        or _run(cells, row, cell, columns, 1, -1) + _run(cells, row, cell, columns, -1, 1) >= _LINE - 1
    ):
        winner[row] = seat
    elif ply[row] == cells.shape[1]:
        winner[row] = 2


@njit(cache=True, nogil=True, _nrt=False)
def _copy(fields, source: int, target: int) -> None:
    cells, _, to_move, views, winner, ply = fields
    for cell in range(cells.shape[1]):
        cells[target, cell] = cells[source, cell]
    to_move[target] = to_move[source]
    views[target] = views[source]
    winner[target] = winner[source]
    ply[target] = ply[source]


@njit(cache=True, nogil=True, _nrt=False)
def step(states: States, parents: IntArray, actions: IntArray, children: IntArray, columns: int) -> None:
    """Copy row parents[k] to children[k] and play actions[k] there, one k after the other."""
    fields = states[:_USED]
    for k in range(parents.shape[0]):
        source, target = np.intp(parents[k]), np.intp(children[k])
        if source != target:
            _copy(fields, source, target)
        _play(fields, target, np.intp(actions[k]), columns)


@njit(cache=True, nogil=True, _nrt=False)
def _carried(cells: Int8Array, row: int, cell: int, columns: int) -> bool:
    below = cell + columns
    return bool(below >= cells.shape[1] or cells[row, below] != 0)


@njit(cache=True, nogil=True, _nrt=False)
def legal_mask(states: States, rows: IntArray, out: BoolArray, columns: int) -> None:
    """Write which cells can be played in ``rows`` [L] into bool [L, cells]."""
    cells, _, _, _, winner, _ = states[:_USED]
    for k in range(rows.shape[0]):
        row = rows[k]
        going = winner[row] < 0
        for cell in range(cells.shape[1]):
            out[k, cell] = going and cells[row, cell] == 0 and _carried(cells, row, cell, columns)


@njit(cache=True, nogil=True, _nrt=False)
def codes_from_cells(cells: Int8Array, views: Int8Array, out: Int8Array, columns: int) -> None:
    """Write what the seats ``views`` [B] see of cells int8 [B, cells] into int8 [B, cells]."""
    for k in range(cells.shape[0]):
        mine = 1 + views[k]
        for cell in range(cells.shape[1]):
            stone = cells[k, cell]
            if stone:
                out[k, cell] = np.int8(1) if stone == mine else np.int8(2)
            else:
                out[k, cell] = np.int8(0) if _carried(cells, k, cell, columns) else CLOSED


@njit(cache=True, nogil=True, _nrt=False)
def codes(states: States, rows: IntArray, out: Int8Array, columns: int) -> None:
    """Write what the movers of ``rows`` [L] see into int8 [L, cells]."""
    cells, _, _, views, _, _ = states[:_USED]
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        codes_from_cells(cells[row : row + 1], views[row : row + 1], out[k : k + 1], columns)


@njit(cache=True, nogil=True)
def random_playouts(states: States, seed: int, repeats: int, columns: int) -> npt.NDArray[np.int64]:
    """Play uniformly random games to their end, ``repeats`` in each row but the last, which is the position that every
    game starts from; return int64 [2]: moves played, games that seat 0 won."""
    fields = states[:_USED]
    cells, _, _, _, winner, _ = fields
    start, rows = cells.shape[0] - 1, cells.shape[1] // columns
    heights = np.zeros(columns, np.int64)
    order = np.zeros(columns, np.int64)
    moves = 0
    wins = 0
    random = np.uint64(seed)
    for _ in range(repeats):
        for row in range(start):
            _copy(fields, start, row)
            free = 0
            for column in range(columns):
                heights[column] = 0
                while heights[column] < rows and cells[row, (rows - 1 - heights[column]) * columns + column] != 0:
                    heights[column] += 1
                if heights[column] < rows:
                    order[free] = column
                    free += 1
            while winner[row] < 0:
                random += GAMMA
                pick = drawn(random, free)
                column = order[pick]
                _play(fields, row, (rows - 1 - heights[column]) * columns + column, columns)
                heights[column] += 1
                if heights[column] == rows:
                    free -= 1
                    order[pick] = order[free]
                moves += 1
            wins += winner[row] == 0
    return np.array([moves, wins])
