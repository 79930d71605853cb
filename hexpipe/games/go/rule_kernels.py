"""Batched rules of Go in numba: chains by their liberties, earlier positions by a hash of each.

Every stone knows how many liberties its chain has, capped at `MANY`, so that a move's legality is told by its four
neighbours. After a move the chains that it touched are counted anew, by walking along them. A position is the exclusive
or of a fixed key for each stone on it. ``held`` remembers which colours a point has ever held: a stone of a colour that
its point never held makes a position that has not been there, so that few moves are looked up among the earlier ones.
States are unpacked in each kernel: numba takes an attribute called ``view`` for the method of arrays, and a function
without reference counts (``_nrt=False``) must not return arrays to one that has them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games.draw_kernels import GAMMA, drawn
from hexpipe.games.game_env import BoolArray, Int8Array, Int16Array, Int32Array, IntArray, UInt8Array

MANY = 3
"""So many liberties, or more."""
FREE, TAKEN, SUICIDE, REPEATED = 0, 1, 2, 3
"""What forbids a move, if anything."""
NOTHING = np.uint64(0)


class GoStates(NamedTuple):
    """R states: `game_env.States` without what Go does not need, and what its rules remember of a game.

    last int32 [R] (the last action, -1 at the start); liberties int8 [R, A] (of each stone's chain, 3 for more; 0 of an
    empty point); held uint8 [R, A] (1, 2 or both: the stones that the point has ever held); hashes uint64 [R, 2 A + 1]
    (of the positions after 0, 1, ... ``ply`` plies; what comes after them means nothing).
    """

    cells: Int8Array
    to_move: Int8Array
    view: Int8Array
    winner: Int8Array
    ply: Int32Array
    origin: Int16Array
    last: Int32Array
    liberties: Int8Array
    held: UInt8Array
    hashes: npt.NDArray[np.uint64]


class Board(NamedTuple):
    """What is the same in all states: each point's neighbours int16 [A, 4], -1 after the last; the keys of stones
    uint64 [2, A]; twice the komi."""

    neighbours: Int16Array
    keys: npt.NDArray[np.uint64]
    twice_komi: int


class Desk(NamedTuple):
    """Room to work on, anew for each call from outside: ``queue`` int16 [A], ``taken`` int16 [A], the stones that a
    move captures, and ``marks`` int32 [A + 1], 0 at first: the number of the walk that came by last, and in the last
    element how many there were."""

    queue: Int16Array
    taken: Int16Array
    marks: Int32Array


@njit(cache=True, nogil=True, _nrt=False)
def _count_liberties(cells: Int8Array, liberties: Int8Array, row: int, start: int, board: Board, desk: Desk) -> None:
    """Count the liberties of the chain at ``start``, and write them to each of its stones."""
    neighbours, queue, marks = board.neighbours, desk.queue, desk.marks
    area = cells.shape[1]
    marks[area] += 1
    walk = marks[area]
    colour = cells[row, start]
    queue[0], marks[start] = start, walk
    size, at, count = 1, 0, 0
    while at < size:
        stone = np.intp(queue[at])
        at += 1
        for k in range(4):
            beside = np.intp(neighbours[stone, k])
            if beside < 0:
                break
            if marks[beside] == walk:
                continue
            content = cells[row, beside]
            if content == colour:
                marks[beside] = walk
                queue[size] = beside
                size += 1
            elif content == 0:
                marks[beside] = walk
                count += 1
    capped = np.int8(min(count, MANY))
    for at in range(size):
        liberties[row, np.intp(queue[at])] = capped


@njit(cache=True, nogil=True, _nrt=False)
def _list_chain(cells: Int8Array, row: int, start: int, board: Board, desk: Desk, size: int) -> int:
    """Append the chain at ``start`` to the first ``size`` stones of ``desk.taken``; return how many there are then."""
    neighbours, taken, marks = board.neighbours, desk.taken, desk.marks
    area = cells.shape[1]
    marks[area] += 1
    walk = marks[area]
    colour = cells[row, start]
    at = size
    taken[size], marks[start] = start, walk
    size += 1
    while at < size:
        stone = np.intp(taken[at])
        at += 1
        for k in range(4):
            beside = np.intp(neighbours[stone, k])
            if beside < 0:
                break
            if marks[beside] != walk and cells[row, beside] == colour:
                marks[beside] = walk
                taken[size] = beside
                size += 1
    return size


@njit(cache=True, nogil=True, _nrt=False)
def _list_captured(
    cells: Int8Array, liberties: Int8Array, row: int, point: int, other: int, board: Board, desk: Desk
) -> int:
    """Write the stones of ``other`` whose last liberty is ``point`` to ``desk.taken``; return how many there are."""
    size = 0
    before = desk.marks[cells.shape[1]]
    for k in range(4):
        beside = np.intp(board.neighbours[point, k])
        if beside < 0:
            break
        if cells[row, beside] == other and liberties[row, beside] == 1 and desk.marks[beside] <= before:
            size = _list_chain(cells, row, beside, board, desk, size)
    return size


@njit(cache=True, nogil=True, _nrt=False)
def _forbidden(fields, row: int, point: int, board: Board, desk: Desk) -> int:
    """What forbids the mover of ``row`` a stone on ``point``: `FREE` where nothing does."""
    cells, to_move, _, _, ply, _, liberties, held, hashes = fields
    if cells[row, point] != 0:
        return TAKEN
    seat = to_move[row]
    mine = np.int8(1 + seat)
    breathes = captures = False
    for k in range(4):
        beside = np.intp(board.neighbours[point, k])
        if beside < 0:
            break
        content = cells[row, beside]
        if content == 0:
            breathes = True
        elif content == mine:
            breathes |= liberties[row, beside] > 1
        else:
            captures |= liberties[row, beside] == 1
    if not (breathes or captures):
        return SUICIDE
    if not held[row, point] & mine:
        return FREE
    position = hashes[row, ply[row]] ^ board.keys[seat, point]
    if captures:
        for k in range(_list_captured(cells, liberties, row, point, 3 - mine, board, desk)):
            position ^= board.keys[1 - seat, np.intp(desk.taken[k])]
    seen = False
    for k in range(ply[row] + 1):  # to the end: that takes many at a time
        seen |= hashes[row, k] == position
    return REPEATED if seen else FREE


@njit(cache=True, nogil=True, _nrt=False)
def _lead(cells: Int8Array, row: int, board: Board, desk: Desk) -> int:
    """Seat 0's stones, and the empty points that only they reach, less those of seat 1."""
    neighbours, queue, marks = board.neighbours, desk.queue, desk.marks
    area = cells.shape[1]
    marks[area] += 1
    walk = marks[area]
    lead = 0
    for start in range(area):
        content = cells[row, start]
        if content:
            lead += 3 - 2 * content
        elif marks[start] != walk:
            queue[0], marks[start] = start, walk
            size, at, border = 1, 0, 0
            while at < size:
                point = np.intp(queue[at])
                at += 1
                for k in range(4):
                    beside = np.intp(neighbours[point, k])
                    if beside < 0:
                        break
                    if cells[row, beside]:
                        border |= cells[row, beside]
                    elif marks[beside] != walk:
                        marks[beside] = walk
                        queue[size] = beside
                        size += 1
            if border in (1, 2):
                lead += size * (3 - 2 * border)
    return lead


@njit(cache=True, nogil=True, _nrt=False)
def _play(fields, row: int, action: int, board: Board, desk: Desk) -> None:
    """Play ``action`` in ``row``, and count the points where that ends the game."""
    cells, to_move, views, winner, ply, last, liberties, held, hashes = fields
    area = cells.shape[1]
    seat = to_move[row]
    position = hashes[row, ply[row]]
    if action < area:
        mine = np.int8(1 + seat)
        other = np.int8(2 - seat)
        captured = _list_captured(cells, liberties, row, action, other, board, desk)
        for k in range(captured):
            stone = np.intp(desk.taken[k])
            position ^= board.keys[1 - seat, stone]
            cells[row, stone] = 0
            liberties[row, stone] = 0
        cells[row, action] = mine
        held[row, action] |= mine
        position ^= board.keys[seat, action]
        counted = desk.marks[area]  # chains with later marks are done
        _count_liberties(cells, liberties, row, action, board, desk)
        for k in range(4):
            beside = np.intp(board.neighbours[action, k])
            if beside < 0:
                break
            if cells[row, beside] == other and desk.marks[beside] <= counted:
                _count_liberties(cells, liberties, row, beside, board, desk)
        for at in range(captured):
            for k in range(4):
                beside = np.intp(board.neighbours[np.intp(desk.taken[at]), k])
                if beside < 0:
                    break
                if cells[row, beside] == mine and desk.marks[beside] <= counted:
                    _count_liberties(cells, liberties, row, beside, board, desk)
    ply[row] += 1
    hashes[row, ply[row]] = position
    to_move[row] = 1 - seat
    views[row] = 1 - seat
    if (action == area and last[row] == area) or ply[row] == 2 * area:
        ahead = 2 * _lead(cells, row, board, desk) - board.twice_komi
        winner[row] = 2 if ahead == 0 else 0 if ahead > 0 else 1
    last[row] = action


@njit(cache=True, nogil=True, _nrt=False)
def _copy(fields, source: int, target: int) -> None:
    cells, to_move, views, winner, ply, last, liberties, held, hashes = fields
    for point in range(cells.shape[1]):
        cells[target, point] = cells[source, point]
        liberties[target, point] = liberties[source, point]
        held[target, point] = held[source, point]
    for k in range(ply[source] + 1):
        hashes[target, k] = hashes[source, k]
    to_move[target] = to_move[source]
    views[target] = views[source]
    winner[target] = winner[source]
    ply[target] = ply[source]
    last[target] = last[source]


@njit(cache=True, nogil=True, _nrt=False)
def step(states: GoStates, parents: IntArray, actions: IntArray, children: IntArray, board: Board, desk: Desk) -> None:
    """Copy row parents[k] to children[k] and play actions[k] there, one k after the other."""
    cells, to_move, views, winner, ply, _, last, liberties, held, hashes = states
    fields = cells, to_move, views, winner, ply, last, liberties, held, hashes
    for k in range(parents.shape[0]):
        source, target = np.intp(parents[k]), np.intp(children[k])
        if source != target:
            _copy(fields, source, target)
        _play(fields, target, np.intp(actions[k]), board, desk)


@njit(cache=True, nogil=True, _nrt=False)
def legal_mask(states: GoStates, rows: IntArray, out: BoolArray, board: Board, desk: Desk) -> None:
    """Write what is legal in ``rows`` [L] into bool [L, A + 1]; to pass always is, until the end."""
    cells, to_move, views, winner, ply, _, last, liberties, held, hashes = states
    fields = cells, to_move, views, winner, ply, last, liberties, held, hashes
    area = cells.shape[1]
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        going = winner[row] < 0
        for point in range(area):
            out[k, point] = going and _forbidden(fields, row, point, board, desk) == FREE
        out[k, area] = going


@njit(cache=True, nogil=True, _nrt=False)
def forbidden(states: GoStates, row: int, point: int, board: Board, desk: Desk) -> int:
    """What forbids the mover of ``row`` a stone on ``point``: `FREE` where nothing does."""
    cells, to_move, views, winner, ply, _, last, liberties, held, hashes = states
    fields = cells, to_move, views, winner, ply, last, liberties, held, hashes
    return _forbidden(fields, row, point, board, desk)


@njit(cache=True, nogil=True, _nrt=False)
def lead(cells: Int8Array, board: Board, desk: Desk) -> int:
    """Seat 0's points in cells [1, A] less those of seat 1, without the komi."""
    return _lead(cells, 0, board, desk)


@njit(cache=True, nogil=True, _nrt=False)
def codes(states: GoStates, rows: IntArray, out: Int8Array, board: Board, desk: Desk) -> None:
    """Write what the movers of ``rows`` [L] see into int8 [L, 3 A + 3].

    Of each point: 1, 2, 3 a stone of theirs whose chain has so many liberties, or more, 4, 5, 6 one of the other's;
    then whether it holds the last stone; then whether the last move was a pass, and who has more points as things lie
    (1 the mover, 2 the other, 0 neither); then whether each action is legal.
    """
    cells, to_move, views, winner, ply, _, last, liberties, held, hashes = states
    fields = cells, to_move, views, winner, ply, last, liberties, held, hashes
    area = cells.shape[1]
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        mine = 1 + views[row]
        going = winner[row] < 0
        for point in range(area):
            stone = cells[row, point]
            code = liberties[row, point] if stone == mine else np.int8(MANY + liberties[row, point])
            out[k, point] = code if stone else 0
            out[k, area + point] = last[row] == point
            out[k, 2 * area + 2 + point] = going and _forbidden(fields, row, point, board, desk) == FREE
        ahead = (2 * _lead(cells, row, board, desk) - board.twice_komi) * (1 - 2 * views[row])
        out[k, 2 * area] = last[row] == area
        out[k, 2 * area + 1] = 0 if ahead == 0 else 1 if ahead > 0 else 2
        out[k, 3 * area + 2] = going


@njit(cache=True, nogil=True)
def random_playouts(states: GoStates, seed: int, repeats: int, board: Board, desk: Desk) -> npt.NDArray[np.int64]:
    """Play uniformly random games to their end, ``repeats`` in each row but the last, which is the position that every
    game starts from; return int64 [2]: moves played, passes too, and games that seat 0 won.

    Each legal move is as likely, a pass too. Actions are drawn until one is legal.
    """
    cells, to_move, views, winner, ply, _, last, liberties, held, hashes = states
    fields = cells, to_move, views, winner, ply, last, liberties, held, hashes
    area = cells.shape[1]
    start = cells.shape[0] - 1
    played = 0
    wins = 0
    random = np.uint64(seed)
    for _ in range(repeats):
        for row in range(start):
            _copy(fields, start, row)
            while winner[row] < 0:
                random += GAMMA
                action = drawn(random, area + 1)
                while action < area and _forbidden(fields, row, action, board, desk) != FREE:
                    random += GAMMA
                    action = drawn(random, area + 1)
                _play(fields, row, action, board, desk)
                played += 1
            wins += winner[row] == 0
    return np.array([played, wins])
