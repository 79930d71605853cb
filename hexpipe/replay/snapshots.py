"""Encoding of a GameRecord as the bytes of its piece, with board snapshots (see `layout`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.game_env import Game, LocalViewGame, tells_threats
from hexpipe.games.local_view import LocalView
from hexpipe.records import GameRecord
from hexpipe.replay.layout import VALUE_SCALE, PieceLayout, num_snapshots
from hexpipe.replay.state_snapshots import pack_states
from hexpipe.replay.targets import value_priorities


def encode_game(record: GameRecord, game: Game, layout: PieceLayout, td_steps: int = 0) -> NDArray[np.uint8]:
    """Return the piece of ``record``, a record of ``game``, uint8 [piece bytes]; its priorities depend on ``td_steps``.

    Raises ValueError where two seats' values are not negatives, or a move is off the board.
    """
    plies = record.num_plies
    seats = layout.stored_seats
    if seats < layout.num_seats and np.abs(record.root_values.sum(axis=1)).max() > 1e-3:
        raise ValueError("root_values of a two-seat game record must sum to 0 in every row")
    narrow_or_wide = "<u2" if layout.wide_actions else "<u1"
    interval = layout.snapshot_interval
    counts = np.diff(record.policy_offsets.astype(np.int64)) - layout.mask_bytes - 1
    parts: list[tuple[NDArray[Any], str]] = [
        (_fixed_point(record.outcome), "<i2"),
        (record.policy_offsets[: num_snapshots(plies, interval) * interval + 1 : interval], "<u4"),
        (record.actions, narrow_or_wide),
        (record.seats | (record.views << 4), "<u1"),
        (counts, narrow_or_wide),
        (_fixed_point(record.root_values[:, :seats]), "<i2"),
        (value_priorities(record, td_steps), "<u1"),
    ]
    if layout.view_moves:
        parts.append((record.origins, "<u1"))
    if tells_threats(game):
        parts.append((threat_levels(record, game), "<u1"))
    parts += [(pack_snapshots(record, game, layout), "<u1"), (record.policy_bytes, "<u1")]
    return np.frombuffer(b"".join(array.astype(dtype).tobytes() for array, dtype in parts), np.uint8)


def pack_snapshots(record: GameRecord, game: Game, layout: PieceLayout) -> NDArray[np.uint8]:
    """Return the snapshots of a game, uint8 [N, snapshot_bytes]. Raises ValueError where a move is off the board."""
    if layout.places_stones:
        # checks the moves, which replaying them does not
        return pack_cells(snapshot_cells(record, played_cells(record, layout), layout), layout)
    interval, row = layout.snapshot_interval, np.zeros(1, np.int32)
    snapshots = np.empty((num_snapshots(record.num_plies, interval), layout.snapshot_bytes), np.uint8)
    states = game.new_states(1)
    for ply in range(len(snapshots) * interval):
        game.step(states, row, record.actions[ply : ply + 1], row)
        if (ply + 1) % interval == 0:
            snapshots[ply // interval] = pack_states(game, states, row)[0]
    return snapshots


def threat_levels(record: GameRecord, game: LocalViewGame) -> NDArray[np.uint8]:
    """Return `LocalViewGame.threat_levels` of every ply, uint8 [T]."""
    levels = np.zeros(record.num_plies, np.uint8)
    # copies: arrays of a record read from bytes are read-only, a different type for numba
    game.replay_threats(record.actions.copy(), record.origins.copy(), levels)
    return levels


def played_cells(record: GameRecord, layout: PieceLayout) -> NDArray[np.integer[Any]]:
    """Return the board's cell that each ply filled, int [T], board_cells or more if it filled none.

    Raises ValueError where a move is off the board.
    """
    if layout.view_size == layout.board_size:
        return record.actions
    cells = LocalView(layout.board_size, layout.view_size).cells_of_actions(record.actions, record.origins)
    on_view = record.actions < layout.view_size**2
    if (cells[on_view] < 0).any():
        raise ValueError("a game record has a move that is off the board")
    cells[~on_view] = layout.board_cells
    return cells


def snapshot_cells(record: GameRecord, filled: NDArray[np.integer[Any]], layout: PieceLayout) -> NDArray[np.int8]:
    """Return absolute cells int8 [N, board_cells] before plies interval, 2 * interval, ...; ``filled`` is
    `played_cells`."""
    interval = layout.snapshot_interval
    snapshots = np.zeros((num_snapshots(record.num_plies, interval), layout.board_cells), np.int8)
    cells = np.zeros(layout.board_cells, np.int8)
    for k in range(len(snapshots)):
        played = filled[k * interval : (k + 1) * interval]
        stones = record.views[k * interval : (k + 1) * interval] + np.int8(1)
        on_board = played < layout.board_cells
        cells[played[on_board]] = stones[on_board]
        snapshots[k] = cells
    return snapshots


def pack_cells(cells: NDArray[np.int8], layout: PieceLayout) -> NDArray[np.uint8]:
    """Pack cells int8 [N, board_cells] into uint8 [N, snapshot_bytes], ``cells_per_byte`` in each, lowest bits
    first."""
    if layout.cells_per_byte == 1:
        return cells.astype(np.uint8)
    padded = np.zeros((len(cells), layout.snapshot_bytes * 4), np.uint8)
    padded[:, : layout.board_cells] = cells
    quads = padded.reshape(len(cells), layout.snapshot_bytes, 4)
    packed = quads[..., 0].copy()
    for k in (1, 2, 3):
        packed |= quads[..., k] << np.uint8(2 * k)
    return packed


def _fixed_point(values: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(values * VALUE_SCALE).astype(np.int16)
