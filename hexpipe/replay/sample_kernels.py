"""Compiled loops of the sampler: draw positions by priority, find their pieces, read them into a batch, play on.

What `decode_kernels` says of readers without a lock holds here too: a sample that makes no sense is reported with
``intact`` False, and the sampler judges it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hexpipe.replay.decode_kernels import (
    Decoder,
    board_cell,
    decode_policy,
    decode_threats,
    decode_values,
    policy_place,
    read_beginning,
    read_origin,
    read_value,
    rebuild_cells,
    shown_action,
    stage_layout,
    unsigned,
)
from hexpipe.replay.layout import POLICIES, PieceLayout, Section

PRIORITY_SCALE = 1.0 / 256.0  # of priority codes, see `targets.value_priorities`
MOST_DEAD = 256  # dead games drawn for one position after which the window is too old to draw from


class Ring(NamedTuple):
    """The store's arrays, as `layout` describes them; of each stage its `PieceLayout` as a row of ``layouts`` int64
    [stages, fields] and ``section_starts`` int64 [stages, 11, 3]; ``ring_bytes`` without guard."""

    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    plies: NDArray[np.int32]
    openings: NDArray[np.int32]
    sizes: NDArray[np.int32]
    numbers: NDArray[np.int64]
    stages: NDArray[np.uint8]
    dead: NDArray[np.uint8]
    data: NDArray[np.uint8]
    layouts: NDArray[np.int64]
    section_starts: NDArray[np.int64]
    ring_bytes: int


class Samples(NamedTuple):
    """Where samples go, B rows, U unroll steps.

    Of the batch (see `targets`): policy, values, rewards, actions, mask, unrolled, games; threats and focus, [B, 0]
    where the game has none. Beside it: ``stages`` uint8 [B], what game each is of; ``cells`` int8 [B, n * n of the
    largest board] and ``plies`` int32 [B], absolute, of the start (`play_moves` takes both a step further), ``origins``
    int16 [B, 2] of their views; ``views`` int8 [U + 1, B] of each step and ``moves`` int32 [U, B], the cell it fills
    (-1 where it fills none), both only where mask is 1 (views are 0 elsewhere); ``looking`` bool [B], set before, of
    samples seen in the view of the move before them; ``rings`` int64 [B], the game's ring number, which
    `draw_positions` or `find_games` writes; ``intact`` bool [B].

    Of a game that does more than place stones (`positions.SteppedStates`) ``snapshots`` uint8 [B, bytes] has the
    nearest snapshot, ``beginnings`` int32 [B] is its ply, -1 for the start, ``turns`` uint8 [B] its flags,
    ``replayed`` int16 [B, interval] has the actions from there to the sample's ply, and ``moves`` are absolute actions.
    """

    stages: NDArray[np.uint8]
    cells: NDArray[np.int8]
    plies: NDArray[np.int32]
    origins: NDArray[np.int16]
    views: NDArray[np.int8]
    moves: NDArray[np.int32]
    policy: NDArray[np.float32]
    values: NDArray[np.float32]
    rewards: NDArray[np.float32]
    actions: NDArray[np.int16]
    mask: NDArray[np.float32]
    unrolled: NDArray[np.float32]
    threats: NDArray[np.uint8]
    focus: NDArray[np.int16]
    games: NDArray[np.int64]
    looking: NDArray[np.bool_]
    rings: NDArray[np.int64]
    intact: NDArray[np.bool_]
    snapshots: NDArray[np.uint8]
    beginnings: NDArray[np.int32]
    turns: NDArray[np.uint8]
    replayed: NDArray[np.int16]


@njit(cache=True, nogil=True)
def _find_game(starts: NDArray[np.int64], position: int, tail: int, head: int) -> int:
    """The game in [tail, head) that ``position`` belongs to: the last one that starts at or before it."""
    slots = len(starts)
    to_slot = tail % slots - tail  # one division, not one a step
    low, high = tail, head
    while high - low > 1:
        middle = (low + high) >> 1
        slot = middle + to_slot
        if slot >= slots:
            slot -= slots
        if starts[slot] <= position:
            low = middle
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _section_place(ring: Ring, stage: int, section: int, num_plies: int, snapshots: int) -> np.int64:
    """Where a section begins in a piece of ``stage``."""
    starts = ring.section_starts[stage]
    place: np.int64 = starts[section, 0] + starts[section, 1] * num_plies + starts[section, 2] * snapshots
    return place


@njit(cache=True, nogil=True)
def _priority(ring: Ring, layout: PieceLayout, position: int, slot: int) -> float:
    """The priority of ``position``, above 0 and up to 1; 1 where its game makes no sense: reading it will tell."""
    num_plies = np.int64(ring.plies[slot])
    ply = position - ring.starts[slot] + np.int64(ring.openings[slot])
    piece = ring.offsets[slot]
    stage = np.int64(ring.stages[slot])
    if ply < 0 or ply >= num_plies or piece < 0 or stage >= len(ring.layouts):
        return 1.0
    at = (
        piece
        + _section_place(ring, stage, Section.PRIORITIES, num_plies, (num_plies - 1) // layout.snapshot_interval)
        + ply
    )
    return (1.0 + ring.data[at]) * PRIORITY_SCALE if at < ring.ring_bytes else 1.0


@njit(cache=True, nogil=True)
def _random(state: np.uint64) -> np.uint64:
    """The number that splitmix64 makes of ``state``."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def draw_positions(
    ring: Ring,
    layout: PieceLayout,
    tail: int,
    head: int,
    first: int,
    last: int,
    share: float,
    seed: np.uint64,
    rows: NDArray[np.int64],
    positions: NDArray[np.int64],
    rings: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Fills ``positions`` int64 [L] from [first, last), the window of games [tail, head).

    Each is drawn uniformly, and again until kept: never where its game is dead, else the chance is 1 - share + share *
    priority, which is never 0. Of row rows[i] of the batch, ``rings`` int64 [B] gets the ring number of the game of
    positions[i], and ``weights`` float32 [B] one over the chance at which it was kept. -1 stands for a position that
    was not found: the games of this window have died since.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    state = seed
    span = np.uint64(last - first)
    for i in range(len(positions)):
        positions[i] = -1
        dead = 0
        while dead < MOST_DEAD:
            position = first + np.int64(_random(state) % span)
            game = _find_game(ring.starts, position, tail, head)
            slot = game % len(ring.starts)
            if ring.dead[slot]:
                dead += 1
                state += step
                continue
            chance = 1.0 - share + share * _priority(ring, layout, position, slot)
            kept = np.float64(_random(state + step) >> np.uint64(11)) * 2.0**-53 < chance
            state += step + step
            if kept:
                positions[i] = position
                rings[rows[i]] = game
                weights[rows[i]] = 1.0 / chance
                break


@njit(cache=True, nogil=True)
def find_games(
    ring: Ring,
    tail: int,
    head: int,
    positions: NDArray[np.int64],
    rows: NDArray[np.int64],
    rings: NDArray[np.int64],
) -> None:
    """Writes the ring number of the game of positions[i] (int64, in the window of games [tail, head)) to rings[rows[i]]
    (int64), for all i."""
    for i in range(len(rows)):
        rings[rows[i]] = _find_game(ring.starts, positions[i], tail, head)


@njit(cache=True, nogil=True)
def _bucket(layout: PieceLayout, buckets: NDArray[np.int16], cell: int) -> np.int64:
    """The thumbnail's bucket of ``cell``, -1 of none; ``buckets`` int16 [n], of each row (or column) of its board."""
    if cell < 0:
        return np.int64(-1)
    i = cell // layout.board_size
    row, column = np.int64(buckets[i]), np.int64(buckets[cell - i * layout.board_size])
    return row * layout.view_size + column


@njit(cache=True, nogil=True)
def _came_first(data: NDArray[np.uint8], outcome: int, seat: int, seats: int) -> bool:
    """Whether nobody's outcome, at data[outcome], is above that of ``seat``."""
    own = best = read_value(data, outcome + 2 * seat)
    for other in range(seats):
        best = max(best, read_value(data, outcome + 2 * other))
    return bool(own == best)


@njit(cache=True, nogil=True)
def _read_steps(
    data: NDArray[np.uint8],
    layout: PieceLayout,
    decoder: Decoder,
    buckets: NDArray[np.int16],
    piece: int,
    end: int,
    places: NDArray[np.int64],
    ply: int,
    num_plies: int,
    td_steps: int,
    out: Samples,
    row: int,
) -> bool:
    """Targets of ply, ply + 1, ... into row ``row``, seen in the view of ``ply``, or of the ply before it where the
    sample is one of looking; zeros after the game's end and after a move that this view does not show, and no actions
    there. False where damaged."""
    steps, seats = out.mask.shape[1], layout.num_seats
    room = layout.board_size - layout.view_size
    looking = out.looking[row] and layout.view_moves and ply > 0
    top, left = read_origin(data, layout, piece, places, ply - 1 if looking else ply)
    if looking and (top > room or left > room):
        return False
    out.origins[row, 0], out.origins[row, 1] = top, left
    policy_at = piece + places[POLICIES] + policy_place(data, layout, piece, places, ply)
    unrolled = True
    for u in range(steps):
        q = ply + u
        if u < steps - 1:
            for k in range(seats):
                out.rewards[row, u, k] = 0
            out.unrolled[row, u] = unrolled
        if q >= num_plies or not unrolled:
            out.policy[row, u, :] = 0
            out.values[row, u, :] = 0
            out.mask[row, u] = 0
            out.views[u, row] = 0
            if layout.threats:
                out.threats[row, u] = 0
            if layout.thumbnail:
                out.focus[row, u] = -1
            continue
        flags = data[piece + places[Section.FLAGS] + q]
        view, seat = flags >> 4, flags & 15
        count = 1 + unsigned(data, piece + places[Section.POLICY_COUNTS], q, layout.wide_actions)
        if view >= layout.num_views or seat >= seats or policy_at + layout.mask_bytes + count > end:
            return False
        own_top, own_left = read_origin(data, layout, piece, places, q)
        if layout.view_moves and (own_top > room or own_left > room):
            return False
        down, right = own_top - top, own_left - left
        if not decode_policy(
            data, policy_at, count, layout, decoder.weights, decoder.action_view, view, down, right, out.policy, row, u
        ):
            return False
        policy_at += layout.mask_bytes + count
        decode_values(data, layout, piece, places, q, num_plies, td_steps, seat, out.values, row, u)
        out.mask[row, u] = 1
        out.views[u, row] = view
        if layout.threats:
            out.threats[row, u] = decode_threats(
                np.int64(data[piece + places[Section.THREATS] + q]), seats, np.int64(seat)
            )
        action = unsigned(data, piece + places[Section.ACTIONS], q, layout.wide_actions)
        if action >= layout.num_actions:
            return False
        cell = board_cell(layout, action, own_top, own_left)
        if layout.thumbnail:
            asked = (
                layout.view_moves
                and (u > 0 or looking)
                and _came_first(data, piece + places[Section.OUTCOME], seat, seats)
            )
            out.focus[row, u] = _bucket(layout, buckets, cell) if asked else np.int64(-1)
        if u < steps - 1:
            out.moves[u, row] = cell if layout.places_stones else action
            shown = shown_action(layout, action, down, right)
            if shown < 0:
                unrolled = False
                out.unrolled[row, u] = 0
                continue
            out.actions[row, u] = decoder.action_view[view, shown]
            if q == num_plies - 1:
                for k in range(seats):
                    out.rewards[row, u, k] = read_value(
                        data, piece + places[Section.OUTCOME] + 2 * ((seat + 1 + k) % seats)
                    )
    return True


@njit(cache=True, nogil=True)
def read_samples(
    ring: Ring,
    decoder: Decoder,
    positions: NDArray[np.int64],
    rows: NDArray[np.int64],
    td_steps: int,
    out: Samples,
) -> None:
    """Reads position positions[i] (int64) of the game out.rings[rows[i]] into row rows[i] of ``out``, for all i.

    One sample has the start and ``out.mask.shape[1] - 1`` steps after it; actions past the game's end, or where the
    start's view does not show them, are left as they are. ``out.intact[row]`` is whether its bytes made sense; all else
    of the row, the game's number in ``out.games`` too, is only worth something where the tail has not passed its ring
    number by now.
    """
    places = np.empty(POLICIES + 1, np.int64)
    slots = len(ring.starts)
    for i in range(len(rows)):
        row = rows[i]
        slot = out.rings[row] % slots
        num_plies = np.int64(ring.plies[slot])
        ply = positions[i] - ring.starts[slot] + np.int64(ring.openings[slot])
        piece = ring.offsets[slot]
        end = piece + ring.sizes[slot]
        stage = np.int64(ring.stages[slot])
        out.games[row] = ring.numbers[slot]
        out.intact[row] = False
        if ply < 0 or ply >= num_plies or piece < 0 or end > ring.ring_bytes or stage >= len(ring.layouts):
            continue
        layout = stage_layout(ring.layouts, stage)
        snapshots = (num_plies - 1) // layout.snapshot_interval
        for section in range(POLICIES + 1):
            places[section] = _section_place(ring, stage, section, num_plies, snapshots)
        if piece + places[POLICIES] > end:
            continue
        out.stages[row] = stage
        out.plies[row] = ply
        if layout.places_stones:
            whole = rebuild_cells(ring.data, layout, piece, places, ply, out.cells, row)
        else:
            whole = read_beginning(
                ring.data,
                layout,
                piece,
                places,
                ply,
                out.snapshots,
                out.beginnings,
                out.turns,
                out.replayed,
                row,
            )
        out.intact[row] = whole and _read_steps(
            ring.data,
            layout,
            decoder,
            decoder.buckets[stage],
            piece,
            end,
            places,
            ply,
            num_plies,
            td_steps,
            out,
            row,
        )


@njit(cache=True, nogil=True)
def play_moves(samples: Samples, step: int) -> None:
    """Plays each row's move of ``step`` in its cells, unless the unroll was over then or is after it."""
    cells, plies = samples.cells, samples.plies
    for row in range(len(plies)):
        if samples.mask[row, step + 1] > 0:
            cell = samples.moves[step, row]
            if cell >= 0:
                cells[row, cell] = 1 + samples.views[step, row]
            plies[row] += 1
