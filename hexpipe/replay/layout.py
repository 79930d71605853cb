"""The memory layout of the replay store, a ring buffer.

A store holds games of one or more *stages*, games that differ in board size and rules but are one to a net. The shared
segment has these fields:

    header    int64 [16 + 3 * stages]   counters (the names below), then the live games of each stage, their plies and
                                        their snapshots; written under the fence lock only
    sections  int64 [stages, 10, 3]     `section_table` of the pieces, so that a reader needs nothing but the segment
    starts    int64 [G]      number of the game's first sampled position, counted over all ever written
    offsets   int64 [G]      where the game's piece begins in data
    plies     int32 [G]      plies of the game, T
    openings  int32 [G]      plies at its start that are not sampled
    sizes     int32 [G]      bytes of its piece
    numbers   int64 [G]      the game's number in order of arrival over the whole run, from 1: its id in the archive
    stages    uint8 [G]      which stage it is of
    dead      uint8 [G]      1 where the game was evicted: no longer sampled, it is freed as the tail passes it
    data      uint8 [ring + guard]   the pieces, each in one run of bytes; the guard lets kernels read past a last code

Ring number g (counted from 0, monotonic) is in slot g % G. It is valid while TAIL_GAME <= g < HEAD_GAME. A game gets a
new ring number when it is copied to the head or its targets are replaced, and keeps its number of arrival.

A piece of T plies with N = (T - 1) // snapshot_interval snapshots is, little-endian and without padding:

    outcome        int16  [S]           value * 32767
    policy_bases   uint32 [N + 1]       where in `policies` the policy of ply k * snapshot_interval begins
    actions        uint8 or uint16 [T]  absolute; uint8 where A <= 256
    flags          uint8  [T]           seat | view << 4
    policy_counts  uint8 or uint16 [T]  codes of the policy, less one; uint8 where A <= 256
    root_values    int16  [T, S or 1]   value * 32767; of two seats only seat 0, as seat 1 has the negative
    priorities     uint8  [T]           how far the mover's root value is from its target (`targets.value_priorities`)
    origins        uint8  [T, 2]        of the local view that the action and the policy are meant in; only where views
                                        move, elsewhere they have the place of the start's
    threats        uint8  [T]           `LocalViewGame.threat_levels` of the ply; only where a game has them
    snapshots      uint8  [N, ...]      cells before plies snapshot_interval, 2 * snapshot_interval, ...; four cells
                                        a byte (lowest bits first) where two bits hold a cell, else one; of a game that
                                        does more than place stones what it says (`state_snapshots`)
    policies       uint8  [...]         `records.pack_policies`, as it came
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import ReplaySettings
from hexpipe.errors import SettingsError
from hexpipe.games.game_env import Game, moves_view, places_stones
from hexpipe.games.local_view import LocalView
from hexpipe.records import mask_length
from hexpipe.replay.eviction import FULL_SHARE
from hexpipe.replay.state_snapshots import state_bytes
from hexpipe.shm import ALIGNMENT, Field

VALUE_SCALE = 32767
INDEX_BYTES = 8 + 8 + 4 + 4 + 4 + 8 + 1 + 1  # per game, in the fields of [G]
MAX_STAGES = 256
SPARE_SLOTS = 64  # so that some games can be copied ahead at a time, however few are held
FREE_PIECES = 2  # see `usable_bytes`
_PAGE_SLACK = 65536  # a segment is whole pages; no platform in use has larger ones


class Header(IntEnum):
    """Indices of the header."""

    TAIL_GAME = 0  # first game in the ring, by ring number
    HEAD_GAME = 1  # next game's ring number
    TAIL_POSITION = 2  # first position in the ring
    HEAD_POSITION = 3  # next position's number
    LIVE_GAMES = 4  # games held: those in the ring that are not dead
    LIVE_POSITIONS = 5  # positions of these that are sampled
    LIVE_BYTES = 6  # bytes of their pieces
    HEAD_BYTE = 7  # end of the last piece
    USED_BYTES = 8  # bytes of all pieces in the ring
    TOTAL_GAMES = 9  # games ever added
    TOTAL_POSITIONS = 10  # positions ever added
    RING_BYTES = 11  # capacity of the ring
    BUDGET_BYTES = 12  # replay.max_memory_gb
    FILLING = 13  # 1 while it is filled from the archive, and empty to readers


HEADER_LENGTH = 16  # the counters of each stage follow:
STAGE_COUNTERS = 3  # live games, their plies and their snapshots


class Section(IntEnum):
    """Rows of the section table: the parts of a piece, in order."""

    OUTCOME = 0
    POLICY_BASES = 1
    ACTIONS = 2
    FLAGS = 3
    POLICY_COUNTS = 4
    ROOT_VALUES = 5
    PRIORITIES = 6
    ORIGINS = 7
    THREATS = 8
    SNAPSHOTS = 9


POLICIES = len(Section)
"""Row after the sections in `section_starts`: the beginning of the policies."""


class PieceLayout(NamedTuple):
    """Parameters of a stage's pieces, and of its actions' meaning; numbers, which kernels take as int64."""

    board_size: int
    board_cells: int
    view_size: int
    num_actions: int
    num_seats: int
    num_views: int
    snapshot_interval: int
    wide_actions: bool  # uint16 actions and policy_counts
    mask_bytes: int
    stored_seats: int
    cells_per_byte: int
    snapshot_bytes: int
    view_moves: bool
    start_top: int  # origin of the start's view
    start_left: int
    threats: bool
    thumbnail: bool
    places_stones: bool  # else positions are rebuilt by the game's own step from a snapshot


def piece_layout(game: Game, snapshot_interval: int) -> PieceLayout:
    """Return the layout of ``game``'s pieces."""
    board_cells = game.shapes.board_cells
    placing = places_stones(game)
    cells_per_byte = 4 if placing and game.num_views <= 3 else 1
    snapshot_bytes = -(-board_cells // cells_per_byte) if placing else state_bytes(game)
    if not snapshot_bytes:
        snapshot_interval = game.max_plies  # every position is played anew from the start
    top, left = LocalView.of(game).start.tolist()
    return PieceLayout(
        board_size=game.board_size,
        board_cells=board_cells,
        view_size=game.shapes.view_size,
        num_actions=game.num_actions,
        num_seats=game.num_seats,
        num_views=game.num_views,
        snapshot_interval=snapshot_interval,
        wide_actions=game.num_actions > 256,
        mask_bytes=mask_length(game.num_actions),
        stored_seats=1 if game.num_seats == 2 else game.num_seats,
        cells_per_byte=cells_per_byte,
        snapshot_bytes=snapshot_bytes,
        view_moves=moves_view(game),
        start_top=top,
        start_left=left,
        threats=game.shapes.threats,
        thumbnail=game.shapes.thumbnail,
        places_stones=placing,
    )


def section_table(layout: PieceLayout) -> NDArray[np.int64]:
    """Return the bytes of each section as int64 [10, 3]: of a game, of a ply, of a snapshot."""
    narrow_or_wide = 2 if layout.wide_actions else 1
    table = np.zeros((len(Section), 3), np.int64)
    table[Section.OUTCOME] = 2 * layout.num_seats, 0, 0
    table[Section.POLICY_BASES] = 4, 0, 4
    table[Section.ACTIONS] = 0, narrow_or_wide, 0
    table[Section.FLAGS] = 0, 1, 0
    table[Section.POLICY_COUNTS] = 0, narrow_or_wide, 0
    table[Section.ROOT_VALUES] = 0, 2 * layout.stored_seats, 0
    table[Section.PRIORITIES] = 0, 1, 0
    table[Section.ORIGINS] = 0, 2 if layout.view_moves else 0, 0
    table[Section.THREATS] = 0, 1 if layout.threats else 0, 0
    table[Section.SNAPSHOTS] = 0, 0, layout.snapshot_bytes
    return table


def section_starts(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the beginning of each section, in the last row of `policies`: int64 [11, 3], same columns."""
    return np.vstack([np.zeros((1, 3), np.int64), np.cumsum(table, axis=0)])


def num_snapshots(plies: int, snapshot_interval: int) -> int:
    """Return the number of snapshots of a game; the empty board before ply 0 needs none."""
    return (plies - 1) // snapshot_interval


def piece_bytes(layout: PieceLayout, plies: int, policy_bytes: int) -> int:
    """Return the bytes of the piece of a game with ``plies`` positions and ``policy_bytes`` of packed policies."""
    per_game, per_ply, per_snapshot = section_table(layout).sum(axis=0).tolist()
    snapshots = num_snapshots(plies, layout.snapshot_interval)
    return int(per_game + per_ply * plies + per_snapshot * snapshots + policy_bytes)


def largest_piece(layout: PieceLayout, max_plies: int) -> int:
    """Return the bytes of the largest possible piece of a game: all plies, every action in every policy."""
    return piece_bytes(layout, max_plies, max_plies * (layout.mask_bytes + layout.num_actions))


def largest_game(games: Sequence[Game], snapshot_interval: int) -> int:
    """Return the bytes of the `largest_piece` of any stage."""
    return max(largest_piece(piece_layout(game, snapshot_interval), game.max_plies) for game in games)


def guard_bytes(games: Sequence[Game]) -> int:
    """Return the bytes behind the ring: kernels read a whole policy before they know that it ends with the piece."""
    return games[0].num_actions + mask_length(games[0].num_actions) + 8


def usable_bytes(ring_bytes: int, largest: int) -> int:
    """Return the bytes of a ring that pieces of up to ``largest`` bytes may use.

    The rest has room for any piece wherever the ring's end may cut it: of FREE_PIECES times the largest, the gap left
    by a piece that did not fit before the end takes less than one. So a game at the tail can always be copied to the
    head before it is freed at the tail.
    """
    return ring_bytes - FREE_PIECES * largest


def segment_fields(settings: ReplaySettings, games: Sequence[Game]) -> list[Field]:
    """Return the fields of the segment, within the budget and no larger than ``max_games`` can use.

    Beside the free rest of `usable_bytes` the ring always has room for one more than ``min_games`` games of the largest
    size, so that no game must be refused to keep ``min_games``. Raises SettingsError when the budget is too small for
    that.

    There are slots for a quarter more games than can be live (``max_games``, or games of one ply within the budget),
    because dead games keep theirs until the tail passes.
    """
    if len(games) > MAX_STAGES:
        words = f"curriculum.stages are {len(games)}: a replay buffer knows {MAX_STAGES} at the most"
        raise SettingsError(words, kind="range", setting="curriculum.stages", high=MAX_STAGES)
    layouts = [piece_layout(game, settings.snapshot_interval) for game in games]
    largest = largest_game(games, settings.snapshot_interval)
    smallest = min(piece_bytes(layout, 1, layout.mask_bytes + 1) for layout in layouts)
    budget = budget_bytes(settings)
    slots = min(settings.max_games * 5 // 4, 5 * budget // (5 * INDEX_BYTES + 4 * smallest)) + SPARE_SLOTS
    guard = guard_bytes(games)
    sections, header = (len(games), len(Section), 3), HEADER_LENGTH + STAGE_COUNTERS * len(games)
    fixed = (header + math.prod(sections)) * 8 + INDEX_BYTES * slots + guard + 16 * ALIGNMENT + _PAGE_SLACK
    needed = fixed + (settings.min_games + 1 + FREE_PIECES) * largest
    if needed > budget:
        plies = max(game.max_plies for game in games)
        words = (
            f"replay.min_games={settings.min_games} games of up to {plies} plies need {needed / 1e9:.3f} GB "
            f"({largest / 1e6:.2f} MB a game, {fixed / 1e6:.1f} MB for replay.max_games={settings.max_games}), but "
            f"replay.max_memory_gb={settings.max_memory_gb:g}: raise that or lower replay.min_games "
            "(games get shorter by game.move_cap, where there is one)"
        )
        raise SettingsError(words, kind="conflict", setting="replay.max_memory_gb")
    # room for max_games of the largest size before memory evicts any
    ring = min(budget - fixed, math.ceil((settings.max_games + 1) * largest / FULL_SHARE) + FREE_PIECES * largest)
    return [
        Field("header", "int64", (header,)),
        Field("sections", "int64", sections),
        Field("starts", "int64", (slots,)),
        Field("offsets", "int64", (slots,)),
        Field("plies", "int32", (slots,)),
        Field("openings", "int32", (slots,)),
        Field("sizes", "int32", (slots,)),
        Field("numbers", "int64", (slots,)),
        Field("stages", "uint8", (slots,)),
        Field("dead", "uint8", (slots,)),
        Field("data", "uint8", (ring + guard,)),
    ]


def games_at_least(settings: ReplaySettings, games: Sequence[Game]) -> int:
    """Return the games of the largest size that a full store holds at any time. Raises SettingsError like
    `segment_fields`."""
    largest = largest_game(games, settings.snapshot_interval)
    data = next(field for field in segment_fields(settings, games) if field.name == "data")
    usable = usable_bytes(data.shape[0] - guard_bytes(games), largest)
    return max(settings.min_games, min(settings.max_games, int(FULL_SHARE * usable) // largest))


def budget_bytes(settings: ReplaySettings) -> int:
    """Return ``max_memory_gb`` in bytes."""
    return int(settings.max_memory_gb * 1e9)
