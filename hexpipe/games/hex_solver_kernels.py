"""Depth-first search of small Hex positions with proof carriers, on bitboards.

A position is two sets of cells (bit ``row * n + column`` of an int64), black's and white's, and the colour to move.
The search returns, with the winner, its *carrier*: a set of empty cells such that the winner wins whatever happens
outside it. A move that loses to a carrier loses wherever else it is played too, so only the common cells of all
carriers found so far need trying: the must-play region (Hayward et al., "Solving 7x7 Hex with domination, virtual
connections, and proof carriers", Theoretical Computer Science 349, 2005, section 3).

Results are packed as ``carrier << 1 | (1 if the side to move wins)``. The transposition table is two arrays of a
power of two entries: ``keys`` int64 (0 empty, else the whole position, so no entry is ever mistaken for another) and
``results`` int64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int64, njit

Int64Array = npt.NDArray[np.int64]

_FAR = 99  # a distance above every other


@njit(cache=True, nogil=True)
def _neighbours(cells: int, n: int) -> int:
    """The cells that touch a cell of the set (some of the set itself may be among them)."""
    full = (1 << (n * n)) - 1
    left = 0
    for row in range(n):
        left |= 1 << (row * n)
    not_left = cells & ~left
    not_right = cells & ~(left << (n - 1))
    around = (cells << n) | (cells >> n) | (not_right << 1) | (not_left >> 1)
    return (around | (not_right >> (n - 1)) | (not_left << (n - 1))) & full


@njit(cache=True, nogil=True)
def _edge(colour: int, far: bool, n: int) -> int:
    """The cells along an edge of ``colour``: top or, if far, bottom for black; left or right for white."""
    cells = 0
    along = n - 1 if far else 0
    for k in range(n):
        cells |= 1 << (along * n + k if colour == 0 else k * n + along)
    return cells


@njit(cache=True, nogil=True)
def connects(stones: int, colour: int, n: int) -> bool:
    """Whether ``stones`` join the two edges of ``colour``."""
    goal = _edge(colour, True, n)
    reached = _edge(colour, False, n) & stones
    while True:
        more = (reached | _neighbours(reached, n)) & stones
        if more & goal:
            return True
        if more == reached:
            return (reached & goal) != 0
        reached = more


@njit(cache=True, nogil=True)
def _lowest_two(cells: int) -> int:
    """The two lowest cells of a set of at least two."""
    rest = cells & (cells - 1)
    return (cells & -cells) | (rest & -rest)


@njit(cache=True, nogil=True)
def _touching_two(cells: int, n: int) -> int:
    """The cells of the board that touch two or more cells of the set."""
    left = 0
    for row in range(n):
        left |= 1 << (row * n)
    not_left = cells & ~left
    not_right = cells & ~(left << (n - 1))
    once = cells << n
    twice = 0
    shifted = cells >> n
    twice |= once & shifted
    once |= shifted
    shifted = not_right << 1
    twice |= once & shifted
    once |= shifted
    shifted = not_left >> 1
    twice |= once & shifted
    once |= shifted
    shifted = not_right >> (n - 1)
    twice |= once & shifted
    once |= shifted
    shifted = not_left << (n - 1)
    twice |= once & shifted
    return twice


@njit(cache=True, nogil=True)
def _bridged(stones: int, empty: int, colour: int, n: int) -> int:
    """The carrier of a chain of stones and bridges from edge to edge, or -1 if none is seen.

    A bridge is a pair of empty cells that both join the same two things; the pairs of one chain are disjoint, so its
    owner wins even if the other colour is to move. Stones are taken in greedily: a chain may be overlooked.
    """
    start = _edge(colour, False, n)
    goal = _edge(colour, True, n)
    carrier = 0
    reached = start & stones
    while True:
        while True:
            around = _neighbours(reached, n)
            more = (reached | around) & stones
            if more == reached:
                break
            reached = more
        if reached & goal:
            return carrier
        free = (start | around) & empty & ~carrier
        last = free & goal
        if last & (last - 1):
            return carrier | _lowest_two(last)
        bridged = _touching_two(free, n) & stones & ~reached
        if bridged == 0:
            return -1
        stone = bridged & -bridged
        carrier |= _lowest_two(_neighbours(stone, n) & free)
        reached |= stone


@njit(cache=True, nogil=True)
def _distances(stones: int, empty: int, colour: int, far: bool, n: int, out: Int64Array) -> None:
    """out int64 [n * n]: stones that ``colour`` must add to join an edge to each empty cell, that cell included."""
    for cell in range(n * n):
        out[cell] = _FAR
    edge = _edge(colour, far, n)
    reached = edge & stones
    unseen = empty
    distance = 0
    while True:
        while True:  # own stones cost nothing
            more = (reached | _neighbours(reached, n)) & stones
            if more == reached:
                break
            reached = more
        frontier = (edge | _neighbours(reached, n)) & unseen
        if frontier == 0:
            return
        distance += 1
        unseen &= ~frontier
        reached |= frontier
        stones |= frontier
        for cell in range(n * n):
            if frontier >> cell & 1:
                out[cell] = distance


@njit(cache=True, nogil=True)
def _rank(black: int, white: int, n: int, scratch: Int64Array) -> None:
    """Score the empty cells in scratch[2] by the lengths of both colours' shortest paths through them, less is better."""
    empty = ((1 << (n * n)) - 1) & ~(black | white)
    scores = scratch[2]
    for cell in range(n * n):
        scores[cell] = 0
    for colour in range(2):
        stones = white if colour else black
        _distances(stones, empty, colour, False, n, scratch[0])
        _distances(stones, empty, colour, True, n, scratch[1])
        for cell in range(n * n):
            if empty >> cell & 1:
                scores[cell] += scratch[0, cell] + scratch[1, cell]


@njit(cache=True, nogil=True)
def _best(region: int, scores: Int64Array) -> int:
    """The cell of ``region`` with the least score."""
    best = -1
    for cell in range(scores.shape[0]):
        if region >> cell & 1 and (best < 0 or scores[cell] < scores[best]):
            best = cell
    return best


@njit(cache=True, nogil=True)
def _count(cells: int) -> int:
    count = 0
    while cells:
        cells &= cells - 1
        count += 1
    return count


@njit(cache=True, nogil=True)
def _look(own: int, other: int, colour: int, n: int) -> tuple[int, int, int]:
    """What bridges alone tell about a position with ``own``'s ``colour`` to move: (result, region, carrier).

    Result is packed as by `solve`, or -1 if open; then region is the must-play region and carrier the cells of the
    threats that it was cut down by.
    """
    empty = ((1 << (n * n)) - 1) & ~(own | other)
    chain = _bridged(other, empty, 1 - colour, n)
    if chain >= 0:
        return chain << 1, 0, 0
    carrier = 0
    region = empty
    rest = empty
    while rest:
        cell = rest & -rest
        rest &= rest - 1
        chain = _bridged(own | cell, empty & ~cell, colour, n)
        if chain >= 0:
            return (chain | cell) << 1 | 1, 0, 0
    rest = empty
    while rest:
        cell = rest & -rest
        rest &= rest - 1
        chain = _bridged(other | cell, empty & ~cell, 1 - colour, n)
        if chain >= 0:
            carrier |= chain | cell
            region &= chain | cell
            if region == 0:
                return carrier << 1, 0, 0
    return -1, region, carrier


@njit(int64(int64, int64, int64, int64, int64[::1], int64[::1], int64[:, :, ::1]), cache=True, nogil=True)
def solve(
    black: int, white: int, colour: int, n: int, keys: Int64Array, results: Int64Array, scratch: Int64Array
) -> int:
    """Solve a position that nobody has won yet; ``carrier << 1 | (1 if colour, which is to move, wins)``.

    scratch int64 [n * n + 1, 3, n * n] has a plane for each number of empty cells.
    """
    area = n * n
    key = 1 + (black | white << area | colour << (2 * area))
    slot = ((key * 0x1E3779B97F4A7C15) >> 36) & (keys.shape[0] - 1)
    if keys[slot] == key:
        return results[slot]
    own, other = (white, black) if colour else (black, white)
    result, region, carrier = _look(own, other, colour, n)
    if result >= 0:
        return result
    depth = _count(((1 << area) - 1) & ~(black | white))
    _rank(black, white, n, scratch[depth])
    scores = scratch[depth, 2]
    won = 0
    for move in range(area):
        cell = 1 << move
        if region & cell:
            reply, answers, _ = _look(other, own | cell, 1 - colour, n)
            if reply < 0:
                scores[move] += 64 * _count(answers)
            elif reply & 1:
                carrier |= reply >> 1
                region &= reply >> 1
            else:
                won = 1
                carrier = cell | reply >> 1
                break
    while region and not won:
        move = _best(region, scores)
        if colour == 0:
            reply = solve(black | 1 << move, white, 1, n, keys, results, scratch)
        else:
            reply = solve(black, white | 1 << move, 0, n, keys, results, scratch)
        if reply & 1 == 0:
            won = 1
            carrier = 1 << move | reply >> 1
        else:
            carrier |= reply >> 1
            region &= reply >> 1
    keys[slot] = key
    results[slot] = carrier << 1 | won
    return carrier << 1 | won


@njit(cache=True, nogil=True)
def winning_moves(
    black: int, white: int, colour: int, n: int, keys: Int64Array, results: Int64Array, scratch: Int64Array
) -> int:
    """The cells where ``colour``, which is to move in a position that nobody has won yet, wins; 0 if it loses."""
    area = n * n
    region = ((1 << area) - 1) & ~(black | white)
    winning = 0
    for move in range(area):
        if region >> move & 1 == 0:
            continue
        after_black = black | 1 << move if colour == 0 else black
        after_white = white | 1 << move if colour == 1 else white
        if connects(after_white if colour else after_black, colour, n):
            winning |= 1 << move
            continue
        reply = solve(after_black, after_white, 1 - colour, n, keys, results, scratch)
        if reply & 1:
            region &= reply >> 1
        else:
            winning |= 1 << move
    return winning & region
