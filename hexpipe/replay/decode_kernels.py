"""Compiled decoding of a piece of the store: a ply's board, policy and value targets out of its bytes.

Readers hold no lock, so the writer may overwrite a game under their hands. Nothing here trusts what it reads: every
index is checked before use, and bytes that make no sense are reported.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hexpipe.games.local_view_kernels import cell_of_action
from hexpipe.records import MAX_CODE
from hexpipe.replay.layout import VALUE_SCALE, PieceLayout, Section

INVERSE_VALUE_SCALE = np.float32(1.0 / VALUE_SCALE)

# the number of a lone bit: its 64 products with a de Bruijn sequence differ in their upper six bits
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT_NUMBER = np.zeros(64, np.uint8)
for _bit in range(64):
    BIT_NUMBER[((int(DE_BRUIJN) << _bit) & (2**64 - 1)) >> 58] = _bit


class Decoder(NamedTuple):
    """``weights`` float32 [256], what a policy code stands for; ``action_view`` int16 [num_views, A]; ``buckets`` int16
    [stages, n], the thumbnail's bucket of each row (or column) of a stage's board, n of the largest."""

    weights: NDArray[np.float32]
    action_view: NDArray[np.int16]
    buckets: NDArray[np.int16]


@njit(cache=True, nogil=True)
def stage_layout(layouts: NDArray[np.int64], stage: int) -> PieceLayout:
    """Row ``stage`` of int64 [stages, fields] as the layout that it was."""
    row = layouts[stage]
    return PieceLayout(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        row[7] != 0,
        row[8],
        row[9],
        row[10],
        row[11],
        row[12] != 0,
        row[13],
        row[14],
        row[15] != 0,
        row[16] != 0,
        row[17] != 0,
    )


@njit(cache=True, nogil=True)
def unsigned(data: NDArray[np.uint8], section: int, index: int, wide: bool) -> np.int64:
    """Entry ``index`` of a section of uint16 (``wide``) or uint8."""
    if wide:
        return np.int64(data[section + 2 * index]) | (np.int64(data[section + 2 * index + 1]) << 8)
    return np.int64(data[section + index])


@njit(cache=True, nogil=True)
def read_value(data: NDArray[np.uint8], at: int) -> np.float32:
    """The outcome or root value at data[at]."""
    return np.float32(np.int16(np.uint16(data[at]) | (np.uint16(data[at + 1]) << 8))) * INVERSE_VALUE_SCALE


@njit(cache=True, nogil=True)
def read_origin(
    data: NDArray[np.uint8], layout: PieceLayout, piece: int, places: NDArray[np.int64], ply: int
) -> tuple[np.int64, np.int64]:
    """The origin (top, left) of the view of ``ply``."""
    if not layout.view_moves:
        return np.int64(layout.start_top), np.int64(layout.start_left)
    at = piece + places[Section.ORIGINS] + 2 * ply
    return np.int64(data[at]), np.int64(data[at + 1])


@njit(cache=True, nogil=True)
def board_cell(layout: PieceLayout, action: int, top: int, left: int) -> int:
    """The board's cell that ``action`` of the view at (top, left) fills, -1 where it fills none."""
    if layout.view_size == layout.board_size:
        return action if action < layout.board_cells else -1
    if action >= layout.view_size * layout.view_size:
        return -1
    cell: int = cell_of_action(top, left, action, layout.view_size, layout.board_size)
    return cell


@njit(cache=True, nogil=True)
def shown_action(layout: PieceLayout, action: int, down: int, right: int) -> int:
    """What ``action`` is in a view whose origin is (down, right) before that of its own; -1 where it is not shown."""
    size = layout.view_size
    if action >= size * size:
        return action
    i = action // size
    j = action - i * size + right
    i += down
    if i < 0 or i >= size or j < 0 or j >= size:
        return -1
    return i * size + j


@njit(cache=True, nogil=True)
def rebuild_cells(
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
        cells[row, : layout.board_cells] = 0
    else:
        at = piece + places[Section.SNAPSHOTS] + (snapshot - 1) * layout.snapshot_bytes
        if layout.cells_per_byte == 1:
            for i in range(layout.board_cells):
                cells[row, i] = data[at + i]
        else:
            for i in range(layout.board_cells >> 2):
                # unsigned indices spare the checks for negative ones, so that this is vectorised
                quad = data[np.uintp(at + i)]
                cells[row, np.uintp(4 * i)] = quad & 3
                cells[row, np.uintp(4 * i + 1)] = (quad >> 2) & 3
                cells[row, np.uintp(4 * i + 2)] = (quad >> 4) & 3
                cells[row, np.uintp(4 * i + 3)] = quad >> 6
            for i in range(layout.board_cells & ~3, layout.board_cells):
                cells[row, i] = (data[at + (i >> 2)] >> (2 * (i & 3))) & 3
    for q in range(snapshot * layout.snapshot_interval, ply):
        action = unsigned(data, piece + places[Section.ACTIONS], q, layout.wide_actions)
        view = data[piece + places[Section.FLAGS] + q] >> 4
        if action >= layout.num_actions or view >= layout.num_views:
            return False
        top, left = read_origin(data, layout, piece, places, q)
        cell = board_cell(layout, action, top, left)
        if cell >= 0:
            cells[row, cell] = 1 + view
    return True


@njit(cache=True, nogil=True)
def read_beginning(
    data: NDArray[np.uint8],
    layout: PieceLayout,
    piece: int,
    places: NDArray[np.int64],
    ply: int,
    snapshots: NDArray[np.uint8],
    beginnings: NDArray[np.int32],
    turns: NDArray[np.uint8],
    replayed: NDArray[np.int16],
    row: int,
) -> bool:
    """Read what the game's own step makes the position of ``ply`` of: the nearest snapshot, its ply (-1 for the start),
    its turn as in `flags`, and the actions from there on. False where damaged."""
    snapshot = ply // layout.snapshot_interval
    first = snapshot * layout.snapshot_interval
    beginnings[row] = first if snapshot else -1
    if snapshot:
        at = piece + places[Section.SNAPSHOTS] + (snapshot - 1) * layout.snapshot_bytes
        for i in range(layout.snapshot_bytes):
            snapshots[row, i] = data[at + i]
    turns[row] = data[piece + places[Section.FLAGS] + first]
    for q in range(first, ply):
        action = unsigned(data, piece + places[Section.ACTIONS], q, layout.wide_actions)
        if action >= layout.num_actions:
            return False
        replayed[row, q - first] = action
    return True


@njit(cache=True, nogil=True)
def policy_place(
    data: NDArray[np.uint8], layout: PieceLayout, piece: int, places: NDArray[np.int64], ply: int
) -> np.int64:
    """Where the packed policy of ``ply`` begins in the piece's policies."""
    nearest = ply // layout.snapshot_interval
    at = piece + places[Section.POLICY_BASES] + 4 * nearest
    place = np.int64(0)
    for i in range(4):
        place |= np.int64(data[at + i]) << (8 * i)
    for q in range(nearest * layout.snapshot_interval, ply):
        place += layout.mask_bytes + 1 + unsigned(data, piece + places[Section.POLICY_COUNTS], q, layout.wide_actions)
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
def decode_policy(
    data: NDArray[np.uint8],
    at: int,
    count: int,
    layout: PieceLayout,
    weights: NDArray[np.float32],
    action_view: NDArray[np.int16],
    view: int,
    down: int,
    right: int,
    policy: NDArray[np.float32],
    row: int,
    step: int,
) -> bool:
    """The packed policy of ``count`` codes at data[at] into policy[row, step], net frame, sum 1.

    It is seen in a view whose origin is (down, right) before that of its own; what that does not show is left out, and
    the rest brought to the sum of 1 again, unless there is none. The row is 0 where the one code says that there is no
    policy. False where the mask has not ``count`` bits or one past the last action.
    """
    moved = down != 0 or right != 0
    hidden, seen = False, np.float32(0.0)
    code_at = at + layout.mask_bytes
    end = code_at + count
    scale = np.float32(1.0) / _sum_weights(data, code_at, count, weights)
    if count == 1 and data[code_at] == MAX_CODE:
        scale = np.float32(0.0)
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
            weight = weights[data[code_at]] * scale
            if moved:
                action = shown_action(layout, action, down, right)
                hidden |= action < 0
                seen += weight if action >= 0 else np.float32(0.0)
            if action >= 0:
                policy[row, step, action_view[view, action]] = weight
            code_at += 1
            word ^= lowest
    if hidden and seen > 0:
        policy[row, step, :] *= np.float32(1.0) / seen
    return code_at == end


@njit(cache=True, nogil=True)
def decode_threats(levels: int, seats: int, seat: int) -> int:
    """``levels`` of the seats, two bits a seat, counted from ``seat`` on."""
    turned = 0
    for k in range(seats):
        turned |= (levels >> (2 * ((seat + k) % seats)) & 3) << (2 * k)
    return turned


@njit(cache=True, nogil=True)
def decode_values(
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
            values[row, step, k] = read_value(data, piece + places[Section.OUTCOME] + 2 * absolute)
        elif layout.stored_seats == seats:
            values[row, step, k] = read_value(
                data, piece + places[Section.ROOT_VALUES] + 2 * (later * seats + absolute)
            )
        else:
            first = read_value(data, piece + places[Section.ROOT_VALUES] + 2 * later)
            values[row, step, k] = first if absolute == 0 else -first
