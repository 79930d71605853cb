"""Hex positions as sets of cells: what touches, what connects, bridges, threats, distances.

A set is an int64 with bit ``row * n + column`` for a cell, on boards up to 8x8, whose last cell is the sign; shifts to
the right are masked, as they would copy the sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Int64Array = npt.NDArray[np.int64]

MAX_SIZE = 8
NONE = -1
"""Where a set is returned: there is none. All 64 cells of 8x8 together are never a carrier."""
_FAR = 99  # a distance above every other


class Geometry(NamedTuple):
    """A board of n x n cells: all of them, all but the last cell, all but the last row, the cells along the top,
    bottom, left and right, and the cells of the third row from each.

    ``templates`` int64 [4, n, 2]: a stone on the k-th cell of that row is joined to that edge by two of them each, if
    the other colour has no stone there; 0 where the board has no room for it.
    """

    n: int
    board: int
    but_last: int
    but_last_row: int
    edges: tuple[int, int, int, int]
    thirds: tuple[int, int, int, int]
    templates: Int64Array


# A stone of black's on (0, 0), on the third row from the bottom. One more stone joins it to the edge on (1, -1), by
# (2, -2) or (2, -1), or on (1, 1), by (0, 1) or (1, 0) to the stone and by (2, 0) or (2, 1) to the edge. No cell is in
# both ways, so that the other colour cannot cut both at once. The second template is the first in the mirror.
_TEMPLATES = (
    ((0, 1), (1, -1), (1, 0), (1, 1), (2, -2), (2, -1), (2, 0), (2, 1)),
    ((0, -1), (1, 0), (1, -1), (1, -2), (2, 0), (2, -1), (2, -2), (2, -3)),
)


def geometry(n: int) -> Geometry:
    """Return the board of ``n`` x ``n`` cells, its sets as signed numbers."""
    area = n * n
    top, left = (1 << n) - 1, sum(1 << (row * n) for row in range(n))
    edges = (top, top << (area - n), left, left << (n - 1))
    thirds = (top << 2 * n, top << (area - 3 * n), left << 2, left << (n - 3))
    templates = np.zeros((4, n, 2), np.int64)
    for edge, column, which in np.ndindex(templates.shape):
        row, cells = n - 3, 0
        for down, aside in _TEMPLATES[which]:
            i, j = row + down, column + aside
            if not 0 <= j < n:
                cells = 0
                break
            if edge % 2 == 0:  # the board turned by half
                i, j = n - 1 - i, n - 1 - j
            cells |= 1 << (i * n + j if edge < 2 else j * n + i)
        templates[edge, column if edge % 2 else n - 1 - column, which] = signed(cells)
    all_cells = (1 << area) - 1
    signed_edges, signed_thirds = (tuple(map(signed, four)) for four in (edges, thirds))
    return Geometry(n, signed(all_cells), all_cells >> 1, all_cells >> n, signed_edges, signed_thirds, templates)  # type: ignore[arg-type]


def signed(cells: int) -> int:
    """Return a set of up to 64 cells as the int64 of the same bits."""
    return cells - (1 << 64) if cells >> 63 else cells


@njit(cache=True, nogil=True, _nrt=False)
def neighbours(cells: int, g: Geometry) -> int:
    """The cells that touch a cell of the set (some of the set itself may be among them)."""
    n, not_left, not_right = g.n, cells & ~g.edges[2], cells & ~g.edges[3]
    around = (cells << n) | ((cells >> n) & g.but_last_row) | (not_right << 1) | ((not_left >> 1) & g.but_last)
    return (around | (not_right >> (n - 1)) | (not_left << (n - 1))) & g.board


@njit(cache=True, nogil=True, _nrt=False)
def connects(stones: int, colour: int, g: Geometry) -> bool:
    """Whether ``stones`` join the two edges of ``colour``."""
    goal = g.edges[2 * colour + 1]
    reached = g.edges[2 * colour] & stones
    while True:
        more = (reached | neighbours(reached, g)) & stones
        if more & goal:
            return True
        if more == reached:
            return (reached & goal) != 0
        reached = more


@njit(cache=True, nogil=True, _nrt=False)
def _lowest_two(cells: int) -> int:
    """The two lowest cells of a set of at least two."""
    rest = cells & (cells - 1)
    return (cells & -cells) | (rest & -rest)


@njit(cache=True, nogil=True, _nrt=False)
def _touching_two(cells: int, g: Geometry) -> int:
    """The cells of the board that touch two or more cells of the set (bits beyond the board may be set)."""
    n, not_left, not_right = g.n, cells & ~g.edges[2], cells & ~g.edges[3]
    once = cells << n
    twice = 0
    shifted = (cells >> n) & g.but_last_row
    twice |= once & shifted
    once |= shifted
    shifted = not_right << 1
    twice |= once & shifted
    once |= shifted
    shifted = (not_left >> 1) & g.but_last
    twice |= once & shifted
    once |= shifted
    shifted = not_right >> (n - 1)
    twice |= once & shifted
    once |= shifted
    shifted = not_left << (n - 1)
    twice |= once & shifted
    return twice


@njit(cache=True, nogil=True, _nrt=False)
def bridged(stones: int, empty: int, colour: int, g: Geometry) -> int:
    """The carrier of a chain of stones and bridges from edge to edge, or `NONE` if none is seen.

    A bridge is a pair of empty cells that both join the same two things; a stone on the third row is joined to the
    edge by a template. All are disjoint in one chain, so its owner wins even if the other colour is to move. Stones are
    taken in greedily: a chain may be overlooked.
    """
    start = g.edges[2 * colour]
    goal = g.edges[2 * colour + 1]
    carrier: int = 0
    reached: int = start & stones
    while True:
        while True:
            around = neighbours(reached, g)
            more = (reached | around) & stones
            if more == reached:
                break
            reached = more
        if reached & goal:
            return carrier
        free = (start | around) & empty & ~carrier
        last = free & goal
        if last & (last - 1):
            carrier |= _lowest_two(last)
            return carrier
        if reached & g.thirds[2 * colour + 1]:
            _, template = _template(reached, stones, empty & ~carrier, 2 * colour + 1, g)
            if template:
                return carrier | (template & empty)
        found = _touching_two(free, g) & stones & ~reached
        if found:
            stone = found & -found
            carrier |= _lowest_two(neighbours(stone, g) & free)
            reached |= stone
        else:
            joined, template = _template(stones & ~reached, stones, empty & ~carrier, 2 * colour, g)
            if joined == 0:
                return NONE
            carrier |= template & empty
            reached |= joined


@njit(cache=True, nogil=True, _nrt=False)
def _template(some: int, stones: int, free: int, edge: int, g: Geometry) -> tuple[int, int]:
    """One of ``some`` of the ``stones`` that a template of ``free`` and own cells joins to ``edge``, and the template;
    (0, 0) without."""
    third = some & g.thirds[edge]
    if third == 0:
        return 0, 0
    for k in range(g.n):
        cell = 1 << (k + g.n * (2 if edge == 0 else g.n - 3) if edge < 2 else k * g.n + (2 if edge == 2 else g.n - 3))
        if third & cell:
            for which in range(2):
                template = g.templates[edge, k, which]
                if template and template & ~(free | stones) == 0:
                    return cell, template
    return 0, 0


@njit(cache=True, nogil=True, _nrt=False)
def threats(stones: int, empty: int, colour: int, g: Geometry) -> tuple[int, int]:
    """The common cells, and all cells, of the bridge chains that one more stone of ``colour`` would complete."""
    common = rest = empty
    carrier = 0
    while rest and common:
        cell = rest & -rest
        rest &= rest - 1
        chain: int = bridged(stones | cell, empty & ~cell, colour, g)
        if chain != NONE:
            carrier |= chain | cell
            common &= chain | cell
    return common, carrier


@njit(cache=True, nogil=True, _nrt=False)
def bridge_win(stones: int, empty: int, colour: int, g: Geometry) -> int:
    """The carrier of a bridge chain that one more stone of ``colour`` completes, that stone's cell included, or
    `NONE`."""
    rest = empty
    while rest:
        cell = rest & -rest
        rest &= rest - 1
        chain: int = bridged(stones | cell, empty & ~cell, colour, g)
        if chain != NONE:
            return chain | cell
    return NONE


@njit(cache=True, nogil=True, _nrt=False)
def _add_distances(stones: int, empty: int, edge: int, g: Geometry, out: Int64Array) -> None:
    """Add to out int64 [n * n], for each empty cell, the stones to be added to join it to ``edge``, itself included."""
    reached = edge & stones
    unseen = empty
    distance = 0
    while True:
        while True:  # own stones cost nothing
            more = (reached | neighbours(reached, g)) & stones
            if more == reached:
                break
            reached = more
        frontier = (edge | neighbours(reached, g)) & unseen
        if frontier == 0:
            break
        distance += 1
        unseen &= ~frontier
        reached |= frontier
        stones |= frontier
        for cell in range(g.n * g.n):
            if frontier >> cell & 1:
                out[cell] += distance
    for cell in range(g.n * g.n):
        if unseen >> cell & 1:
            out[cell] += _FAR


@njit(cache=True, nogil=True, _nrt=False)
def rank(black: int, white: int, g: Geometry, out: Int64Array) -> None:
    """Score each empty cell by the lengths of both colours' shortest paths through it, in out int64 [n * n]; less is
    better."""
    empty = g.board & ~(black | white)
    out[:] = 0
    for side in range(4):
        _add_distances(white if side > 1 else black, empty, g.edges[side], g, out)


@njit(cache=True, nogil=True, _nrt=False)
def count(cells: int) -> int:
    """How many cells are in the set."""
    found = 0
    while cells:
        cells &= cells - 1
        found += 1
    return found
