"""The ring buffer of games in shared memory: one writer (`writer`), any number of readers that never block it.

The fence lock is held only to copy or change a few counters and marks, which also orders the memory accesses around it.
The writer first moves the tail under the lock, then overwrites the bytes that this freed, then publishes the new head
under the lock. Reading is optimistic, as with a seqlock: a reader copies the counters under the lock, reads without it,
and then checks the tail under the lock again: games older than the tail by then may have been overwritten and are drawn
anew.

An evicted game is marked as dead and no longer sampled; it stays whole until the tail has passed it, so that a reader
that drew it just before reads valid data. Games are evicted from anywhere (`eviction`), and the ring stays a ring: a
live game at the tail is copied to the head (a log with a second chance, like cleaning in log-structured file systems).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import ReplaySettings
from hexpipe.errors import SharedMemoryError
from hexpipe.games.game_env import Game, as_stages, moves_view
from hexpipe.games.game_records import recorded_rules
from hexpipe.records import GameRecord
from hexpipe.replay.layout import (
    HEADER_LENGTH,
    INDEX_BYTES,
    STAGE_COUNTERS,
    Header,
    Section,
    budget_bytes,
    guard_bytes,
    piece_layout,
    section_starts,
    section_table,
    segment_fields,
)
from hexpipe.replay.writer_kernels import Index
from hexpipe.shm import SharedSegment

DEAD_SECONDS = 5.0
LOCK_SECONDS = 60.0  # held for microseconds: a wait of this length means that its owner is dead


class EmptyBufferError(ValueError):
    """There is no game to draw: none has come yet, or the buffer is being refilled."""

    def __init__(self) -> None:
        super().__init__("the replay buffer is empty: add a game before drawing from it")


class FenceLock(Protocol):
    """A threading.Lock or a multiprocessing Lock."""

    def acquire(self, *, timeout: float) -> bool: ...
    def release(self) -> None: ...


class Window(NamedTuple):
    """The range to sample from: games and positions from tail on and before head by ring numbers, and how many are
    live."""

    tail_game: int
    head_game: int
    tail_position: int
    head_position: int
    live_games: int
    live_positions: int


class Store:
    """The ring over a segment with the fields of `layout.segment_fields`. Picklable while a process is spawned.

    Any process may read; the one that changes it has its `writer.StoreWriter`.
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
        self.section_starts = np.array([section_starts(section_table(layout)) for layout in self.layouts])
        self.header: NDArray[np.int64] = arrays["header"]
        self.index = Index(*(arrays[name] for name in Index._fields))
        self.data: NDArray[np.uint8] = arrays["data"]
        self.ring_bytes = int(self.header[Header.RING_BYTES])

    @classmethod
    def create(cls, settings: ReplaySettings, games: Game | Sequence[Game], lock: FenceLock, *, private: bool) -> Store:
        """Create an empty store in a new segment. Raises SettingsError, SharedMemoryError if it cannot fit."""
        stages = as_stages(games)
        segment = SharedSegment.create("replay", segment_fields(settings, stages), private=private)
        tables = [section_table(piece_layout(game, settings.snapshot_interval)) for game in stages]
        segment.arrays["sections"][:] = tables
        segment.arrays["header"][Header.RING_BYTES] = len(segment.arrays["data"]) - guard_bytes(stages)
        segment.arrays["header"][Header.BUDGET_BYTES] = budget_bytes(settings)
        return cls(settings, stages, segment, lock)

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[Any, ...]]:
        return Store, (self.settings, self.games, self.segment, self.lock)

    def counters(self) -> NDArray[np.int64]:
        """Return a consistent copy of the header."""
        with self.fence():
            return self.header.copy()

    def window(self) -> Window:
        """Return the present range to sample from; it is empty during a refill."""
        header = self.counters()
        if header[Header.FILLING]:
            header[[Header.LIVE_GAMES, Header.LIVE_POSITIONS]] = 0
        return Window(*header[: len(Window._fields)].tolist())

    def tail_game(self) -> int:
        """Return the first game that is still valid; data of earlier ones read before this call may be overwritten."""
        with self.fence():
            return int(self.header[Header.TAIL_GAME])

    def free_lock_of_the_dead(self) -> None:
        """Release the fence lock if nobody has released it for `DEAD_SECONDS`: the living hold it for microseconds.

        A reader that died with it leaves nothing half done; a dead writer's successor begins with an empty store.
        """
        self.lock.acquire(timeout=DEAD_SECONDS)
        self.lock.release()

    def held_game(self, rng: np.random.Generator) -> int:
        """Draw a live game uniformly; return its number of arrival. Raises EmptyBufferError while empty."""
        slots = len(self.index.dead)
        while True:
            window = self.window()
            if not window.live_games:
                raise EmptyBufferError
            rings = rng.integers(window.tail_game, window.head_game, 16)
            live = rings[self.index.dead[rings % slots] == 0]
            if len(live):
                number = int(self.index.numbers[live[0] % slots])
                if live[0] >= self.tail_game():
                    return number

    @contextmanager
    def fence(self) -> Iterator[None]:
        """Hold the fence lock within the block, as required to change the header or mark a game as dead."""
        if not self.lock.acquire(timeout=LOCK_SECONDS):
            raise SharedMemoryError(
                "a process died while it held the replay buffer's lock: end the run and resume it", kind="ended"
            )
        try:
            yield
        finally:
            self.lock.release()


def check_rules(record: GameRecord, games: Sequence[Game]) -> int:
    """Return the index in ``games`` of the rules of ``record``. Raises ValueError if it is of none of them."""
    theirs = (record.game, record.board_size, record.win_length, record.swap, record.num_seats, record.num_actions)
    ours = [tuple(recorded_rules(game).values()) for game in games]
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
    known = len(origins) == (record.num_plies if moves_view(game) else 0)
    if not known or (len(origins) and (origins.min() < 0 or origins.max() > room)):
        raise ValueError(f"a record has origins of views that {game.name} cannot have")
    return stage


def describe_store(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the memory report of a store's arrays, also from another process's view of them (`shm.read_only_view`).

    Bytes: ``fields`` of each field of the segment, ``sections`` of each part of the pieces held; ``total_bytes`` of the
    segment, ``budget_bytes``, ``capacity_bytes`` of the ring, ``used_bytes`` of the pieces held, ``dead_bytes`` of
    evicted ones that are not freed yet, ``index_bytes`` of the games held, ``bytes_per_position`` of ring and index.
    O(1): nothing is counted.
    """
    header = arrays["header"].copy()
    held = header[HEADER_LENGTH:].reshape(-1, STAGE_COUNTERS)
    games, positions = int(header[Header.LIVE_GAMES]), int(header[Header.LIVE_POSITIONS])
    used = int(header[Header.LIVE_BYTES])
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
        "dead_bytes": int(header[Header.USED_BYTES]) - used,
        "index_bytes": index,
        "bytes_per_position": (used + index) / positions if positions else 0.0,
        "fields": fields,
        "sections": sections,
    }
