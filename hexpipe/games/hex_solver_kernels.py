"""Depth-first search of small Hex positions with proof carriers, on bitboards.

A position is two sets of cells (bit ``row * n + column`` of an int64), black's and white's, and the colour to move.
The search returns, with the winner, its *carrier*: a set of empty cells such that the winner wins whatever happens
outside it. A move that loses to a carrier loses wherever else it is played too, so only the common cells of all
carriers found so far need trying: the must-play region (Hayward et al., "Solving 7x7 Hex with domination, virtual
connections, and proof carriers", Theoretical Computer Science 349, 2005, section 3).

Results are packed as ``carrier << 1 | (1 if the side to move wins)``. The transposition table is two arrays of a
power of two entries: ``keys`` int64 (0 empty, else the whole position, so no entry is ever mistaken for another) and
``results`` int64. ``edges`` are the cells along the top, bottom, left and right.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Int64Array = npt.NDArray[np.int64]
Edges = tuple[int, int, int, int]

_FAR = 99  # a distance above every other
_BLACK, _WHITE, _COLOUR, _REGION, _CARRIER, _KEY, _MOVE = range(7)  # columns of a level's frame


@njit(cache=True, nogil=True)
def _neighbours(cells: int, n: int, edges: Edges) -> int:
    """The cells that touch a cell of the set (some of the set itself may be among them)."""
    not_left = cells & ~edges[2]
    not_right = cells & ~edges[3]
    around = (cells << n) | (cells >> n) | (not_right << 1) | (not_left >> 1)
    return (around | (not_right >> (n - 1)) | (not_left << (n - 1))) & ((1 << (n * n)) - 1)


@njit(cache=True, nogil=True)
def connects(stones: int, colour: int, n: int, edges: Edges) -> bool:
    """Whether ``stones`` join the two edges of ``colour``."""
    goal = edges[2 * colour + 1]
    reached = edges[2 * colour] & stones
    while True:
        more = (reached | _neighbours(reached, n, edges)) & stones
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
def _touching_two(cells: int, n: int, edges: Edges) -> int:
    """The cells of the board that touch two or more cells of the set."""
    not_left = cells & ~edges[2]
    not_right = cells & ~edges[3]
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
def _bridged(stones: int, empty: int, colour: int, n: int, edges: Edges) -> int:
    """The carrier of a chain of stones and bridges from edge to edge, or -1 if none is seen.

    A bridge is a pair of empty cells that both join the same two things; the pairs of one chain are disjoint, so its
    owner wins even if the other colour is to move. Stones are taken in greedily: a chain may be overlooked.
    """
    start = edges[2 * colour]
    goal = edges[2 * colour + 1]
    carrier: int = 0
    reached: int = start & stones
    while True:
        while True:
            around = _neighbours(reached, n, edges)
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
        bridged = _touching_two(free, n, edges) & stones & ~reached
        if bridged == 0:
            return -1
        stone = bridged & -bridged
        carrier |= _lowest_two(_neighbours(stone, n, edges) & free)
        reached |= stone


@njit(cache=True, nogil=True)
def _distances(stones: int, empty: int, colour: int, far: int, n: int, edges: Edges, out: Int64Array) -> None:
    """out int64 [n * n]: stones that ``colour`` must add to join an edge to each empty cell, that cell included."""
    for cell in range(n * n):
        out[cell] = _FAR
    edge = edges[2 * colour + far]
    reached = edge & stones
    unseen = empty
    distance = 0
    while True:
        while True:  # own stones cost nothing
            more = (reached | _neighbours(reached, n, edges)) & stones
            if more == reached:
                break
            reached = more
        frontier = (edge | _neighbours(reached, n, edges)) & unseen
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
def _rank(black: int, white: int, n: int, edges: Edges, scratch: Int64Array) -> None:
    """Score the empty cells in scratch[2] by the lengths of both colours' shortest paths through them; less is better.

    scratch int64 [3, n * n].
    """
    empty = ((1 << (n * n)) - 1) & ~(black | white)
    scores = scratch[2]
    for cell in range(n * n):
        scores[cell] = 0
    for colour in range(2):
        stones = white if colour else black
        _distances(stones, empty, colour, 0, n, edges, scratch[0])
        _distances(stones, empty, colour, 1, n, edges, scratch[1])
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
def _threats(stones: int, empty: int, colour: int, n: int, edges: Edges) -> tuple[int, int]:
    """The common cells, and all cells, of the bridge chains that one more stone of ``colour`` would complete."""
    common = rest = empty
    carrier = 0
    while rest and common:
        cell = rest & -rest
        rest &= rest - 1
        chain: int = _bridged(stones | cell, empty & ~cell, colour, n, edges)
        if chain >= 0:
            carrier |= chain | cell
            common &= chain | cell
    return common, carrier


@njit(cache=True, nogil=True)
def _bridge_win(stones: int, empty: int, colour: int, n: int, edges: Edges) -> int:
    """The carrier of a bridge chain that one more stone of ``colour`` completes, that stone's cell included, or -1."""
    rest = empty
    while rest:
        cell = rest & -rest
        rest &= rest - 1
        chain: int = _bridged(stones | cell, empty & ~cell, colour, n, edges)
        if chain >= 0:
            return chain | cell
    return -1


@njit(cache=True, nogil=True)
def _slot(key: int, keys: Int64Array) -> int:
    """Where the table keeps ``key``."""
    slot: int = ((key * 0x1E3779B97F4A7C15) >> 36) & (keys.shape[0] - 1)
    return slot


@njit(cache=True, nogil=True)
def _enter(
    black: int,
    white: int,
    colour: int,
    n: int,
    edges: Edges,
    keys: Int64Array,
    results: Int64Array,
    frame: Int64Array,
    scratch: Int64Array,
) -> int:
    """The packed result where the table or the bridges tell it; else -1, with ``frame`` and the scores set up."""
    area = n * n
    key = 1 + (black | white << area | colour << (2 * area))
    slot = _slot(key, keys)
    known: int
    if keys[slot] == key:
        known = results[slot]
        return known
    own, other = (white, black) if colour else (black, white)
    empty = ((1 << area) - 1) & ~(black | white)
    chain: int = _bridged(other, empty, 1 - colour, n, edges)
    if chain >= 0:
        return chain << 1
    chain = _bridge_win(own, empty, colour, n, edges)
    if chain >= 0:
        return chain << 1 | 1
    region, carrier = _threats(other, empty, 1 - colour, n, edges)
    if region == 0:
        known = carrier << 1
        return known
    _rank(black, white, n, edges, scratch)
    for move in range(area):
        cell = 1 << move
        if region & cell:
            answers, chains = _threats(own | cell, empty & ~cell, colour, n, edges)
            if answers == 0:
                known = (cell | chains) << 1 | 1
                return known
            scratch[2, move] += 64 * _count(answers)
    frame[_BLACK], frame[_WHITE], frame[_COLOUR] = black, white, colour
    frame[_REGION], frame[_CARRIER], frame[_KEY] = region, carrier, key
    return -1


@njit(cache=True, nogil=True)
def solve(
    black: int,
    white: int,
    colour: int,
    n: int,
    edges: Edges,
    keys: Int64Array,
    results: Int64Array,
    frames: Int64Array,
    scratch: Int64Array,
) -> int:
    """Solve a position that nobody has won yet; ``carrier << 1 | (1 if colour, which is to move, wins)``.

    A depth-first search with its own stack (compiled kernels that call themselves cannot be kept on disk): frames
    int64 [n * n + 1, 7] and scratch int64 [n * n + 1, 3, n * n] hold a row for each level.
    """
    found: int = _enter(black, white, colour, n, edges, keys, results, frames[0], scratch[0])
    if found >= 0:
        return found
    level = 0
    while True:
        frame = frames[level]
        if frame[_REGION]:
            move = _best(frame[_REGION], scratch[level, 2])
            cell = 1 << move
            frame[_MOVE] = cell
            black, white, colour = frame[_BLACK], frame[_WHITE], frame[_COLOUR]
            if colour == 0:
                black |= cell
            else:
                white |= cell
            below = level + 1
            found = _enter(black, white, 1 - colour, n, edges, keys, results, frames[below], scratch[below])
            if found < 0:
                level = below
                continue
        else:  # every move loses to one of the carriers
            found = frame[_CARRIER] << 1
            slot = _slot(frame[_KEY], keys)
            keys[slot], results[slot] = frame[_KEY], found
            level -= 1
            if level < 0:
                return found
        frame = frames[level]
        if found & 1 == 0:  # the other colour, to move, loses: the move wins
            found = (frame[_MOVE] | found >> 1) << 1 | 1
            slot = _slot(frame[_KEY], keys)
            keys[slot], results[slot] = frame[_KEY], found
            level -= 1
            if level < 0:
                return found
            frame = frames[level]
        frame[_CARRIER] |= found >> 1
        frame[_REGION] &= found >> 1


@njit(cache=True, nogil=True)
def winning_moves(
    black: int,
    white: int,
    colour: int,
    n: int,
    edges: Edges,
    keys: Int64Array,
    results: Int64Array,
    frames: Int64Array,
    scratch: Int64Array,
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
        if connects(after_white if colour else after_black, colour, n, edges):
            winning |= 1 << move
            continue
        reply = solve(after_black, after_white, 1 - colour, n, edges, keys, results, frames, scratch)
        if reply & 1:
            region &= reply >> 1
        else:
            winning |= 1 << move
    return winning & region
