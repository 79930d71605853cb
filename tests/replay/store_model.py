"""The slow obvious way to what a store must hold: a list of games in order of arrival."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hexpipe.games.game_env import as_stages
from hexpipe.records import GameRecord
from hexpipe.replay.layout import Header, guard_bytes, largest_game, segment_fields
from hexpipe.replay.snapshots import encode_game
from hexpipe.replay.store import Store
from tests.replay.reference import tiny_settings


class Unlocked:
    """A lock for one thread, which counts how often it is taken."""

    def __init__(self) -> None:
        self.taken = 0

    def acquire(self, *, timeout: float) -> bool:
        self.taken += 1
        return timeout > 0

    def release(self) -> None:
        self.taken += 0


def small_store(
    games: Any,
    *,
    min_games: int,
    max_games: int,
    spare_pieces: float,
    lock: Any = None,
    private: bool = True,
    **more: Any,
) -> Store:
    """A store with room for min_games + 1 + spare_pieces of the largest pieces and what a ring keeps free."""
    roomy = tiny_settings(min_games=min_games, max_games=max_games, **more)
    stages = as_stages(games)
    fields = {field.name: field for field in segment_fields(roomy, stages)}
    ring = (min_games + 3 + spare_pieces) * largest_game(stages, roomy.snapshot_interval)
    guard = guard_bytes(stages)
    fixed = sum(np.dtype(f.dtype).itemsize * int(np.prod(f.shape)) for f in fields.values() if f.name != "data")
    budget = fixed + guard + 16 * 64 + 65536 + ring
    settings = roomy.model_copy(update={"max_memory_gb": (budget + 1) / 1e9})
    store = Store.create(settings, stages, lock or Unlocked(), private=private)
    assert abs(store.ring_bytes - ring) < 8 or store.ring_bytes == int(np.prod(fields["data"].shape)) - guard
    return store


@dataclass
class Held:
    """A game of the model."""

    number: int
    record: GameRecord
    piece: np.ndarray
    stage: int


class StoreModel:
    """What ``store`` must hold; give it every change that is made there."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.games: list[Held] = []
        self.total_games = self.total_positions = 0
        self.usable = store.ring_bytes - 2 * largest_game(store.games, store.settings.snapshot_interval)

    def held(self, record: GameRecord, number: int, stage: int) -> Held:
        """``record`` as the store keeps it."""
        store = self.store
        piece = encode_game(record, store.games[stage], store.layouts[stage], store.settings.td_steps)
        return Held(number, record, piece, stage)

    def add(self, record: GameRecord, number: int, stage: int = 0) -> list[Held]:
        """The game comes in; says which ones leave for its bytes. Raises ValueError where it cannot."""
        settings, new = self.store.settings, self.held(record, number, stage)
        games = sorted(self.games, key=lambda held: (held.stage, held.number))
        leaving = []
        taken = self.live_bytes() + len(new.piece)
        while taken > int(0.9 * self.usable) and len(games) > settings.min_games:
            leaving.append(games.pop(0))
            taken -= len(leaving[-1].piece)
        if taken > self.usable:
            raise ValueError("no room")
        if len(games) == settings.max_games:
            games.pop(0)
        self.games = [held for held in self.games if held in games] + [new]
        self.total_games += 1
        self.total_positions += record.num_positions
        return leaving

    def refresh(self, number: int, record: GameRecord) -> bool:
        """The game gets new targets; False where it is not held, or has no room beside its old self."""
        for k, held in enumerate(self.games):
            if held.number == number:
                new = self.held(record, number, held.stage)
                if self.live_bytes() + len(new.piece) > self.usable:
                    return False
                self.games[k] = new
                return True
        return False

    def live_bytes(self) -> int:
        """Bytes of the pieces held."""
        return sum(len(held.piece) for held in self.games)

    def check(self) -> None:
        """Holds the store against the model: games, content, counters, room."""
        store, index = self.store, self.store.index
        check_counters(store)
        slot_of = live_slots(store)
        assert sorted(slot_of) == [held.number for held in self.games]
        for held in self.games:
            slot = slot_of[held.number]
            np.testing.assert_array_equal(piece_in(store, slot), held.piece)
            assert (index.plies[slot], index.openings[slot]) == (held.record.num_plies, held.record.opening_plies)
            assert index.stages[slot] == held.stage
        assert store.header[Header.TOTAL_GAMES] == self.total_games
        assert store.header[Header.TOTAL_POSITIONS] == self.total_positions
        assert self.live_bytes() <= store.header[Header.USED_BYTES] <= self.usable
        tail, head = store.window()[:2]
        ring = np.arange(tail, head) % len(index.dead)
        assert len(ring) < len(index.dead)
        assert not index.dead[ring[:1]].any()
        runs = sorted(zip(index.offsets[ring].tolist(), index.sizes[ring].tolist(), strict=True))
        assert all(a + size <= b for (a, size), (b, _) in pairwise(runs))
        assert sum(runs[-1]) <= store.ring_bytes


def check_counters(store: Store) -> None:
    """The header against a count of everything in the ring."""
    index, header = store.index, store.header
    tail, head = store.window()[:2]
    ring = np.arange(tail, head) % len(index.dead)
    plies, openings, sizes = (array[ring].astype(np.int64) for array in (index.plies, index.openings, index.sizes))
    positions, live = plies - openings, index.dead[ring] == 0
    ends = header[Header.TAIL_POSITION] + np.cumsum(positions)
    np.testing.assert_array_equal(index.starts[ring], ends - positions)
    assert header[Header.HEAD_POSITION] - header[Header.TAIL_POSITION] == positions.sum()
    counted = {
        Header.USED_BYTES: sizes.sum(),
        Header.LIVE_GAMES: live.sum(),
        Header.LIVE_POSITIONS: positions[live].sum(),
        Header.LIVE_BYTES: sizes[live].sum(),
    }
    assert {name: int(header[name]) for name in counted} == counted
    for stage, held in enumerate(header[16:].reshape(len(store.games), 3).tolist()):
        its = plies[live & (index.stages[ring] == stage)]
        assert held == [len(its), its.sum(), ((its - 1) // store.settings.snapshot_interval).sum()]


def live_slots(store: Store) -> dict[int, int]:
    """The slot of each live game, by its number; no number twice."""
    index = store.index
    tail, head = store.window()[:2]
    ring = np.arange(tail, head) % len(index.dead)
    live = ring[index.dead[ring] == 0]
    by_number = dict(zip(index.numbers[live].tolist(), live.tolist(), strict=True))
    assert len(by_number) == len(live)
    return by_number


def piece_in(store: Store, slot: int) -> np.ndarray:
    """The bytes of the game in ``slot``."""
    offset = int(store.index.offsets[slot])
    return store.data[offset : offset + int(store.index.sizes[slot])]
