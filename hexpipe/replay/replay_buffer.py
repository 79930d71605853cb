"""The replay buffer: add games, sample batches of positions, report memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
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
    `eviction` decides which games leave when it is full.
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
        """Create an empty buffer for one game, or for the stages of a curriculum.

        ``private`` keeps it in this process's own memory; else ``lock`` must be a multiprocessing Lock of the context
        that spawns the processes that share it.

        Raises SettingsError if the budget cannot hold ``min_games``, SharedMemoryError if there is no memory.
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
        """Shared memory, for reports from outside (`store.describe_store`)."""
        return self._store.segment

    @property
    def num_games(self) -> int:
        """Number of games held now. O(1), like all counts here."""
        return self._store.window().live_games

    @property
    def num_positions(self) -> int:
        """Number of positions held now."""
        return self._store.window().live_positions

    @property
    def total_games(self) -> int:
        """Number of games ever added, including earlier parts of the run (`refill`)."""
        return int(self._store.counters()[Header.TOTAL_GAMES])

    @property
    def total_positions(self) -> int:
        """Number of positions ever added, including earlier parts of the run (`refill`)."""
        return int(self._store.counters()[Header.TOTAL_POSITIONS])

    def add_game(self, record: GameRecord) -> None:
        """Add a finished game; at a limit of games or memory the oldest are evicted (`eviction`).

        Raises ValueError where it does not belong here.
        """
        self._writing().add(record)

    def refresh_game(self, number: int, record: GameRecord) -> bool:
        """Replace the targets (policies, values) of the game that arrived as ``number`` by those of ``record``.

        It keeps its number and does not count as new. Returns False, with nothing done, if it is no longer held, or
        others would have to leave for it. Raises ValueError where the record is of another game.
        """
        return self._writing().refresh(number, record)

    def held_game(self, rng: np.random.Generator) -> int:
        """Draw a held game uniformly; return its number: 1 for the first of this run, as in its archive.

        For any process. Raises EmptyBufferError while empty.
        """
        return self._store.held_game(rng)

    def hide(self) -> None:
        """Make the buffer empty to readers until it is refilled: its writer has died, maybe in mid-change."""
        self._store.header[Header.FILLING] = 1

    def free_lock_of_the_dead(self) -> None:
        """Release the lock of a reader that was killed while it held it; to be called when a reading process has
        died."""
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
        """Sample ``batch_size`` positions with their targets and those of ``unroll_steps`` more plies.

        The arrays are those of `targets`, with ``observations`` also the codes of the later positions. Positions are
        drawn uniformly, or by priority with ``replay.priority_share`` (`sampler`). ``out``, a batch of the same shapes,
        is filled and returned if given. Raises EmptyBufferError while empty.
        """
        return self._sampler.sample_batch(batch_size, rng, unroll_steps, out, observations=observations)

    def refill(
        self,
        archive: ReplayArchive,
        go_on: Callable[[], bool] = lambda: True,
        before: Iterable[tuple[int, GameRecord]] = (),
    ) -> int:
        """Refill the buffer with the newest games of ``archive`` that fit, oldest first, and take over its totals;
        games on boards of another leg of the run stay there.

        Those of ``before``, older games with their numbers, come first (`smaller_boards.smaller_games`).

        Returns their count. Readers find it empty until then, and afterwards too if ``go_on``, which is called before
        each game, returned False. Raises ArchiveError where a game cannot be one of this run.
        """
        store, writer = self._store, self._writing()

        def least(plies: int, policy_bytes: int) -> int:
            """Return the least bytes of a game of any stage: of those read in excess the first are evicted again."""
            return min(piece_bytes(layout, plies, policy_bytes) for layout in store.layouts)

        writer.begin_refill(archive.total_games, archive.total_positions)
        boards = {game.board_size for game in store.games}
        newest = archive.newest(store.settings.max_games, writer.bytes_before_eviction, least, boards)
        for number, record in chain(before, newest):
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
        """Report the memory by parts, see `store.describe_store`. O(1)."""
        arrays = dict(self._store.segment.arrays)
        arrays["header"] = self._store.counters()
        return describe_store(arrays)

    def _writing(self) -> StoreWriter:
        """Return the writer, made at the first change by this process."""
        if self._writer is None:
            self._writer = StoreWriter(self._store)
        return self._writer
