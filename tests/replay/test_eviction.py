"""Eviction, copies and fresh targets against a plain list of games, at every instant that a reader could look."""

from __future__ import annotations

import threading
from dataclasses import replace
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.games.hex import Hex
from hexpipe.records import pack_policies
from hexpipe.replay.layout import Header
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.sample_kernels import find_games
from hexpipe.replay.sampler import Sampler
from hexpipe.replay.store import Store
from hexpipe.replay.writer import StoreWriter
from hexpipe.shm import spawn_context
from tests.replay.reference import (
    REFRESHED,
    check_row,
    known_game,
    longest_game,
    random_game,
    reference_priority,
    tiny_settings,
    views_game,
    where_from,
)
from tests.replay.store_model import (
    StoreModel,
    Unlocked,
    check_counters,
    live_slots,
    piece_in,
    small_store,
)

GAME = Hex(6)


class StageOfHex(Hex):
    """Hex by another name of its rules: a game has the same bytes in all stages."""

    win_length = 0

    def __init__(self, stage: int) -> None:
        super().__init__(GAME.board_size)
        self.win_length = stage


STAGES = [StageOfHex(stage) for stage in range(3)]
VIEWS = [views_game(size, 7, move_cap=40) for size in (7, 9, 12)]


class InspectingLock:
    """Looks at the store before each change that is published and after it: what readers can see at any instant."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.pieces: dict[int, list[np.ndarray]] = {}  # what each game has ever been
        self.looking = False

    def acquire(self, *, timeout: float) -> bool:
        self.look()
        return True

    def release(self) -> None:
        self.look()

    def look(self) -> None:
        if self.store is None or self.looking:  # it takes the lock itself
            return
        self.looking = True
        check_counters(self.store)
        for number, slot in live_slots(self.store).items():
            assert any(np.array_equal(piece_in(self.store, slot), piece) for piece in self.pieces[number])
        self.looking = False


class EveryPosition(Sampler):
    """Draws all live positions in turn."""

    def _draw(self, window: Any, rows: Any, rng: Any, rings: Any, weights: Any) -> np.ndarray:
        index = self._store.index
        live = [
            np.arange(index.plies[slot] - index.openings[slot]) + index.starts[slot]
            for slot in live_slots(self._store).values()
        ]
        positions = np.resize(np.concatenate(live), len(rows))
        find_games(self._ring, window.tail_game, window.head_game, positions, rows, rings)
        return positions


class Both:
    """A store and its model, which are changed together."""

    def __init__(self, store: Store, first: int) -> None:
        self.store, self.first = store, first
        self.model = StoreModel(store)
        self.writer = StoreWriter(store)
        self.number = 0
        self.evicted = self.refreshed = 0

    def add(self, stage: int) -> None:
        """The next game comes; min_games stay, and what leaves for memory has to."""
        model = self.model
        self.number += 1
        record = random_game(self.store.games[stage], self.first + self.number)
        live_bytes = model.live_bytes()
        self.know(record, self.number, stage)
        leaving = model.add(record, self.number, stage)
        self.evicted += len(leaving)
        self.writer.add(record)
        model.check()
        if leaving:
            gone = sum(len(held.piece) for held in leaving[:-1])
            assert live_bytes - gone + len(model.games[-1].piece) > 0.9 * model.usable - 1
            assert len(model.games) >= model.store.settings.min_games

    def refresh(self, number: int) -> None:
        """The game gets other targets, or those that it had, if it is there."""
        held = next((held for held in self.model.games if held.number == number), None)
        stage = held.stage if held else 0
        was = held.record.weights_version if held else self.first + number
        record = random_game(self.store.games[stage], was ^ REFRESHED)
        self.know(record, number, stage)
        wanted = self.model.refresh(number, record)
        assert self.writer.refresh(number, record) == wanted
        self.refreshed += wanted
        self.model.check()

    def restart(self) -> None:
        """Another process goes on writing: all that it knows is in the segment."""
        self.writer = StoreWriter(self.store)

    def know(self, record: Any, number: int, stage: int) -> None:
        lock: Any = self.store.lock
        lock.pieces.setdefault(number, []).append(self.model.held(record, number, stage).piece)

    def check_samples(self, count: int) -> None:
        """Samples are of live games and as they should be, those drawn and those of every live position."""
        rng = np.random.default_rng(count)
        live = {held.record.weights_version for held in self.model.games}
        batch = Sampler(self.store).sample_batch(count, rng, 2)
        for row in range(count):
            found = check_row(GAME, batch, row, 0)[0]
            assert found in live
            assert batch["games"][row] == (found & ~REFRESHED) - self.first
        positions = int(self.store.header[Header.LIVE_POSITIONS])
        every = EveryPosition(self.store).sample_batch(positions, rng, 0)
        assert {check_row(GAME, every, row, 0) for row in range(positions)} == {
            (held.record.weights_version, ply) for held in self.model.games for ply in range(held.record.num_plies)
        }
        assert {self.store.held_game(rng) for _ in range(count)} <= {held.number for held in self.model.games}


def both(first: int, games: Any = GAME, **shape: Any) -> Both:
    """A store that is inspected at every instant, and its model."""
    lock = InspectingLock()
    pair = Both(small_store(games, lock=lock, **shape), first)
    lock.store = pair.store
    return pair


@settings(max_examples=20, deadline=None)
@given(
    first=st.integers(0, REFRESHED - 1000),
    min_games=st.integers(1, 6),
    max_games=st.sampled_from([6, 14, 60]),
    spare=st.floats(0, 12),
    stages=st.integers(0, 2),
    steps=st.lists(st.one_of(st.just("add"), st.just("add"), st.integers(-1, 60)), min_size=30, max_size=100),
)
def test_the_store_holds_what_a_list_of_games_would(
    first: int, min_games: int, max_games: int, spare: float, stages: int, steps: list[str | int]
) -> None:
    games = STAGES[: stages + 1]
    pair = both(first, games, min_games=min_games, max_games=max_games, spare_pieces=spare)
    for count, step in enumerate(steps):
        if step == "add":
            pair.add(stage=count * (stages + 1) // len(steps))
        elif step == -1:
            pair.restart()
        elif pair.number:
            pair.refresh(pair.number - int(step) % pair.number)
    if pair.number:
        pair.check_samples(20)


@pytest.mark.parametrize(
    ("min_games", "max_games", "spare", "by_memory"), [(1, 6, 0.0, True), (2, 14, 3.0, False), (3, 60, 8.0, True)]
)
def test_long_runs_evict_copy_refresh_and_go_around(
    min_games: int, max_games: int, spare: float, by_memory: bool
) -> None:
    pair = both(5, STAGES[:2], min_games=min_games, max_games=max_games, spare_pieces=spare)
    rng = np.random.default_rng(1)
    for step in range(200):
        if rng.random() < 0.65 or not pair.number:
            pair.add(stage=step // 100)
        else:
            pair.refresh(pair.number - int(rng.integers(0, min(pair.number, 40))))
    pair.check_samples(50)
    header = pair.store.header
    assert pair.refreshed > 10
    assert header[Header.HEAD_GAME] > header[Header.TOTAL_GAMES] + pair.refreshed + 40  # copies
    assert (pair.evicted > 20) == by_memory
    assert pair.number > len(pair.store.index.dead) or max_games == 60  # the writer's list was cleared up


def test_boards_of_several_sizes_share_a_ring() -> None:
    """Games of small boards leave for those of large ones, and the pieces of each are laid out in their own way."""
    pair = both(5, VIEWS, min_games=2, max_games=60, spare_pieces=2, td_steps=2)
    rng = np.random.default_rng(1)
    for step in range(120):
        if rng.random() < 0.7 or not pair.number:
            pair.add(stage=max(0, step // 40 - int(rng.integers(0, 2))))
        else:
            pair.refresh(pair.number - int(rng.integers(0, min(pair.number, 40))))
    assert pair.evicted > 20
    assert pair.refreshed > 5
    assert {held.stage for held in pair.model.games} <= {1, 2}
    report = ReplayBuffer(pair.store).memory_report()
    held = pair.model.games
    assert report["sections"]["snapshots"] == sum(
        (h.record.num_plies - 1) // 4 * -(-(h.record.board_size**2) // 4) for h in held
    )
    assert report["sections"]["origins"] == sum(2 * len(h.record.origins) for h in held)
    assert report["sections"]["policies"] == sum(len(h.record.policy_bytes) for h in held)


@pytest.mark.parametrize(("min_games", "max_games", "spare"), [(3, 60, 0.0), (1, 4, 60.0)])
def test_of_the_earliest_stage_the_oldest_leaves_first(min_games: int, max_games: int, spare: float) -> None:
    """For want of memory as for the number of games: there is room for four."""
    store = small_store(STAGES, min_games=min_games, max_games=max_games, spare_pieces=spare)
    model, writer = StoreModel(store), StoreWriter(store)
    for number, stage in enumerate([1, 0, 1, 0, 2, 0, 1, 2, 2, 2, 2, 1, 2], start=1):
        record = longest_game(STAGES[stage])
        model.add(record, number, stage)
        writer.add(record)
        model.check()
    assert sorted(live_slots(store)) == [9, 10, 11, 13]


@pytest.mark.parametrize("max_games", [2, 2_000_000])
def test_slots_are_enough_for_the_smallest_games(max_games: int) -> None:
    """Games of one ply: of so few slots, or of so many that a budget pays for, none runs out."""
    settings = tiny_settings(max_games=max_games).model_copy(update={"max_memory_gb": 0.0005})
    store = Store.create(settings, GAME, Unlocked(), private=True)
    writer, slots = StoreWriter(store), len(store.index.dead)
    offsets, packed = pack_policies(np.eye(1, GAME.num_actions, dtype=np.float32))
    record = replace(longest_game(GAME, 1), policy_offsets=offsets, policy_bytes=packed)
    most = 0
    for step in range(slots + slots // 2):
        writer.add(record)
        writer.refresh(step - step % 3, record)
        most = max(most, int(store.header[Header.HEAD_GAME] - store.header[Header.TAIL_GAME]))
        assert most < slots
    check_counters(store)
    assert store.header[Header.HEAD_GAME] > 2 * slots
    assert max_games == 2 or most > slots / 3


def test_targets_are_replaced_only_by_those_of_the_same_game() -> None:
    buffer = ReplayBuffer.create(tiny_settings(), GAME, private=True)
    record = random_game(GAME, 3)
    buffer.add_game(record)
    moved = record.actions.copy()
    moved[:2] = moved[1::-1]
    for other in (replace(record, actions=moved), replace(record, opening_plies=1), random_game(GAME, 4)):
        with pytest.raises(ValueError, match="game 1 has other moves"):
            buffer.refresh_game(1, other)
    with pytest.raises(ValueError, match="does not belong"):
        buffer.refresh_game(1, random_game(Hex(7), 3))
    before = buffer.memory_report()
    for number in (0, 2, -1):
        assert not buffer.refresh_game(number, record)
    assert buffer.memory_report() == before
    fresh = random_game(GAME, 3 | REFRESHED)
    assert buffer.refresh_game(1, fresh)
    after = buffer.memory_report()
    for name in ("games", "positions", "total_games", "total_positions", "dead_bytes"):
        assert after[name] == before[name]
    assert after["used_bytes"] - before["used_bytes"] == len(fresh.policy_bytes) - len(record.policy_bytes)


def test_numbers_go_by_arrival_and_must_rise() -> None:
    store = Store.create(tiny_settings(max_games=3), GAME, Unlocked(), private=True)
    writer = StoreWriter(store)
    for number in (5, 6, 9):
        writer.add(random_game(GAME, number), number)
    assert sorted(live_slots(store)) == [5, 6, 9]
    for writing in (writer, StoreWriter(store)):
        for number in (None, 7, 9):  # the fourth game, as it seems, where no totals have been set
            with pytest.raises(ValueError, match=r"game \d comes after game 9: add games in their order"):
                writing.add(random_game(GAME, 1), number)
    store.header[Header.TOTAL_GAMES] = 9
    writer.add(random_game(GAME, 1))
    assert sorted(live_slots(store)) == [6, 9, 10]
    assert store.counters()[Header.TOTAL_GAMES] == 10


def fill_with_holes(buffer: ReplayBuffer) -> None:
    """Adds games, number n being game n - 1, until some have left, and brings one of each ten in anew each time."""
    while buffer.total_games == buffer.num_games or buffer.total_games < 60:
        buffer.add_game(random_game(GAME, buffer.total_games))
        number = max(1, buffer.total_games - buffer.total_games % 10)
        buffer.refresh_game(number, known_game(GAME, number - 1))


def test_games_are_drawn_uniformly_from_the_live() -> None:
    store = small_store(GAME, min_games=1, max_games=60, spare_pieces=12)
    buffer, rng = ReplayBuffer(store), np.random.default_rng(0)
    with pytest.raises(ValueError, match="empty"):
        buffer.held_game(rng)
    fill_with_holes(buffer)
    window, live = store.window(), live_slots(store)
    assert window.live_games < window.head_game - window.tail_game
    draws = 100 * len(live)
    counts = np.zeros(buffer.total_games + 1)
    for _ in range(draws):
        counts[buffer.held_game(rng)] += 1
    assert set(np.flatnonzero(counts)) == set(live)
    chi_square = ((counts[list(live)] - 100) ** 2 / 100).sum()
    assert abs(chi_square - len(live)) < 5 * np.sqrt(2 * len(live))


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_positions_of_the_dead_are_not_drawn_and_the_others_as_before(share: float) -> None:
    store = small_store(GAME, min_games=1, max_games=60, spare_pieces=12, priority_share=share)
    buffer, rng = ReplayBuffer(store), np.random.default_rng(0)
    fill_with_holes(buffer)
    assert store.window().live_games < store.window().head_game - store.window().tail_game
    records = {number: random_game(GAME, number - 1) for number in live_slots(store)}
    chances = {
        (number - 1, ply): 1 - share + share * reference_priority(record, ply, 0)
        for number, record in records.items()
        for ply in range(record.num_plies)
    }
    draws = 20_000
    batch = buffer.sample_batch(draws, rng)
    counts = dict.fromkeys(chances, 0)
    for row in range(draws):
        counts[where_from(batch["policy"][row, 0], GAME.action_view)] += 1
    mean = draws / sum(chances.values())
    chi_square = sum((counts[place] - mean * chance) ** 2 / (mean * chance) for place, chance in chances.items())
    assert abs(chi_square - len(chances)) < 5 * np.sqrt(2 * len(chances))


def test_a_window_whose_games_have_all_died_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tiny_settings(max_games=1), GAME, Unlocked(), private=True)
    buffer, rng = ReplayBuffer(store), np.random.default_rng(0)
    buffer.add_game(random_game(GAME, 0))
    old = store.window()
    buffer.add_game(random_game(GAME, 1))
    windows = iter([old._replace(live_positions=old.live_positions - 1), old, store.window(), store.window()])
    monkeypatch.setattr(store, "window", lambda: next(windows))
    batch = buffer.sample_batch(8, rng)
    assert {check_row(GAME, batch, row, 0)[0] for row in range(8)} == {1}
    monkeypatch.undo()
    windows = iter([old, store.window()])
    monkeypatch.setattr(store, "window", lambda: next(windows))
    assert buffer.held_game(rng) == 2


def busy_buffer(lock: Any, *, private: bool) -> ReplayBuffer:
    """Room for some tens of games, so that every piece is copied and overwritten within milliseconds."""
    shape = {"min_games": 2, "max_games": 200, "spare_pieces": 8, "td_steps": 3}
    buffer = ReplayBuffer(small_store(GAME, lock=lock, private=private, **shape))
    buffer.add_game(random_game(GAME, 0))
    return buffer


def churn(buffer: ReplayBuffer, stop: Any) -> None:
    """Adds games and gives others fresh targets until ``stop`` is set; number n is game n - 1 or that one refreshed."""
    records = [random_game(GAME, k) for k in range(300)]
    fresh = [random_game(GAME, k | REFRESHED) for k in range(300)]
    rng = np.random.default_rng(2)
    while not stop.is_set():
        buffer.add_game(records[buffer.total_games % 300])
        for _ in range(2):
            number = buffer.held_game(rng)
            buffer.refresh_game(number, (records, fresh)[rng.integers(2)][(number - 1) % 300])


def read_beside(buffer: ReplayBuffer, batches: int) -> None:
    """Checks at least ``batches`` samples while the writer works, and goes on until it has evicted, copied and
    refreshed a good deal meanwhile."""
    rng = np.random.default_rng(5)
    before = buffer.segment.arrays["header"].copy()
    done = 0
    while done < batches or buffer.segment.arrays["header"][Header.TOTAL_GAMES] - before[Header.TOTAL_GAMES] <= 100:
        done += 1
        batch = buffer.sample_batch(4096, rng, 5)  # takes longer than the writer needs to go around the ring
        rows = rng.choice(4096, 100, replace=False)
        found = np.array([check_row(GAME, batch, row, 3)[0] for row in rows])
        assert set((found & REFRESHED).tolist()) == {0, REFRESHED}
        np.testing.assert_array_equal((batch["games"][rows] - 1) % 300, found & ~REFRESHED)
        number = buffer.held_game(rng)
        assert 0 < number <= buffer.total_games
    gone = buffer.segment.arrays["header"] - before
    # of each three, one came and two were refreshed (those of the last may still be to come); others were copied
    assert gone[Header.HEAD_GAME] > 3 * gone[Header.TOTAL_GAMES]


def test_a_thread_that_reads_beside_a_busy_writer_sees_only_whole_games() -> None:
    buffer = busy_buffer(threading.Lock(), private=True)
    stop = threading.Event()
    writer = threading.Thread(target=churn, args=(buffer, stop))
    writer.start()
    try:
        while buffer.total_games < 200 and writer.is_alive():
            stop.wait(0.01)
        read_beside(buffer, 6)
    finally:
        stop.set()
        writer.join()


def test_a_process_that_reads_beside_a_busy_writer_sees_only_whole_games() -> None:
    context = spawn_context()
    buffer = busy_buffer(context.Lock(), private=False)
    stop: Event = context.Event()
    writer = context.Process(target=churn, args=(buffer, stop))
    writer.start()
    try:
        deadline = threading.Event()
        while buffer.total_games < 200 and writer.is_alive():
            deadline.wait(0.01)
        read_beside(buffer, 6)
    finally:
        stop.set()
        writer.join(200)
    assert writer.exitcode == 0
    report = buffer.memory_report()
    assert report["games"] == buffer.num_games < report["total_games"]
