"""Batched rules of n in a row in numba. Chains at the end of a game are `chain_kernels`'.

A step looks at the chains through the new stone, counts it in one bucket of the thumbnail, and scans the view only
once that may be full; nothing in it grows with the board but the copy of the row. Other rules for rows than the usual
one have a step of their own, `step_strictly`: one number more that `_play` is told costs playouts a third.

`States` is unpacked where a kernel needs views: numba takes every attribute called ``view`` for the method of arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games import renju_kernels
from hexpipe.games.chain_kernels import threat_levels
from hexpipe.games.draw_kernels import GAMMA, drawn
from hexpipe.games.game_env import BoolArray, Int8Array, Int16Array, IntArray, States, UInt8Array
from hexpipe.games.local_view_kernels import cell_of_action, holds_empty, place_view

_OFF_BOARD = 4
_ROUND_UP_HALVES = 0.5 + 1e-6  # a bucket has far less than a million cells: only what is a half is lifted over it


class Rules(NamedTuple):
    """The game's settings as the kernels take them.

    ``buckets`` int16 [n], of each row (or column), and ``shades`` float64 [V * V], 127 / cells of each bucket and 0 for
    those of none, are the thumbnail's.
    """

    board_size: int
    view_size: int
    num_seats: int
    win_length: int
    max_plies: int
    thumbnail: bool
    buckets: Int16Array
    shades: npt.NDArray[np.float64]


@njit(cache=True, nogil=True, _nrt=False)
def _beyond(cells: Int8Array, row: int, i: int, j: int, down: int, right: int, n: int) -> int:
    """How many stones like that on (i, j) follow it without a gap in one direction."""
    stone = cells[row, i * n + j]
    count = 0
    i, j = i + down, j + right
    while 0 <= i < n and 0 <= j < n and cells[row, i * n + j] == stone:
        count += 1
        i, j = i + down, j + right
    return count


@njit(cache=True, nogil=True, _nrt=False)
def _play(states: States, row: int, action: int, rules: Rules) -> None:
    """Play ``action`` of the row's view: place the stone, measure its chains, pass the turn, see to the view."""
    cells, _, to_move, views, winner, ply, last, origin, pooled, longest = states
    n, v = rules.board_size, rules.view_size
    i = action // v
    j = action - i * v + origin[row, 1]
    i += origin[row, 0]
    cell = i * n + j
    seat = np.intp(to_move[row])
    cells[row, cell] = 1 + seat
    last[row] = cell
    ply[row] += 1
    to_move[row] = views[row] = seat + 1 if seat + 1 < rules.num_seats else 0
    if rules.thumbnail:
        pooled[row, (seat * v + rules.buckets[i]) * v + rules.buckets[j]] += 1
    length = 0
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        both = _beyond(cells, row, i, j, down, right, n) + _beyond(cells, row, i, j, -down, -right, n)
        length = max(length, 1 + both)
    before: int = longest[row, seat]
    longest[row, seat] = max(before, length)
    if length >= rules.win_length:
        winner[row] = seat
    elif ply[row] >= rules.max_plies:
        winner[row] = rules.num_seats
    elif (
        v < n
        and ply[row] >= v * v  # fewer stones fill no view
        and not holds_empty(cells, row, np.intp(origin[row, 0]), np.intp(origin[row, 1]), v, n)
    ):
        place_view(cells, row, origin, cell, v, n, True)


@njit(cache=True, nogil=True, _nrt=False)
def _copy(states: States, source: int, target: int) -> None:
    cells, _, to_move, views, winner, ply, last, origin, pooled, longest = states
    from_cells, to_cells = cells[source], cells[target]
    for k in range(from_cells.shape[0]):
        to_cells[k] = from_cells[k]
    from_pooled, to_pooled = pooled[source], pooled[target]
    for k in range(from_pooled.shape[0]):
        to_pooled[k] = from_pooled[k]
    for seat in range(longest.shape[1]):
        longest[target, seat] = longest[source, seat]
    to_move[target] = to_move[source]
    views[target] = views[source]
    winner[target] = winner[source]
    ply[target] = ply[source]
    origin[target, 0], origin[target, 1] = origin[source, 0], origin[source, 1]
    last[target] = last[source]


@njit(cache=True, nogil=True, _nrt=False)
def reset(states: States, rows: IntArray, rules: Rules) -> None:
    """Put ``rows`` [L] back to the empty board, seen in its middle."""
    cells, _, to_move, views, winner, ply, last, origin, pooled, longest = states
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        cells[row, :] = 0
        pooled[row, :] = 0
        longest[row, :] = 0
        to_move[row] = views[row] = 0
        winner[row] = -1
        ply[row] = 0
        last[row] = -1
        place_view(cells, row, origin, -1, rules.view_size, rules.board_size, False)


@njit(cache=True, nogil=True, _nrt=False)
def step(states: States, parents: IntArray, actions: IntArray, children: IntArray, rules: Rules) -> None:
    """Copy row parents[k] to children[k] and play actions[k] there, one k after the other."""
    for k in range(parents.shape[0]):
        source = np.intp(parents[k])
        target = np.intp(children[k])
        if source != target:
            _copy(states, source, target)
        _play(states, target, np.intp(actions[k]), rules)


@njit(cache=True, nogil=True, _nrt=False)
def _too_long(cells: Int8Array, row: int, cell: int, n: int, wanted: int) -> bool:
    """Whether no row through the stone on ``cell`` is of exactly ``wanted``."""
    i, j = cell // n, cell % n
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        both = _beyond(cells, row, i, j, down, right, n) + _beyond(cells, row, i, j, -down, -right, n)
        if 1 + both == wanted:
            return False
    return True


@njit(cache=True, nogil=True, _nrt=False)
def step_strictly(
    states: States,
    parents: IntArray,
    actions: IntArray,
    children: IntArray,
    rules: Rules,
    longer_from: int,
    renju: bool,
) -> None:
    """`step` where more than ``win_length`` in a row win for the seats from ``longer_from`` on alone.

    With ``renju`` a position in which seat 0 is to move and has no legal move is a draw.
    """
    n, v = rules.board_size, rules.view_size
    cells, _, to_move, _, winner, ply, last, origin, _, _ = states
    for k in range(parents.shape[0]):
        source = np.intp(parents[k])
        target = np.intp(children[k])
        if source != target:
            _copy(states, source, target)
        _play(states, target, np.intp(actions[k]), rules)
        seat = winner[target]
        if 0 <= seat < longer_from and _too_long(cells, target, np.intp(last[target]), n, rules.win_length):
            winner[target] = -1  # the game goes on, as it does after any stone that does not win
            if ply[target] >= rules.max_plies:
                winner[target] = rules.num_seats
            elif v < n and not holds_empty(cells, target, np.intp(origin[target, 0]), np.intp(origin[target, 1]), v, n):
                place_view(cells, target, origin, np.intp(last[target]), v, n, True)
        if renju and winner[target] < 0 and to_move[target] == 0 and not renju_kernels.may_move(cells, target, n):
            winner[target] = rules.num_seats


@njit(cache=True, nogil=True)
def replay_threats(states: States, actions: Int16Array, origins: Int16Array, rules: Rules, out: UInt8Array) -> None:
    """out uint8 [T]: the threat levels before each of ``actions`` int16 [T] is played in row 0, which is at the start;
    ``origins`` int16 [T, 2] are their views', [0, 2] where views stay put."""
    row = np.zeros(1, np.int32)
    for ply in range(actions.shape[0]):
        if origins.shape[0]:
            states.origin[0, 0], states.origin[0, 1] = origins[ply, 0], origins[ply, 1]
        threat_levels(states.longest, row, rules.win_length, out[ply : ply + 1])
        _play(states, 0, np.intp(actions[ply]), rules)


@njit(cache=True, nogil=True, _nrt=False)
def place_views(states: States, rows: IntArray, centres: IntArray, rules: Rules) -> None:
    """Put the views of ``rows`` [L] around the cells ``centres`` [L], -1 for around the last stone (`place_view`)."""
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        centre = np.intp(centres[k] if centres[k] >= 0 else states.last[row])
        ongoing = states.winner[row] < 0
        place_view(states.cells, row, states.origin, centre, rules.view_size, rules.board_size, ongoing)


@njit(cache=True, nogil=True, _nrt=False)
def legal_mask(states: States, rows: IntArray, rules: Rules, out: BoolArray) -> None:
    """out bool [L, A]: the empty cells that the view shows; nothing once the game is over."""
    cells, _, _, _, winner, _, _, origin, _, _ = states
    n, v = rules.board_size, rules.view_size
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        top: int = origin[row, 0]
        left: int = origin[row, 1]
        first, last = max(0, -left), min(v, n - left)  # columns of the view that are on the board
        out[k, :] = False
        if winner[row] >= 0:
            continue
        for i in range(max(0, -top), min(v, n - top)):
            for j in range(first, last):
                # an unsigned index spares the check for a negative one, here and below
                out[k, np.uintp(i * v + j)] = cells[row, np.uintp((top + i) * n + left + j)] == 0


@njit(cache=True, nogil=True, _nrt=False)
def _write_view(
    cells: Int8Array, row: int, mover: int, top: int, left: int, rules: Rules, out: Int8Array, k: int
) -> None:
    n, v = rules.board_size, rules.view_size
    seats, mine = np.int8(rules.num_seats), np.int8(mover)
    first, last = max(0, -left), min(v, n - left)
    if n < v:
        out[k, : v * v] = _OFF_BOARD
    for i in range(max(0, -top), min(v, n - top)):
        for j in range(first, last):
            stone = cells[row, np.uintp((top + i) * n + left + j)]
            # seats count from the mover: 1 it, 2 the next, 3 the one after
            seen = np.int8(stone - mine)
            seen = seen if seen > 0 else np.int8(seen + seats)
            out[k, np.uintp(i * v + j)] = seen if stone > 0 else np.int8(0)


@njit(cache=True, nogil=True, _nrt=False)
def _shown(start: int, bucket: int, n: int, v: int) -> bool:
    """Whether the middle of a bucket of rows is inside a view's v rows from ``start`` on; on the edge is not."""
    return 2 * start * v < (2 * bucket + 1) * n < 2 * (start + v) * v


@njit(cache=True, nogil=True, _nrt=False)
def _write_thumbnail(
    pooled: Int16Array, row: int, mover: int, top: int, left: int, rules: Rules, out: Int8Array, k: int
) -> None:
    """After the view's codes: a plane of occupancy a seat, from the mover on, and one of the buckets that it shows."""
    n, v, seats, shades = rules.board_size, rules.view_size, rules.num_seats, rules.shades
    area = v * v
    for plane in range(seats):
        seat = mover + plane if mover + plane < seats else mover + plane - seats
        from_here, to_here = seat * area, (1 + plane) * area
        for at in range(area):
            stones = np.float64(pooled[row, np.uintp(from_here + at)])
            out[k, np.uintp(to_here + at)] = np.int8(stones * shades[at] + _ROUND_UP_HALVES)
    first = (1 + seats) * area
    for j in range(v):
        out[k, first + j] = _shown(left, j, n, v)
    for i in range(v - 1, -1, -1):
        shown = np.int8(_shown(top, i, n, v))
        for j in range(v):
            out[k, np.uintp(first + i * v + j)] = shown & out[k, np.uintp(first + j)]


@njit(cache=True, nogil=True, _nrt=False)
def codes(states: States, rows: IntArray, rules: Rules, out: Int8Array) -> None:
    """out int8 [L, C]: the view as its mover sees it, then the thumbnail where the rules have one."""
    cells, _, _, views, _, _, _, origin, pooled, _ = states
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        mover, top, left = np.intp(views[row]), np.intp(origin[row, 0]), np.intp(origin[row, 1])
        _write_view(cells, row, mover, top, left, rules, out, k)
        if rules.thumbnail:
            _write_thumbnail(pooled, row, mover, top, left, rules, out, k)


@njit(cache=True, nogil=True, _nrt=False)
def _bucket_starts(buckets: Int16Array, starts: npt.NDArray[np.int64]) -> None:
    """starts int64 [V + 1]: the first row (or column) of each bucket, and the board's end."""
    starts[:] = 0
    for at in range(len(buckets)):
        starts[buckets[at] + 1] += 1
    for bucket in range(len(starts) - 1):
        starts[bucket + 1] += starts[bucket]


@njit(cache=True, nogil=True, _nrt=False)
def _pool(
    cells: Int8Array,
    row: int,
    rules: Rules,
    starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.uint64],
    pooled: Int16Array,
) -> None:
    """pooled[0]: the stones of cells[row] by seat and bucket. ``starts`` is `_bucket_starts`'.

    Every cell is looked at, but several at once: ``columns`` uint64 [n] counts the four kinds of cell in each column of
    a bucket's rows, 16 bits for each kind (no bucket has more than 67 x 67 cells).
    """
    n, v, area = rules.board_size, rules.view_size, rules.view_size * rules.view_size
    board = cells[row]
    for i in range(v):
        columns[:] = 0
        for at in range(starts[i], starts[i + 1]):
            line = board[at * n : (at + 1) * n]
            for j in range(n):
                columns[np.uintp(j)] += np.uint64(1) << (np.uint64(16) * np.uint64(line[np.uintp(j)]))
        for j in range(v):
            counts = np.uint64(0)
            for column in range(starts[j], starts[j + 1]):
                counts += columns[np.uintp(column)]
            for seat in range(rules.num_seats):
                counts >>= np.uint64(16)
                pooled[0, np.uintp(seat * area + i * v + j)] = counts & np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def codes_from_cells(
    cells: Int8Array, views: Int8Array, origins: Int16Array, rules: Rules, pooled: Int16Array, out: Int8Array
) -> None:
    """`codes` from board cells int8 [B, n * n], views [B] and origins int16 [B, 2]; ``pooled`` int16 [1, S * V * V] is
    room for one position's stones by bucket."""
    starts = np.empty(rules.view_size + 1, np.int64)
    columns = np.empty(rules.board_size, np.uint64)
    _bucket_starts(rules.buckets, starts)
    for k in range(cells.shape[0]):
        mover, top, left = np.intp(views[k]), np.intp(origins[k, 0]), np.intp(origins[k, 1])
        _write_view(cells, k, mover, top, left, rules, out, k)
        if rules.thumbnail:
            _pool(cells, k, rules, starts, columns, pooled)
            _write_thumbnail(pooled, 0, mover, top, left, rules, out, k)


@njit(cache=True, nogil=True, _nrt=False)
def _draw_action(cells: Int8Array, row: int, top: int, left: int, v: int, n: int, counter: np.uint64) -> int:
    """An action drawn evenly from the empty cells that the view at (top, left) shows; there is one.

    ``counter`` and the eight after it are used up.
    """
    for attempt in range(8):
        action: int = drawn((counter + np.uint64(attempt)) * GAMMA, v * v)
        cell = cell_of_action(top, left, action, v, n)
        if cell >= 0 and cells[row, cell] == 0:
            return action
    # a crowded view: count what is free and draw from that
    rows = range(max(top, 0), min(top + v, n))
    first, last = max(left, 0), min(left + v, n)
    free = 0
    for i in rows:
        for j in range(first, last):
            free += cells[row, i * n + j] == 0
    skip = drawn((counter + np.uint64(8)) * GAMMA, free)
    for i in rows:
        for j in range(first, last):
            if cells[row, i * n + j] == 0:
                if skip == 0:
                    return (i - top) * v + j - left
                skip -= 1
    return -1


@njit(cache=True, nogil=True)
def random_playouts(states: States, seed: int, repeats: int, rules: Rules) -> npt.NDArray[np.int64]:
    """Play uniformly random games to their end, ``repeats`` in each row but the last, where each starts from.

    More than ``win_length`` in a row win, too. Every move is drawn from those that the view holds. Returns int64 [2]:
    moves played, games that seat 0 won.
    """
    start = states.cells.shape[0] - 1
    moves = 0
    wins = 0
    counter = np.uint64(seed) << np.uint64(32)
    n, v = rules.board_size, rules.view_size
    for _ in range(repeats):
        for row in range(start):
            _copy(states, start, row)
            while states.winner[row] < 0:
                top, left = np.intp(states.origin[row, 0]), np.intp(states.origin[row, 1])
                action = _draw_action(states.cells, row, top, left, v, n, counter)
                counter += np.uint64(9)
                _play(states, row, action, rules)
                moves += 1
            wins += states.winner[row] == 0
    return np.array([moves, wins])
