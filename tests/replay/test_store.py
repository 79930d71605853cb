"""The ring against a plain list of games: budget, eviction, least games, memory report, pickling."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import ReplaySettings
from hexpipe.errors import SettingsError
from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord
from hexpipe.replay.layout import Header, largest_piece, piece_bytes, piece_layout, segment_fields
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.snapshots import encode_game, pack_cells, played_cells, snapshot_cells, threat_levels
from hexpipe.replay.store import Store
from hexpipe.shm import spawn_context
from tests.replay.reference import (
    random_game,
    reference_threats,
    slow_positions,
    three_seat_game,
    tiny_settings,
    views_game,
)


class Unlocked:
    """A lock for one thread, which counts how often it is taken."""

    def __init__(self) -> None:
        self.taken = 0

    def acquire(self, *, timeout: float) -> bool:
        self.taken += 1
        return timeout > 0

    def release(self) -> None:
        self.taken += 0


def small_store(game: Any, *, min_games: int, max_games: int, spare_pieces: float) -> Store:
    """A store whose budget, not its number of games, is what binds: min_games + 2 + spare_pieces largest pieces."""
    roomy = tiny_settings(min_games=min_games, max_games=max_games)
    layout = piece_layout(game, roomy.snapshot_interval)
    largest = largest_piece(layout, game.max_plies)
    fixed = sum(np.dtype(field.dtype).itemsize * int(np.prod(field.shape)) for field in segment_fields(roomy, [game]))
    fixed += 9 * 64 + 65536 - (max_games + 2) * largest
    budget = fixed + (min_games + 2 + spare_pieces) * largest
    return Store.create(roomy.model_copy(update={"max_memory_gb": budget / 1e9}), game, Unlocked(), private=True)


def add_until_refused(store: Store, record: GameRecord) -> None:
    """Adds ``record`` again and again: what is left of the ring must run out, as no game may leave."""
    for _ in range(100):
        store.add(record)


def held(store: Store, number: int) -> np.ndarray:
    """The bytes of game ``number`` in the ring."""
    slot = number % len(store.starts)
    return store.data[store.offsets[slot] : store.offsets[slot] + store.sizes[slot]]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20 - 200), min_games=st.integers(1, 5), spare=st.floats(0, 4))
def test_the_newest_games_are_held_whole_within_the_budget(seed: int, min_games: int, spare: float) -> None:
    game = Hex(6)
    store = small_store(game, min_games=min_games, max_games=60, spare_pieces=spare)
    assert store.segment.nbytes <= store.settings.max_memory_gb * 1e9
    records = [random_game(game, seed + k) for k in range(90)]
    for count, record in enumerate(records, start=1):
        store.add(record)
        tail, head, tail_position, head_position = store.window()
        assert head == count
        assert min(count, min_games) <= head - tail <= 60
        assert head_position == sum(r.num_positions for r in records[:head])
        assert tail_position == sum(r.num_positions for r in records[:tail])
        runs = sorted((int(store.offsets[g % 61]), int(store.sizes[g % 61])) for g in range(tail, head))
        assert all(a + size <= b for (a, size), (b, _) in pairwise(runs))
        assert runs[-1][0] + runs[-1][1] <= store.ring_bytes
    for number in range(tail, head):
        np.testing.assert_array_equal(held(store, number), encode_game(records[number], game, store.layouts[0]))
    assert tail > 0


def test_the_oldest_leave_only_when_room_is_needed() -> None:
    game = Hex(6)
    store = small_store(game, min_games=1, max_games=60, spare_pieces=6)
    sizes = []
    for number in range(60):
        sizes.append(len(encode_game(random_game(game, number), game, store.layouts[0])))
        store.add(random_game(game, number))
        tail = store.tail_game()
        if tail:  # what was kept and the game before it, with the gap at the ring's end, could not have stayed together
            assert sum(sizes[tail - 1 :]) + max(sizes) > store.ring_bytes


def test_games_are_never_more_than_max_games_nor_ever_fewer() -> None:
    game = Hex(6)
    store = Store.create(tiny_settings(max_games=7, min_games=7), game, Unlocked(), private=True)
    for number in range(30):
        store.add(random_game(game, number))
        window = store.window()
        assert window.head_game - window.tail_game == min(number + 1, 7)


def test_a_game_that_would_leave_too_few_is_refused_and_changes_nothing() -> None:
    game = Hex(6)
    store = small_store(game, min_games=2, max_games=60, spare_pieces=0)
    number = 0
    while store.tail_game() == 0:
        store.add(random_game(game, number))
        number += 1
    before = store.counters()
    games = int(before[Header.HEAD_GAME] - before[Header.TAIL_GAME])
    store.settings = store.settings.model_copy(update={"min_games": games})
    longest = max((random_game(game, k) for k in range(50)), key=lambda record: record.num_positions)
    message = rf"36 plies .* fewer than replay\.min_games={games} games"
    with pytest.raises(ValueError, match=message):
        add_until_refused(store, longest)
    assert store.tail_game() == before[Header.TAIL_GAME]
    before = store.counters()
    with pytest.raises(ValueError, match=message):
        store.add(longest)
    np.testing.assert_array_equal(store.counters(), before)


def test_a_budget_too_small_for_min_games_is_refused_with_the_numbers() -> None:
    game = Hex(27)
    with pytest.raises(
        SettingsError, match=r"min_games=1000 games of up to 729 plies need 0\.\d+ GB .*max_memory_gb=0\.1"
    ):
        ReplayBuffer.create(ReplaySettings(min_games=1000, max_memory_gb=0.1), game, private=True)


@pytest.mark.parametrize(("size", "budget", "max_games"), [(11, 0.1, 2_000_000), (11, 0.25, 200_000), (3, 0.1, 50)])
def test_the_segment_is_within_the_budget_and_no_larger_than_its_games(
    size: int, budget: float, max_games: int
) -> None:
    game = Hex(size)
    settings = ReplaySettings(max_memory_gb=budget, max_games=max_games, min_games=10)
    buffer = ReplayBuffer.create(settings, game, private=True)
    assert buffer.segment.nbytes <= budget * 1e9
    largest = largest_piece(piece_layout(game, settings.snapshot_interval), game.max_plies)
    assert buffer.segment.nbytes <= (max_games + 3) * largest + 200_000 + max_games * 29
    if max_games > 50:
        assert buffer.segment.nbytes > budget * 1e9 - 200_000


@pytest.mark.parametrize(
    "game",
    [Hex(6), Hex(17), three_seat_game(), views_game(13, 7), views_game(7, 9, players=3)],
    ids=["hex6", "hex17", "three seats", "view", "larger view"],
)
def test_piece_sizes_and_packed_snapshots(game: Any) -> None:
    for interval in (1, 4, 16):
        layout = piece_layout(game, interval)
        for number in range(8):
            record = random_game(game, number)
            piece = encode_game(record, game, layout)
            assert len(piece) == piece_bytes(layout, record.num_plies, len(record.policy_bytes))
            assert len(piece) <= largest_piece(layout, game.max_plies)
            cells = snapshot_cells(record, played_cells(record, layout), layout)
            packed = pack_cells(cells, layout)
            per_byte = layout.cells_per_byte
            for k in range(len(cells)):
                for cell in range(layout.board_cells):
                    byte = int(packed[k, cell // per_byte])
                    assert (byte >> 2 * (cell % per_byte) & 3 if per_byte == 4 else byte) == cells[k, cell]


def test_games_of_other_rules_are_refused() -> None:
    buffer = ReplayBuffer.create(tiny_settings(), Hex(6), private=True)
    for other in (Hex(7), Hex(6, swap=True), three_seat_game()):
        with pytest.raises(ValueError, match="does not belong"):
            buffer.add_game(random_game(other, 1))
    assert buffer.num_games == 0
    stages = [views_game(9, 7), views_game(16, 7)]
    buffer = ReplayBuffer.create(tiny_settings(), stages, private=True)
    for other in (views_game(12, 7), views_game(16, 7, win_length=5), views_game(16, 9), views_game(16, 7, players=3)):
        with pytest.raises(ValueError, match=r"does not belong to .*9, 6, .*16, 6, "):
            buffer.add_game(random_game(other, 1))
    assert buffer.num_games == 0


def test_views_that_cannot_be_are_refused() -> None:
    """What is played again and rebuilt without a check must not lead off the board."""
    game = views_game(16, 7)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    record = random_game(game, 2)
    for origins in (record.origins[:0], record.origins - 10, record.origins + 10):
        with pytest.raises(ValueError, match="origins of views"):
            buffer.add_game(replace(record, origins=origins.astype(np.int16)))
    whole = views_game(7, 9)
    buffer = ReplayBuffer.create(tiny_settings(), whole, private=True)
    record = random_game(whole, 2)
    with pytest.raises(ValueError, match="off the board"):
        buffer.add_game(replace(record, actions=np.full_like(record.actions, 8)))
    with pytest.raises(ValueError, match="origins of views"):
        buffer.add_game(replace(record, origins=np.zeros((record.num_plies, 2), np.int16)))
    assert buffer.num_games == 0


def test_a_piece_keeps_origins_and_threats_as_they_were() -> None:
    game = views_game(13, 7)
    record = max((random_game(game, number) for number in range(10)), key=lambda record: record.num_plies)
    levels = threat_levels(record, game)
    for ply, slow in enumerate(slow_positions(game, record.weights_version)):
        assert levels[ply] >> 2 * slow.seat & 3 == reference_threats(slow) & 3
    assert levels.max() > 0
    piece = encode_game(record, game, piece_layout(game, 16))
    assert record.origins.astype(np.uint8).tobytes() + levels.tobytes() in piece.tobytes()


def test_values_of_two_seats_must_be_negatives() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    record = random_game(game, 0)
    with pytest.raises(ValueError, match="sum to 0"):
        buffer.add_game(replace(record, root_values=np.full_like(record.root_values, 0.5)))
    assert buffer.num_games == 0


@pytest.mark.parametrize(
    "games",
    [[Hex(6)], [views_game(9, 7, players=3), views_game(16, 7, players=3), views_game(7, 7, players=3)]],
    ids=["hex6", "stages"],
)
def test_the_memory_report_accounts_for_every_byte(games: list[Any]) -> None:
    buffer = ReplayBuffer.create(tiny_settings(), games, private=True)
    assert buffer.memory_report()["bytes_per_position"] == 0
    records = [random_game(games[number % len(games)], number) for number in range(33)]
    records = [replace(record, opening_plies=min(k % 4, record.num_plies - 1)) for k, record in enumerate(records)]
    for record in records:
        buffer.add_game(record)
    report = buffer.memory_report()
    kept = records[-20:]
    positions = sum(record.num_positions for record in kept)
    plies = sum(record.num_plies for record in kept)
    assert plies > positions
    stages = [next(game for game in games if game.board_size == record.board_size) for record in kept]
    pieces = [encode_game(r, game, piece_layout(game, 4)) for r, game in zip(kept, stages, strict=True)]
    used = sum(map(len, pieces))
    assert (report["games"], report["positions"]) == (20, positions) == (buffer.num_games, buffer.num_positions)
    assert (report["total_games"], report["total_positions"]) == (33, sum(record.num_positions for record in records))
    assert (report["total_games"], report["total_positions"]) == (buffer.total_games, buffer.total_positions)
    assert report["used_bytes"] == used == sum(report["sections"].values())
    assert report["sections"]["policies"] == sum(len(record.policy_bytes) for record in kept)
    assert report["sections"]["flags"] == report["sections"]["priorities"] == plies
    assert report["sections"]["origins"] == sum(4 * len(record.origins) // 2 for record in kept)
    assert report["sections"]["threats"] == (plies if games[0].shapes.threats else 0)
    assert report["sections"]["snapshots"] == sum(
        (record.num_plies - 1) // 4 * -(-(record.board_size**2) // 4) for record in kept
    )
    assert report["bytes_per_position"] == pytest.approx((used + 20 * 29) / positions)
    assert report["total_bytes"] <= buffer.segment.nbytes <= report["budget_bytes"] == 10**9
    assert report["fields"]["data"] > report["capacity_bytes"] >= used


def test_counts_do_not_look_at_games() -> None:
    """O(1): one look at the counters, under one taking of the lock."""
    game = Hex(6)
    lock = Unlocked()
    buffer = ReplayBuffer(Store.create(tiny_settings(), game, lock, private=True))
    for number in range(20):
        buffer.add_game(random_game(game, number))
    for name in ("starts", "offsets", "plies", "sizes"):
        buffer.segment.arrays[name][:] = -1
    before = lock.taken
    assert buffer.num_games == 20
    assert buffer.num_positions == buffer.memory_report()["positions"] == buffer.total_positions
    assert lock.taken == before + 4


def test_it_pickles_only_while_spawning_and_needs_a_lock_to_be_shared() -> None:
    with pytest.raises(ValueError, match="lock"):
        ReplayBuffer.create(tiny_settings(), Hex(6))
    buffer = ReplayBuffer.create(tiny_settings(), Hex(6), lock=spawn_context().Lock())
    with pytest.raises(RuntimeError, match=r"inheritance|spawning"):
        pickle.dumps(buffer)
