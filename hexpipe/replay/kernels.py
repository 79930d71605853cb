"""Compiled loops of the sampler: find a position, rebuild its board, decode its targets, turn it.

Readers hold no lock, so the writer may overwrite a game under their hands. Nothing here trusts what it reads: every
index is checked before use, and a sample that makes no sense is reported with ``intact`` False: the sampler judges it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hexpipe.replay.layout import PieceLayout

OUTCOME, POLICY_BASES, ACTIONS, FLAGS, POLICY_COUNTS, ROOT_VALUES, SNAPSHOTS, POLICIES = range(8)
INVERSE_VALUE_SCALE = np.float32(1.0 / 32767.0)

# the number of a lone bit: its 64 products with a de Bruijn sequence differ in their upper six bits
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT_NUMBER = np.zeros(64, np.uint8)
for _bit in range(64):
    BIT_NUMBER[((int(DE_BRUIJN) << _bit) & (2**64 - 1)) >> 58] = _bit


class Ring(NamedTuple):
    """The store's arrays, as `layout` describes them; ``section_starts`` int64 [8, 3]; ``ring_bytes`` without guard."""

    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    plies: NDArray[np.int32]
    openings: NDArray[np.int32]
    sizes: NDArray[np.int32]
    data: NDArray[np.uint8]
    section_starts: NDArray[np.int64]
    ring_bytes: int


class Decoder(NamedTuple):
    """``weights`` float32 [256], what a policy code stands for; ``action_view`` int16 [num_views, A]."""

    weights: NDArray[np.float32]
    action_view: NDArray[np.int16]


class Samples(NamedTuple):
    """Where samples go, B rows, U unroll steps. ``cells`` int8 [B, board_cells], ``views`` int8 [B] and ``plies``
    int32 [B] (absolute, for Game.codes_from_cells); policy float32 [B, U + 1, A]; values float32 [B, U + 1, S]; actions
    int16 [B, U]; mask float32 [B, U + 1]; ``games`` int64 [B], the game's number; ``intact`` bool [B]."""

    cells: NDArray[np.int8]
    views: NDArray[np.int8]
    plies: NDArray[np.int32]
    policy: NDArray[np.float32]
    values: NDArray[np.float32]
    actions: NDArray[np.int16]
    mask: NDArray[np.float32]
    games: NDArray[np.int64]
    intact: NDArray[np.bool_]


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
def _unsigned(data: NDArray[np.uint8], section: int, index: int, wide: bool) -> np.int64:
    if wide:
        return np.int64(data[section + 2 * index]) | (np.int64(data[section + 2 * index + 1]) << 8)
    return np.int64(data[section + index])


@njit(cache=True, nogil=True)
def _value(data: NDArray[np.uint8], at: int) -> np.float32:
    return np.float32(np.int16(np.uint16(data[at]) | (np.uint16(data[at + 1]) << 8))) * INVERSE_VALUE_SCALE


@njit(cache=True, nogil=True)
def _rebuild_cells(
    data: NDArray[np.uint8],
    layout: PieceLayout,
    piece: int,
    places: NDArray[np.int64],
    ply: int,
    cells: NDArray[np.int8],
    row: int,
) -> bool:
    """The board before ``ply``: the nearest snapshot and at most snapshot_interval - 1 plies. False where damaged."""
    snapshot = ply // layout.snapshot_interval
    if snapshot == 0:
        cells[row, :] = 0
    else:
        at = piece + places[SNAPSHOTS] + (snapshot - 1) * layout.snapshot_bytes
        if layout.cells_per_byte == 1:
            for i in range(layout.board_cells):
                cells[row, i] = data[at + i]
        else:
            for i in range(layout.board_cells >> 2):
                quad = data[at + i]
                cells[row, 4 * i] = quad & 3
                cells[row, 4 * i + 1] = (quad >> 2) & 3
                cells[row, 4 * i + 2] = (quad >> 4) & 3
                cells[row, 4 * i + 3] = quad >> 6
            for i in range(layout.board_cells & ~3, layout.board_cells):
                cells[row, i] = (data[at + (i >> 2)] >> (2 * (i & 3))) & 3
    for q in range(snapshot * layout.snapshot_interval, ply):
        action = _unsigned(data, piece + places[ACTIONS], q, layout.wide_actions)
        if action >= layout.num_actions:
            return False
        if action < layout.board_cells:
            cells[row, action] = 1 + (data[piece + places[FLAGS] + q] >> 4)
    return True


@njit(cache=True, nogil=True)
def _policy_place(
    data: NDArray[np.uint8], layout: PieceLayout, piece: int, places: NDArray[np.int64], ply: int
) -> np.int64:
    """Where the packed policy of ``ply`` begins in the piece's policies."""
    nearest = ply // layout.snapshot_interval
    at = piece + places[POLICY_BASES] + 4 * nearest
    place = np.int64(0)
    for i in range(4):
        place |= np.int64(data[at + i]) << (8 * i)
    for q in range(nearest * layout.snapshot_interval, ply):
        place += layout.mask_bytes + 1 + _unsigned(data, piece + places[POLICY_COUNTS], q, layout.wide_actions)
    return place


@njit(cache=True, nogil=True)
def _sum_weights(data: NDArray[np.uint8], at: int, count: int, weights: NDArray[np.float32]) -> np.float32:
    """What ``count`` policy codes from data[at] on add up to; four sums, as one would wait for each addition."""
    a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    quads = count & ~3
    for i in range(at, at + quads, 4):
        a += weights[data[i]]
        b += weights[data[i + 1]]
        c += weights[data[i + 2]]
        d += weights[data[i + 3]]
    for i in range(at + quads, at + count):
        a += weights[data[i]]
    return (a + b) + (c + d)


@njit(cache=True, nogil=True)
def _decode_policy(
    data: NDArray[np.uint8],
    at: int,
    count: int,
    layout: PieceLayout,
    weights: NDArray[np.float32],
    action_view: NDArray[np.int16],
    view: int,
    policy: NDArray[np.float32],
    row: int,
    step: int,
) -> bool:
    """The packed policy of ``count`` codes at data[at] into policy[row, step], net frame, sum 1.

    False where the mask has not ``count`` bits or one past the last action.
    """
    code_at = at + layout.mask_bytes
    end = code_at + count
    scale = np.float32(1.0) / _sum_weights(data, code_at, count, weights)
    policy[row, step, :] = 0
    for first in range(0, layout.mask_bytes, 8):
        word = np.uint64(0)
        if first + 8 <= layout.mask_bytes:
            for i in range(8):
                word |= np.uint64(data[at + first + i]) << np.uint64(8 * i)
        else:
            for i in range(layout.mask_bytes - first):
                word |= np.uint64(data[at + first + i]) << np.uint64(8 * i)
        while word != 0:
            lowest = word & (~word + np.uint64(1))
            action = 8 * first + np.int64(BIT_NUMBER[(lowest * DE_BRUIJN) >> np.uint64(58)])
            if action >= layout.num_actions or code_at >= end:
                return False
            policy[row, step, action_view[view, action]] = weights[data[code_at]] * scale
            code_at += 1
            word ^= lowest
    return code_at == end


@njit(cache=True, nogil=True)
def _decode_values(
    data: NDArray[np.uint8],
    layout: PieceLayout,
    piece: int,
    places: NDArray[np.int64],
    ply: int,
    num_plies: int,
    td_steps: int,
    seat: int,
    values: NDArray[np.float32],
    row: int,
    step: int,
) -> None:
    """The value target of ``ply`` for each seat from the mover on: the outcome, or the search's value td_steps on."""
    seats = layout.num_seats
    later = ply + td_steps
    from_outcome = td_steps == 0 or later >= num_plies
    for k in range(seats):
        absolute = (seat + k) % seats
        if from_outcome:
            values[row, step, k] = _value(data, piece + places[OUTCOME] + 2 * absolute)
        elif layout.stored_seats == seats:
            values[row, step, k] = _value(data, piece + places[ROOT_VALUES] + 2 * (later * seats + absolute))
        else:
            first = _value(data, piece + places[ROOT_VALUES] + 2 * later)
            values[row, step, k] = first if absolute == 0 else -first


@njit(cache=True, nogil=True)
def _read_steps(
    data: NDArray[np.uint8],
    layout: PieceLayout,
    decoder: Decoder,
    piece: int,
    end: int,
    places: NDArray[np.int64],
    ply: int,
    num_plies: int,
    td_steps: int,
    out: Samples,
    row: int,
) -> bool:
    """Targets of ply, ply + 1, ... into row ``row``; steps after the game's end are zeros. False where damaged."""
    steps = out.mask.shape[1]
    policy_at = piece + places[POLICIES] + _policy_place(data, layout, piece, places, ply)
    for u in range(steps):
        q = ply + u
        if q >= num_plies:
            out.policy[row, u, :] = 0
            out.values[row, u, :] = 0
            out.mask[row, u] = 0
            if u < steps - 1:
                out.actions[row, u] = 0
            continue
        flags = data[piece + places[FLAGS] + q]
        view, seat = flags >> 4, flags & 15
        count = 1 + _unsigned(data, piece + places[POLICY_COUNTS], q, layout.wide_actions)
        if view >= layout.num_views or seat >= layout.num_seats or policy_at + layout.mask_bytes + count > end:
            return False
        if not _decode_policy(
            data, policy_at, count, layout, decoder.weights, decoder.action_view, view, out.policy, row, u
        ):
            return False
        policy_at += layout.mask_bytes + count
        _decode_values(data, layout, piece, places, q, num_plies, td_steps, seat, out.values, row, u)
        out.mask[row, u] = 1
        if u == 0:
            out.views[row] = view
        if u < steps - 1:
            action = _unsigned(data, piece + places[ACTIONS], q, layout.wide_actions)
            if action >= layout.num_actions:
                return False
            out.actions[row, u] = decoder.action_view[view, action]
    return True


@njit(cache=True, nogil=True)
def read_samples(
    ring: Ring,
    layout: PieceLayout,
    decoder: Decoder,
    tail: int,
    head: int,
    positions: NDArray[np.int64],
    rows: NDArray[np.int64],
    td_steps: int,
    out: Samples,
) -> None:
    """Reads position positions[i] (int64, in the window of games [tail, head)) into row rows[i] of ``out``, for all i.

    One sample has the start and ``out.mask.shape[1] - 1`` steps after it. ``out.games[row]`` is the game it came from,
    ``out.intact[row]`` whether its bytes made sense.
    """
    places = np.empty(8, np.int64)
    slots = len(ring.starts)
    for i in range(len(rows)):
        row = rows[i]
        game = _find_game(ring.starts, positions[i], tail, head)
        slot = game % slots
        num_plies = np.int64(ring.plies[slot])
        ply = positions[i] - ring.starts[slot] + np.int64(ring.openings[slot])
        piece = ring.offsets[slot]
        end = piece + ring.sizes[slot]
        out.games[row] = game
        out.intact[row] = False
        if ply < 0 or ply >= num_plies or piece < 0 or end > ring.ring_bytes:
            continue
        snapshots = (num_plies - 1) // layout.snapshot_interval
        for k in range(8):
            places[k] = (
                ring.section_starts[k, 0]
                + ring.section_starts[k, 1] * num_plies
                + ring.section_starts[k, 2] * snapshots
            )
        if piece + places[POLICIES] > end:
            continue
        out.plies[row] = ply
        out.intact[row] = _rebuild_cells(ring.data, layout, piece, places, ply, out.cells, row) and _read_steps(
            ring.data, layout, decoder, piece, end, places, ply, num_plies, td_steps, out, row
        )


@njit(cache=True, nogil=True)
def permute_samples(
    codes: NDArray[np.int8],
    policy: NDArray[np.float32],
    actions: NDArray[np.int16],
    choice: NDArray[np.int64],
    symmetries: NDArray[np.int16],
    inverses: NDArray[np.int16],
    code_symmetries: NDArray[np.int16],
    code_scratch: NDArray[np.int8],
    policy_scratch: NDArray[np.float32],
) -> None:
    """Row b turned by symmetry choice[b], in place: codes int8 [B, C], policy float32 [B, U + 1, A], actions [B, U].

    ``inverses`` holds the inverse permutations of ``symmetries``; the scratch arrays have one row's length, C and A.
    """
    for b in range(len(choice)):
        k = choice[b]
        if k == 0:
            continue
        for i in range(codes.shape[1]):
            code_scratch[i] = codes[b, i]
        for i in range(codes.shape[1]):
            codes[b, i] = code_scratch[code_symmetries[k, i]]
        for u in range(policy.shape[1]):
            for a in range(policy.shape[2]):
                policy_scratch[a] = policy[b, u, a]
            for a in range(policy.shape[2]):
                policy[b, u, a] = policy_scratch[symmetries[k, a]]
        for u in range(actions.shape[1]):
            actions[b, u] = inverses[k, actions[b, u]]
