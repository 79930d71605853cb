"""The writer of a store's ring buffer: games come in at the head, the tail makes room, the oldest are evicted.

Bytes and slots are written where no reader looks, and then the whole header is published under the fence lock. A reader
sees the store before or after that, and never a half-written game: a game that is copied ahead leaves at the tail in
the same moment as it comes in at the head, and so does one whose targets are replaced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.records import GameRecord
from hexpipe.replay.eviction import FULL_SHARE
from hexpipe.replay.layout import (
    HEADER_LENGTH,
    STAGE_COUNTERS,
    Header,
    Section,
    largest_game,
    num_snapshots,
    usable_bytes,
)
from hexpipe.replay.ledger import Ledger
from hexpipe.replay.snapshots import encode_game
from hexpipe.replay.store import Store, check_rules
from hexpipe.replay.writer_kernels import is_crowded, move_tail, publish, write_game

_ROOM_AHEAD = 64
_FAR = 2**32  # more positions than any buffer holds
_NO_SLOTS = np.zeros(0, np.int64)


class StoreWriter:
    """Adds, replaces and evicts games of ``store``. Only one thread of one process may have a writer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._index = store.index
        self._section_starts: list[list[list[int]]] = store.section_starts.tolist()
        header = store.header
        self._interval = store.layouts[0].snapshot_interval  # the same for all stages
        self._usable = usable_bytes(store.ring_bytes, largest_game(store.games, store.settings.snapshot_interval))
        self.bytes_before_eviction = int(FULL_SHARE * self._usable)
        self._ledger = Ledger(store.index, int(header[Header.TAIL_GAME]), int(header[Header.HEAD_GAME]))

    def add(self, record: GameRecord, number: int | None = None) -> None:
        """Add a game, after evicting others if there is no room (`eviction`).

        ``number`` is its number of arrival, by default the next one. Raises ValueError where the record does not belong
        here, has come before, or would need an eviction below ``min_games``.
        """
        store = self._store
        number = int(store.header[Header.TOTAL_GAMES]) + 1 if number is None else number
        if number <= self._ledger.newest_number:
            raise ValueError(f"game {number} comes after game {self._ledger.newest_number}: add games in their order")
        stage, piece = self._encode(record)
        if store.header[Header.LIVE_BYTES] + len(piece) > self._usable:  # else others are evicted as it comes
            self._publish(store.header.copy(), self._leaving(len(piece), record.num_plies))
        self._make_room(len(piece))
        header = self._write(piece, record, number, stage)
        if number > header[Header.TOTAL_GAMES]:  # else it was counted at its first arrival
            header[Header.TOTAL_GAMES] += 1
            header[Header.TOTAL_POSITIONS] += record.num_positions
        leaving = self._leaving(len(piece), record.num_plies)  # copies that made room may have moved them
        self._ledger.append(number, int(header[Header.HEAD_GAME]) - 1, int(header[Header.TAIL_GAME]))
        self._publish(header, leaving)

    def refresh(self, number: int, record: GameRecord) -> bool:
        """Replace the targets of game ``number`` by those of ``record``, the same game, which does not count as new.

        Returns False, with nothing done, if the game is not held or others would have to leave for it. Raises
        ValueError where the record does not belong here or is another game.
        """
        ring = self._ledger.find(number, int(self._store.header[Header.TAIL_GAME]))
        if ring < 0:
            return False
        stage, piece = self._encode(record)
        self._check_same(ring % len(self._index.dead), piece, record, number, stage)
        if self._store.header[Header.LIVE_BYTES] + len(piece) > self._usable:
            return False
        self._make_room(len(piece))
        old = self._ledger.find(number, int(self._store.header[Header.TAIL_GAME]))  # it may have been copied ahead
        header = self._write(piece, record, number, stage)
        self._ledger.move(number, int(header[Header.HEAD_GAME]) - 1)
        self._publish(header, np.array([old % len(self._index.dead)]))
        return True

    def begin_refill(self, games: int, positions: int) -> None:
        """Empty the store, whatever state a dead writer has left it in, for a refill; readers find it empty until
        `end_refill`.

        ``games`` and ``positions`` are the numbers ever added. Ring numbers and positions go on far above those in use,
        so that readers find their present draws evicted.
        """
        store = self._store
        with store.fence():
            store.header[Header.FILLING] = 1
            header = store.header.copy()
            ring = int(max(header[Header.HEAD_GAME], header[Header.TAIL_GAME])) + 2 * len(self._index.dead)
            position = int(max(header[Header.HEAD_POSITION], header[Header.TAIL_POSITION])) + _FAR
            header[: Header.RING_BYTES] = 0
            header[HEADER_LENGTH:] = 0
            header[[Header.TAIL_GAME, Header.HEAD_GAME]] = ring
            header[[Header.TAIL_POSITION, Header.HEAD_POSITION]] = position
            header[Header.TOTAL_GAMES], header[Header.TOTAL_POSITIONS] = games, positions
            store.header[:] = header  # even if this process is killed, each number here is an old or a new one
        self._ledger = Ledger(store.index, ring, ring)

    def end_refill(self) -> None:
        """Show readers the refilled store."""
        with self._store.fence():
            self._store.header[Header.FILLING] = 0

    def _encode(self, record: GameRecord) -> tuple[int, NDArray[np.uint8]]:
        """Return the stage of ``record``, and its piece."""
        store = self._store
        stage = check_rules(record, store.games)
        return stage, encode_game(record, store.games[stage], store.layouts[stage], store.settings.td_steps)

    def _leaving(self, size: int, plies: int) -> NDArray[np.int64]:
        """Return the slots of the games to evict for a piece of ``size`` bytes; see `eviction`."""
        header, settings, slots = self._store.header, self._store.settings, len(self._index.dead)
        games, taken = int(header[Header.LIVE_GAMES]), int(header[Header.LIVE_BYTES]) + size
        held = header[HEADER_LENGTH::STAGE_COUNTERS].tolist()
        order = self._ledger.leaving(held, int(header[Header.TAIL_GAME]))
        leaving = []
        while games == settings.max_games or (taken > self.bytes_before_eviction and games > settings.min_games):
            slot = next(order) % slots
            leaving.append(slot)
            games, taken = games - 1, taken - int(self._index.sizes[slot])
        if taken > self._usable:
            raise ValueError(
                f"a game of {plies} plies ({size} bytes) would leave fewer than replay.min_games={settings.min_games} "
                "games in the buffer: raise replay.max_memory_gb or lower replay.min_games"
            )
        return np.array(leaving, np.int64) if leaving else _NO_SLOTS

    def _make_room(self, size: int) -> None:
        """Move the tail on until a piece of ``size`` bytes may come in, a batch of copies at a time.

        It terminates: once around the ring no dead piece is left, and then live and new pieces fit together. It frees
        more than needed, a part of the available room, so that not every game has to start it again.
        """
        store, ledger = self._store, self._ledger
        slots = len(self._index.dead)
        if not is_crowded(store.header, size, self._usable, slots):
            return
        size += (self._usable - int(store.header[Header.LIVE_BYTES]) - size) // _ROOM_AHEAD
        while is_crowded(store.header, size, self._usable, slots):
            header = store.header.copy()
            move_tail(self._index, store.data, ledger.numbers, ledger.rings, ledger.count, header, size, self._usable)
            self._publish(header, _NO_SLOTS)

    def _write(self, piece: NDArray[np.uint8], record: GameRecord, number: int, stage: int) -> NDArray[np.int64]:
        """Write a piece, for which there is room, and its slot; return the header to be published."""
        store = self._store
        header = store.header.copy()
        write_game(
            self._index,
            store.data,
            header,
            piece,
            record.num_plies,
            record.opening_plies,
            number,
            stage,
            self._interval,
        )
        return header

    def _publish(self, header: NDArray[np.int64], leaving: NDArray[np.int64]) -> None:
        """Publish ``header``, and mark the games in the slots ``leaving`` as dead."""
        with self._store.fence():
            publish(self._index, self._store.header, header, leaving, self._interval)

    def _check_same(self, slot: int, piece: NDArray[np.uint8], record: GameRecord, number: int, stage: int) -> None:
        """Raise ValueError unless ``piece`` of ``record`` has the moves of the game in ``slot``."""
        index, plies = self._index, record.num_plies
        same = (index.stages[slot], index.plies[slot], index.openings[slot]) == (stage, plies, record.opening_plies)
        if same:
            start, end = self._place(stage, Section.ACTIONS, plies), self._place(stage, Section.FLAGS, plies)
            held = self._store.data[index.offsets[slot] :]
            same = np.array_equal(piece[start:end], held[start:end])
        if not same:
            raise ValueError(f"game {number} has other moves than the record that was to replace its targets")

    def _place(self, stage: int, section: Section, plies: int) -> int:
        """Return the beginning of a section in the piece of a game of ``stage`` with ``plies`` plies."""
        per_game, per_ply, per_snapshot = self._section_starts[stage][section]
        return per_game + per_ply * plies + per_snapshot * num_snapshots(plies, self._interval)
