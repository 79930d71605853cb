"""The moves that renju forbids its first player, in numba.

Black, seat 0, may not make an overline (six or more in a row), two fours at once, or two threes at once, and is free to
where the same stone makes exactly five in a row. Terms are those of the Renju International Federation:

- A *four* is four stones of a line that one more stone makes exactly five of.
- A *straight four* is four stones without a gap that two cells, one at either end, make exactly five of.
- A *three* is three stones that one more stone makes a straight four of, provided that black may play it there and that
  it makes no five at the same time. Whether black may is asked by the same rules with the three's own stone in place,
  and so on: a three that can grow only where it would be forbidden is none.

A line is told by what is on the eleven cells from 5 before to 5 after a cell: bit 5 + k of the stones is set where
there is a black stone k cells on, and of the gaps where that cell is empty. No more of it can matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games.game_env import Int8Array, Int16Array, IntArray

ALLOWED, FIVE, OVERLINE, DOUBLE_FOUR, DOUBLE_THREE = range(5)
"""What a stone of black's is: the last three are forbidden."""

_BLACK = 1
_REACH = 5
_SIDE = 16  # bits between the stones and the gaps of a line
_NONE = 99


@njit(cache=True, nogil=True, _nrt=False)
def _line(cells: Int8Array, row: int, i: int, j: int, down: int, right: int, n: int) -> int:
    """The line through (i, j), with a black stone there: stones, and gaps shifted by _SIDE.

    Beyond white's stone or the board's edge there is neither: that is all that matters of it.
    """
    found = 1 << _REACH
    for way in (-1, 1):
        for far in range(1, _REACH + 1):
            k = way * far
            a, b = i + k * down, j + k * right
            if not (0 <= a < n and 0 <= b < n):
                break
            stone = cells[row, a * n + b]
            if stone > _BLACK:
                break
            found |= 1 << (_REACH + k + (0 if stone else _SIDE))
    return found


@njit(cache=True, nogil=True, _nrt=False)
def _longest(line: int) -> int:
    """Stones in the row through the middle of ``line``."""
    length, k = 1, _REACH + 1
    while line >> k & 1 and k <= 2 * _REACH:
        length, k = length + 1, k + 1
    k = _REACH - 1
    while k >= 0 and line >> k & 1:
        length, k = length + 1, k - 1
    return length


@njit(cache=True, nogil=True, _nrt=False)
def _fours(line: int) -> int:
    """How many fours of ``line`` have its middle in them; both ends of a straight four complete the same one."""
    gaps = line >> _SIDE
    fours, at_end = 0, False
    for first in range(1, _REACH + 1):
        five = 31 << first
        stones = line & five
        gap = five ^ stones
        # one cell of the five is no stone, it is empty, and there is no stone beside the five
        found = gap & (gap - 1) == 0 and gap & gaps != 0 and line & (33 << (first - 1) | 1 << (first + 5)) & ~five == 0
        if found and not (at_end and gap == 1 << (first + 4)):
            fours += 1
        at_end = found and gap == 1 << first
    return fours


@njit(cache=True, nogil=True, _nrt=False)
def _straightened(line: int, first: int) -> int:
    """How far from the middle of ``line`` the stone is that makes a straight four of the four cells from bit ``first``
    on; _NONE where no one stone does."""
    gaps = line >> _SIDE
    four = 15 << first
    gap = four & ~line
    ends = 1 << (first - 1) | 1 << (first + 4)
    beyond = 1 << (first - 2) | 1 << (first + 5)
    if gap == 0 or gap & (gap - 1) or gap & gaps == 0 or ends & gaps != ends or line & beyond:
        return _NONE
    for k in range(first, first + 4):
        if gap == 1 << k:
            return k - _REACH
    return _NONE


@njit(cache=True, nogil=True, _nrt=False)
def judged(cells: Int8Array, row: int, i: int, j: int, n: int) -> int:
    """What black's stone on the empty cell (i, j) of cells[row] would be: ALLOWED, FIVE or what forbids it.

    While threes are looked into, stones lie on the board that are taken away before the answer.
    """
    fours = threes = 0
    overline = False
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        line = _line(cells, row, i, j, down, right, n)
        stones = line & 2047
        if stones & (stones - 1) & ((stones & (stones - 1)) - 1) == 0:
            continue  # fewer than two stones beside this one make nothing
        length = _longest(line)
        if length == 5:
            return FIVE
        overline |= length > 5
        fours += _fours(line)
        for first in range(2, 6):
            if _straightened(line, first) != _NONE:
                threes += 1
                break
    if overline:
        return OVERLINE
    if fours > 1:
        return DOUBLE_FOUR
    if threes < 2:
        return ALLOWED
    cells[row, i * n + j] = _BLACK
    threes = 0
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        line = _line(cells, row, i, j, down, right, n)
        for first in range(2, 6):
            k = _straightened(line, first)
            if k != _NONE and judged(cells, row, i + k * down, j + k * right, n) == ALLOWED:
                threes += 1
                break
    cells[row, i * n + j] = 0
    return DOUBLE_THREE if threes > 1 else ALLOWED


@njit(cache=True, nogil=True, _nrt=False)
def forbidden(cells: Int8Array, row: int, i: int, j: int, n: int) -> bool:
    """Whether black may not play the empty cell (i, j) of cells[row]."""
    return judged(cells, row, i, j, n) > FIVE


@njit(cache=True, nogil=True, _nrt=False)
def may_move(cells: Int8Array, row: int, n: int) -> bool:
    """Whether there is a cell of cells[row] that black may play."""
    for i in range(n):
        for j in range(n):
            if cells[row, i * n + j] == 0 and not forbidden(cells, row, i, j, n):
                return True
    return False


@njit(cache=True, nogil=True, _nrt=False)
def _count_near(cells: Int8Array, row: int, n: int, near: npt.NDArray[np.uint16]) -> None:
    """near uint16 [n * n]: black stones up to 4 away from each cell with nothing of white's between, four bits for each
    of the four directions."""
    near[:] = 0
    for i in range(n):
        for j in range(n):
            if cells[row, i * n + j] != _BLACK:
                continue
            one = np.uint16(1)
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                for way in (-1, 1):
                    a, b = i, j
                    for _ in range(4):
                        a, b = a + way * down, b + way * right
                        if not (0 <= a < n and 0 <= b < n) or cells[row, a * n + b] > _BLACK:
                            break
                        near[a * n + b] += one
                one <<= np.uint16(4)


@njit(cache=True, nogil=True)
def shut(
    cells: Int8Array,
    rows: IntArray,
    views: Int8Array,
    origins: Int16Array,
    n: int,
    v: int,
    value: Any,
    out: npt.NDArray[Any],
) -> None:
    """Write ``value`` to out[k] [L, C] at each action that rows[k] forbids black to play, where black is to move.

    Of boards int8 [R, n * n] with their views and origins, seen through views of ``v`` that show the whole board.
    """
    near = np.empty(n * n, np.uint16)
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        if views[row] != 0:
            continue
        _count_near(cells, row, n, near)
        top, left = np.intp(origins[row, 0]), np.intp(origins[row, 1])
        for i in range(n):
            for j in range(n):
                counts = np.int64(near[i * n + j])
                # two directions with two stones or more, or one with four: less makes nothing that is forbidden
                two = counts + 0x6666 & 0x8888
                if two & (two - 1) == 0 and counts + 0x4444 & 0x8888 == 0:
                    continue
                if cells[row, i * n + j] == 0 and forbidden(cells, row, i, j, n):
                    out[k, (i - top) * v + j - left] = value
