"""The ring of games in shared memory: one writer, any number of readers that never make it wait.

The fence lock is held only to copy or change a few counters, which also orders the memory accesses around it. The
writer first moves the tail under the lock (eviction), then overwrites the bytes that this set free, then publishes the
new head under the lock. A reader copies the counters under the lock, reads without it, and then looks at the tail under
the lock again: what is older than the tail by then may have been overwritten and is read anew elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import ReplaySettings
from hexpipe.errors import SharedMemoryError
from hexpipe.games.game_env import Game, as_stages
from hexpipe.records import GameRecord
from hexpipe.replay.layout import (
    HEADER_LENGTH,
    INDEX_BYTES,
    Header,
    Section,
    budget_bytes,
    guard_bytes,
    num_snapshots,
    piece_layout,
    section_table,
    segment_fields,
)
from hexpipe.replay.snapshots import encode_game
from hexpipe.shm import SharedSegment

LOCK_SECONDS = 60.0  # held for microseconds: whoever waits this long waits for a dead process


class FenceLock(Protocol):
    """A threading.Lock or a multiprocessing Lock."""

    def acquire(self, *, timeout: float) -> bool: ...
    def release(self) -> None: ...


class Window(NamedTuple):
    """What can be sampled: games and positions from tail on and before head, by their numbers."""

    tail_game: int
    head_game: int
    tail_position: int
    head_position: int


class Store:
    """The ring over a segment with the fields of `layout.segment_fields`. Picklable while a process is spawned.

    Only one process may call `add`; every other method is for anyone.
    """

    def __init__(
        self, settings: ReplaySettings, games: Sequence[Game], segment: SharedSegment, lock: FenceLock
    ) -> None:
        self.settings = settings
        self.games = games
        self.segment = segment
        self.lock = lock
        self.layouts = [piece_layout(game, settings.snapshot_interval) for game in games]
        arrays = segment.arrays
        self._header: NDArray[np.int64] = arrays["header"]
        self.starts, self.offsets, self.plies = arrays["starts"], arrays["offsets"], arrays["plies"]
        self.openings, self.sizes, self.stages = arrays["openings"], arrays["sizes"], arrays["stages"]
        self.data = arrays["data"]
        self._held = self._header[HEADER_LENGTH:].reshape(-1, 3)
        self.ring_bytes = int(self._header[Header.RING_BYTES])

    @classmethod
    def create(
        cls, settings: ReplaySettings, games: Game | Sequence[Game], lock: FenceLock, *, private: bool
    ) -> Store:
        """An empty store in a new segment. Raises SettingsError, SharedMemoryError where it cannot fit."""
        stages = as_stages(games)
        segment = SharedSegment.create("replay", segment_fields(settings, stages), private=private)
        store = cls(settings, stages, segment, lock)
        segment.arrays["sections"][:] = [section_table(layout) for layout in store.layouts]
        store.ring_bytes = len(store.data) - guard_bytes(stages)
        segment.arrays["header"][Header.RING_BYTES] = store.ring_bytes
        segment.arrays["header"][Header.BUDGET_BYTES] = budget_bytes(settings)
        return store

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[Any, ...]]:
        return Store, (self.settings, self.games, self.segment, self.lock)

    def counters(self) -> NDArray[np.int64]:
        """A consistent copy of the header."""
        with self._fence():
            return self._header.copy()

    def window(self) -> Window:
        """What can be sampled now."""
        header = self.counters()
        return Window(*header[: len(Window._fields)].tolist())

    def tail_game(self) -> int:
        """The oldest game that is still there; what was read of older ones before this call may be wrong."""
        with self._fence():
            return int(self._header[Header.TAIL_GAME])

    def add(self, record: GameRecord) -> None:
        """Adds a game, dropping the oldest to make room. Raises ValueError where the record does not belong here, or
        could only enter by going under ``min_games``."""
        stage = check_rules(record, self.games)
        piece = encode_game(record, self.games[stage], self.layouts[stage], self.settings.td_steps)
        offset = self._make_room(len(piece), record.num_plies)
        self.data[offset : offset + len(piece)] = piece
        header = self._header
        slot = int(header[Header.HEAD_GAME]) % len(self.starts)
        self.starts[slot] = header[Header.HEAD_POSITION]
        self.offsets[slot] = offset
        self.plies[slot] = record.num_plies
        self.openings[slot] = record.opening_plies
        self.sizes[slot] = len(piece)
        self.stages[slot] = stage
        with self._fence():
            header[Header.HEAD_GAME] += 1
            header[Header.HEAD_POSITION] += record.num_positions
            header[Header.HEAD_BYTE] = offset + len(piece)
            header[Header.USED_BYTES] += len(piece)
            self._count_held(stage, record.num_plies, 1)
            header[Header.TOTAL_GAMES] += 1
            header[Header.TOTAL_POSITIONS] += record.num_positions
            if header[Header.HEAD_GAME] - header[Header.TAIL_GAME] > self.settings.max_games:
                self._drop(1)

    def set_totals(self, games: int, positions: int) -> None:
        """Sets what was ever added, for a store that was filled again from an archive."""
        with self._fence():
            self._header[Header.TOTAL_GAMES] = games
            self._header[Header.TOTAL_POSITIONS] = positions

    def _make_room(self, size: int, plies: int) -> int:
        """Evicts what is needed for a piece of ``size`` bytes and says where it goes."""
        tail, head, *_, end = self._header[: Header.HEAD_BYTE + 1].tolist()
        slots, ring = len(self.starts), self.ring_bytes
        oldest = tail
        while oldest < head:
            start = int(self.offsets[oldest % slots])
            if end > start:  # the games lie in [start, end)
                place = end if ring - end >= size else 0 if start >= size else -1
            else:  # they go on from the ring's beginning to end
                place = end if start - end >= size else -1
            if place >= 0:
                break
            oldest += 1
        else:
            place = 0
        if size > ring or (oldest > tail and head - oldest < self.settings.min_games):
            raise ValueError(
                f"a game of {plies} plies ({size} bytes) would leave fewer than replay.min_games="
                f"{self.settings.min_games} games in the buffer: raise replay.max_memory_gb or lower replay.min_games"
            )
        if oldest > tail:
            with self._fence():
                self._drop(oldest - tail)
        return place

    def _drop(self, count: int) -> None:
        """Moves the tail over ``count`` games; the caller holds the lock."""
        header, slots = self._header, len(self.starts)
        for _ in range(count):
            slot = int(header[Header.TAIL_GAME]) % slots
            plies = int(self.plies[slot])
            header[Header.TAIL_GAME] += 1
            header[Header.TAIL_POSITION] += plies - self.openings[slot]
            header[Header.USED_BYTES] -= self.sizes[slot]
            self._count_held(int(self.stages[slot]), plies, -1)

    def _count_held(self, stage: int, plies: int, sign: int) -> None:
        """Counts a game of ``plies`` in or out; the caller holds the lock."""
        held = self._held
        held[stage, 0] += sign
        held[stage, 1] += sign * plies
        held[stage, 2] += sign * num_snapshots(plies, self.settings.snapshot_interval)

    @contextmanager
    def _fence(self) -> Iterator[None]:
        if not self.lock.acquire(timeout=LOCK_SECONDS):
            raise SharedMemoryError("a process died while it held the replay buffer's lock: end the run and resume it")
        try:
            yield
        finally:
            self.lock.release()


def check_rules(record: GameRecord, games: Sequence[Game]) -> int:
    """Which of ``games`` ``record`` is one of. Raises ValueError where it is of none of them."""
    theirs = (record.game, record.board_size, record.win_length, record.swap, record.num_seats, record.num_actions)
    ours = [
        (game.name, game.board_size, game.win_length, game.swap, game.num_seats, game.num_actions) for game in games
    ]
    if theirs not in ours:
        raise ValueError(
            f"a record of {theirs} does not belong to {', '.join(map(str, ours))} (game, size, win length, swap, "
            "seats, actions)"
        )
    stage = ours.index(theirs)
    game = games[stage]
    if record.views.max() >= game.num_views or record.num_plies > game.max_plies:
        raise ValueError(f"a record has views or plies ({record.num_plies}) that {game.name} cannot have")
    origins, room = record.origins, game.board_size - game.shapes.view_size
    known = len(origins) == (record.num_plies if game.view_moves else 0)
    if not known or (game.view_moves and (origins.min() < 0 or origins.max() > room)):
        raise ValueError(f"a record has origins of views that {game.name} cannot have")
    return stage


def describe_store(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The memory report of a store's arrays, also from another process's view of them (`shm.read_only_view`).

    Bytes: ``fields`` of each field of the segment, ``sections`` of each part of the pieces held; ``total_bytes`` of
    the segment, ``budget_bytes``, ``capacity_bytes`` and ``used_bytes`` of the ring, ``index_bytes`` of the games
    held, ``bytes_per_position`` of ring and index. O(1): nothing is counted.
    """
    header = arrays["header"].copy()
    held = header[HEADER_LENGTH:].reshape(-1, 3)
    games = int(header[Header.HEAD_GAME] - header[Header.TAIL_GAME])
    positions = int(header[Header.HEAD_POSITION] - header[Header.TAIL_POSITION])
    used = int(header[Header.USED_BYTES])
    per_section = np.einsum("gsk,gk->s", arrays["sections"], held).tolist()
    sections = {section.name.lower(): size for section, size in zip(Section, per_section, strict=True)}
    sections["policies"] = used - sum(per_section)
    fields = {name: int(array.nbytes) for name, array in arrays.items()}
    index = games * INDEX_BYTES
    return {
        "games": games,
        "positions": positions,
        "total_games": int(header[Header.TOTAL_GAMES]),
        "total_positions": int(header[Header.TOTAL_POSITIONS]),
        "budget_bytes": int(header[Header.BUDGET_BYTES]),
        "total_bytes": sum(fields.values()),
        "capacity_bytes": int(header[Header.RING_BYTES]),
        "used_bytes": used,
        "index_bytes": index,
        "bytes_per_position": (used + index) / positions if positions else 0.0,
        "fields": fields,
        "sections": sections,
    }
