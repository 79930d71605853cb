"""The replay buffer: add games, sample batches of positions, report memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import ReplaySettings
from hexpipe.errors import ArchiveError
from hexpipe.games.game_env import Game
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.layout import Header, piece_bytes
from hexpipe.replay.sampler import Sampler
from hexpipe.replay.store import FenceLock, Store, describe_store
from hexpipe.replay.targets import Batch
from hexpipe.replay.writer import StoreWriter
from hexpipe.shm import SharedSegment

logger = logging.getLogger(__name__)


class ReplayBuffer:
    """Games in shared memory within a hard budget; picklable as an argument of a process being spawned.

    One process (and one thread of it) calls `add_game`, `refresh_game` and `refill`; any number of others sample at the
    same time. Boards are kept as sparse snapshots and rebuilt from the nearest one, policies packed; see `layout`.
    Which games leave when it is full, `eviction` says.
    """

    def __init__(self, store: Store) -> None:
        kernel_cache.need("replay")
        self._store = store
        self._sampler = Sampler(store)
        self._writer: StoreWriter | None = None

    @classmethod
    def create(
        cls,
        settings: ReplaySettings,
        games: Game | Sequence[Game],
        private: bool = False,
        lock: FenceLock | None = None,
    ) -> ReplayBuffer:
        """An empty buffer for one game, or for the stages of a curriculum. ``private`` keeps it in this process's own
        memory; else ``lock`` must be a multiprocessing Lock of the context that spawns the processes that share it.

        Raises SettingsError where the budget cannot hold ``min_games``, SharedMemoryError where there is no memory.
        """
        if lock is None:
            if not private:
                raise ValueError("a shared replay buffer needs a multiprocessing lock")
            lock = threading.Lock()
        return cls(Store.create(settings, games, lock, private=private))

    def __reduce__(self) -> tuple[Callable[..., ReplayBuffer], tuple[Any, ...]]:
        return ReplayBuffer, (self._store,)

    @property
    def segment(self) -> SharedSegment:
        """The shared memory, for reports from outside (`store.describe_store`)."""
        return self._store.segment

    @property
    def num_games(self) -> int:
        """Games held now. O(1), like all counts here."""
        return self._store.window().live_games

    @property
    def num_positions(self) -> int:
        """Positions held now."""
        return self._store.window().live_positions

    @property
    def total_games(self) -> int:
        """Games ever added, those of earlier parts of the run included (`refill`)."""
        return int(self._store.counters()[Header.TOTAL_GAMES])

    @property
    def total_positions(self) -> int:
        """Positions ever added, those of earlier parts of the run included (`refill`)."""
        return int(self._store.counters()[Header.TOTAL_POSITIONS])

    def add_game(self, record: GameRecord) -> None:
        """Adds a finished game; where there are too many, or memory runs out, the oldest leave (`eviction`).

        Raises ValueError where it does not belong here.
        """
        self._writing().add(record)

    def refresh_game(self, number: int, record: GameRecord) -> bool:
        """Replaces the targets (policies, values) of the game that arrived as ``number`` by those of ``record``.

        It keeps its number and counts as no new game. False, and nothing is done, where it is no longer held, or others
        would have to leave for it. Raises ValueError where the record is of another game.
        """
        return self._writing().refresh(number, record)

    def held_game(self, rng: np.random.Generator) -> int:
        """The number of a game held, drawn uniformly: 1 for the first that came in this run, as in its archive.

        For any process. Raises EmptyBufferError while empty.
        """
        return self._store.held_game(rng)

    def hide(self) -> None:
        """Makes the buffer empty to readers until it is filled again: its writer has died, maybe in mid-change."""
        self._store.header[Header.FILLING] = 1

    def free_lock_of_the_dead(self) -> None:
        """Frees the lock of a reader that was killed while it held it. Call when a process that draws from here has."""
        self._store.free_lock_of_the_dead()

    def sample_batch(
        self,
        batch_size: int,
        rng: np.random.Generator,
        unroll_steps: int = 0,
        out: Batch | None = None,
        *,
        observations: bool = False,
    ) -> Batch:
        """``batch_size`` positions with the targets of them and ``unroll_steps`` plies more: the arrays that `targets`
        describes, with ``observations`` the codes of the later positions too.

        Positions are drawn uniformly, or by priority where ``replay.priority_share`` says so (`sampler`). ``out``, a
        batch of the same shapes, is filled and returned where given. Raises EmptyBufferError while empty.
        """
        return self._sampler.sample_batch(batch_size, rng, unroll_steps, out, observations=observations)

    def refill(self, archive: ReplayArchive, go_on: Callable[[], bool] = lambda: True) -> int:
        """Fills the buffer anew with the newest games of ``archive`` that fit, oldest first, and takes over its totals.
        Returns how many. To everybody else it is empty until then, and stays so where ``go_on``, which is asked before
        each game, says False. Raises ArchiveError where a game cannot be one of this run."""
        store, writer = self._store, self._writing()

        def least(plies: int, policy_bytes: int) -> int:
            """What a game of any stage takes at least: of those that come too early some leave again."""
            return min(piece_bytes(layout, plies, policy_bytes) for layout in store.layouts)

        writer.begin_refill(archive.total_games, archive.total_positions)
        for number, record in archive.newest(store.settings.max_games, writer.bytes_before_eviction, least):
            if not go_on():
                return 0
            try:
                writer.add(record, number)
            except ValueError as error:
                words = f"game {number} of {archive.path} does not belong there ({error}): restore the file"
                raise ArchiveError(words, kind="foreign", path=archive.path) from error
        writer.end_refill()
        logger.info("replay buffer: %d games from %s", self.num_games, archive.path)
        return self.num_games

    def memory_report(self) -> dict[str, Any]:
        """Where the memory goes, see `store.describe_store`. O(1)."""
        arrays = dict(self._store.segment.arrays)
        arrays["header"] = self._store.counters()
        return describe_store(arrays)

    def _writing(self) -> StoreWriter:
        """The writer, made where this process changes the buffer for the first time."""
        if self._writer is None:
            self._writer = StoreWriter(self._store)
        return self._writer
