"""Batched rules of Breakthrough in numba.

Row 0 is the top one, where seat 0 begins. An action is a pair of cells, an upper and a lower one beside it: number
``k * cells + upper``, and the lower one is in the next row, in column -1, 0 or 1 from the upper one's for k = 0, 1, 2.
Seat 0 goes from the upper to the lower, seat 1 from the lower to the upper, so that a number is one move of each seat.

A mover sees its own pieces on top, going down: seat 1 the board upside down. There an action is
``k * cells + source`` for both. States are unpacked in each kernel: numba takes an attribute called ``view`` for the
method of arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games.draw_kernels import GAMMA, drawn
from hexpipe.games.game_env import BoolArray, Int8Array, Int16Array, Int32Array, IntArray

DIRECTIONS = 3
_USED = 5


class BreakthroughStates(NamedTuple):
    """R states: `game_env.States` without what Breakthrough does not need."""

    cells: Int8Array
    to_move: Int8Array
    view: Int8Array
    winner: Int8Array
    ply: Int32Array
    origin: Int16Array


@njit(cache=True, nogil=True, _nrt=False)
def _is_legal(cells: Int8Array, row: int, seat: int, action: int, columns: int) -> bool:
    """Whether ``seat`` may play ``action`` in a game that is not over: onto an empty cell, and askew also a capture."""
    area = cells.shape[1]
    k, upper = action // area, action % area
    column = upper % columns + k - 1
    if upper >= area - columns or column < 0 or column >= columns:
        return False
    lower = upper + columns + k - 1
    source, target = (lower, upper) if seat else (upper, lower)
    other = cells[row, target]
    return cells[row, source] == 1 + seat and (other == 0 or (k != 1 and other == 2 - seat))


@njit(cache=True, nogil=True, _nrt=False)
def _has_piece(cells: Int8Array, row: int, seat: int) -> bool:
    """Whether ``seat`` has a piece; looked for from its own side on."""
    area = cells.shape[1]
    for i in range(area):  # noqa: SIM110 (numba has no generators)
        if cells[row, area - 1 - i if seat else i] == 1 + seat:
            return True
    return False


@njit(cache=True, nogil=True, _nrt=False)
def _play(fields, row: int, action: int, columns: int) -> None:
    """Play ``action`` in ``row``: who reaches the far row, or takes the last piece, has won."""
    cells, to_move, views, winner, ply = fields
    area = cells.shape[1]
    seat = to_move[row]
    upper = action % area
    lower = upper + columns + action // area - 1
    source, target = (lower, upper) if seat else (upper, lower)
    taken = cells[row, target] != 0
    cells[row, source] = 0
    cells[row, target] = 1 + seat
    to_move[row] = 1 - seat
    views[row] = 1 - seat
    ply[row] += 1
    arrived = upper < columns if seat else lower >= area - columns
    if arrived or (taken and not _has_piece(cells, row, 1 - seat)):
        winner[row] = seat


@njit(cache=True, nogil=True, _nrt=False)
def _copy(fields, source: int, target: int) -> None:
    cells, to_move, views, winner, ply = fields
    for cell in range(cells.shape[1]):
        cells[target, cell] = cells[source, cell]
    to_move[target] = to_move[source]
    views[target] = views[source]
    winner[target] = winner[source]
    ply[target] = ply[source]


@njit(cache=True, nogil=True, _nrt=False)
def step(states: BreakthroughStates, parents: IntArray, actions: IntArray, children: IntArray, columns: int) -> None:
    """Copy row parents[k] to children[k] and play actions[k] there, one k after the other."""
    fields = states[:_USED]
    for k in range(parents.shape[0]):
        source, target = np.intp(parents[k]), np.intp(children[k])
        if source != target:
            _copy(fields, source, target)
        _play(fields, target, np.intp(actions[k]), columns)


@njit(cache=True, nogil=True, _nrt=False)
def legal_mask(states: BreakthroughStates, rows: IntArray, out: BoolArray, columns: int) -> None:
    """Write what is legal in ``rows`` [L] into bool [L, 3 * cells]."""
    cells, to_move, _, winner, _ = states[:_USED]
    for i in range(rows.shape[0]):
        row = rows[i]
        going, seat = winner[row] < 0, to_move[row]
        for action in range(out.shape[1]):
            out[i, action] = going and _is_legal(cells, row, seat, action, columns)


@njit(cache=True, nogil=True, _nrt=False)
def codes(states: BreakthroughStates, rows: IntArray, out: Int8Array, columns: int) -> None:
    """Write what the movers of ``rows`` [L] see into int8 [L, 4 * cells]: 1 own and 2 other pieces, then 1 for each
    action that is legal."""
    cells, _, views, winner, _ = states[:_USED]
    area = cells.shape[1]
    for i in range(rows.shape[0]):
        row = rows[i]
        mine = 1 + views[row]
        for first in range(0, area, columns):
            shown = area - columns - first if views[row] else first
            for column in range(columns):
                piece = cells[row, shown + column]
                own_code = np.int8(1) if piece == mine else np.int8(2)
                out[i, first + column] = own_code if piece else np.int8(0)
        for action in range(area, out.shape[1]):
            out[i, action] = 0
        if winner[row] >= 0:
            continue
        for source in range(area - columns):
            if out[i, source] != 1:
                continue
            column = source % columns
            for k in range(DIRECTIONS):
                if 0 <= column + k - 1 < columns:
                    met = out[i, source + columns + k - 1]
                    out[i, area * (1 + k) + source] = met == 0 or (k != 1 and met == 2)


@njit(cache=True, nogil=True)
def random_playouts(states: BreakthroughStates, seed: int, repeats: int, columns: int) -> npt.NDArray[np.int64]:
    """Play uniformly random games to their end, ``repeats`` in each row but the last, which is the position that every
    game starts from; return int64 [2]: moves played, games that seat 0 won."""
    fields = states[:_USED]
    cells, to_move, _, winner, _ = fields
    start, actions = cells.shape[0] - 1, DIRECTIONS * cells.shape[1]
    moves = 0
    wins = 0
    random = np.uint64(seed)
    for _ in range(repeats):
        for row in range(start):
            _copy(fields, start, row)
            while winner[row] < 0:
                random += GAMMA
                action = drawn(random, actions)
                if _is_legal(cells, row, to_move[row], action, columns):  # whoever moves has a legal one
                    _play(fields, row, action, columns)
                    moves += 1
            wins += winner[row] == 0
    return np.array([moves, wins])
