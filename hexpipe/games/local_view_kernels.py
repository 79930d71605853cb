"""The local view in numba: which cell an action is, and where a view goes.

A view shows ``view_size`` x ``view_size`` cells; its origin (top, left) is the board row and column of the first of
them. A view as large as the board or larger has one place, in whose middle the board is: it never moves.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hexpipe.games.game_env import Int8Array, Int16Array, Int32Array, IntArray


@njit(cache=True, nogil=True, _nrt=False)
def cell_of_action(top: int, left: int, action: int, view_size: int, board_size: int) -> int:
    """The board cell that ``action`` of the view at (top, left) is, -1 where that is off the board."""
    i = action // view_size
    row = top + i
    column = left + action - i * view_size
    if row < 0 or row >= board_size or column < 0 or column >= board_size:
        return -1
    return row * board_size + column


@njit(cache=True, nogil=True, _nrt=False)
def action_of_cell(top: int, left: int, cell: int, view_size: int, board_size: int) -> int:
    """The action that the board's ``cell`` is in the view at (top, left), -1 where the view does not show it."""
    row = cell // board_size
    i = row - top
    j = cell - row * board_size - left
    if i < 0 or i >= view_size or j < 0 or j >= view_size:
        return -1
    return i * view_size + j


@njit(cache=True, nogil=True, _nrt=False)
def cells_of_actions(origins: Int16Array, actions: IntArray, view_size: int, board_size: int, out: Int32Array) -> None:
    """`cell_of_action` of each of ``actions`` [L] in the views at ``origins`` int16 [L, 2], into ``out`` int32 [L]."""
    for k in range(actions.shape[0]):
        out[k] = cell_of_action(origins[k, 0], origins[k, 1], np.intp(actions[k]), view_size, board_size)


@njit(cache=True, nogil=True, _nrt=False)
def actions_of_cells(origins: Int16Array, cells: IntArray, view_size: int, board_size: int, out: Int32Array) -> None:
    """`action_of_cell` of each of ``cells`` [L] in the views at ``origins`` int16 [L, 2], into ``out`` int32 [L]."""
    for k in range(cells.shape[0]):
        out[k] = action_of_cell(origins[k, 0], origins[k, 1], np.intp(cells[k]), view_size, board_size)


@njit(cache=True, nogil=True, _nrt=False)
def holds_empty(cells: Int8Array, row: int, top: int, left: int, view_size: int, board_size: int) -> bool:
    """Whether the view at (top, left), all of it on the board, shows an empty cell of cells[row]."""
    for i in range(top, top + view_size):
        for j in range(left, left + view_size):
            if cells[row, i * board_size + j] == 0:
                return True
    return False


@njit(cache=True, nogil=True, _nrt=False)
def _outside(at: int, start: int, view_size: int) -> int:
    """How far a view that starts at ``start`` must move to show ``at``; 0 where it does."""
    return at - start if at < start else max(0, at - start - view_size + 1)


@njit(cache=True, nogil=True, _nrt=False)
def place_view(
    cells: Int8Array, row: int, origins: Int16Array, centre: int, view_size: int, board_size: int, wants_empty: bool
) -> None:
    """Put origins[row] so that ``centre`` (-1: the board's middle) is in the view's middle, or as near to it as the
    board's edges let it.

    A view that ``wants_empty`` and shows no empty cell moves to the nearest place that does: by the larger of its moves
    down and across, then by their sum; of equals to that which reaches the first empty cell in reading order.
    """
    room = board_size - view_size
    if room <= 0 or centre < 0:
        origins[row, 0] = origins[row, 1] = room // 2
        if room <= 0:
            return
    else:
        i = centre // board_size
        origins[row, 0] = min(max(i - view_size // 2, 0), room)
        origins[row, 1] = min(max(centre - i * board_size - view_size // 2, 0), room)
    top: int = origins[row, 0]
    left: int = origins[row, 1]
    if not wants_empty or holds_empty(cells, row, top, left, view_size, board_size):
        return
    # the cells at each distance around the view, ring by ring: the nearest empty one says where to go
    for distance in range(1, room + 1):
        best = 2 * distance + 1
        for i in range(max(top - distance, 0), min(top + view_size + distance, board_size)):
            down = _outside(i, top, view_size)
            # above and below the view the whole width is at this distance, beside it the two ends are
            stride = 1 if abs(down) == distance else 2 * distance + view_size - 1
            for j in range(left - distance, left + view_size + distance, stride):
                if j < 0 or j >= board_size:
                    continue
                right = _outside(j, left, view_size)
                if cells[row, i * board_size + j] == 0 and abs(down) + abs(right) < best:
                    best = abs(down) + abs(right)
                    origins[row, 0], origins[row, 1] = top + down, left + right
        if best <= 2 * distance:
            return
