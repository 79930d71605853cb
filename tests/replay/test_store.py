"""The store within its budget: the window of games, least games, memory report, pickling."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hexpipe.config import ReplaySettings
from hexpipe.errors import SettingsError, SharedMemoryError
from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord
from hexpipe.replay import store as store_module
from hexpipe.replay.layout import Header, largest_piece, piece_bytes, piece_layout
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.snapshots import encode_game, pack_cells, played_cells, snapshot_cells, threat_levels
from hexpipe.replay.store import Store
from hexpipe.replay.writer import StoreWriter
from hexpipe.shm import spawn_context
from tests.refusals import refused
from tests.replay.reference import (
    longest_game,
    random_game,
    reference_threats,
    slow_positions,
    three_seat_game,
    tiny_settings,
    views_game,
)
from tests.replay.store_model import Unlocked, check_counters, live_slots, small_store


def add_until_refused(writer: StoreWriter, record: GameRecord) -> None:
    """Adds ``record`` again and again: what is left of the ring must run out, as no game may leave."""
    for _ in range(100):
        writer.add(record)


def test_games_are_a_window_of_max_games_while_memory_is_enough() -> None:
    store = Store.create(tiny_settings(max_games=7, min_games=7), Hex(6), Unlocked(), private=True)
    writer = StoreWriter(store)
    for number in range(90):
        writer.add(random_game(Hex(6), number))
        window = store.window()
        assert sorted(live_slots(store)) == list(range(max(0, number - 7) + 1, number + 2))[-7:]
        # nothing is copied and nothing dead lies about
        assert (window.head_game, window.live_games) == (number + 1, window.head_game - window.tail_game)


def test_max_games_of_the_largest_size_fit_before_eviction_begins() -> None:
    game = Hex(6)
    store = Store.create(tiny_settings(max_games=9), game, Unlocked(), private=True)
    writer = StoreWriter(store)
    record = longest_game(game)
    size = largest_piece(store.layouts[0], game.max_plies)
    for count in range(1, 60):
        writer.add(record)
        assert store.header[Header.LIVE_BYTES] == min(count, 9) * size
    assert store.header[Header.HEAD_GAME] == 59


def test_a_game_that_would_leave_too_few_is_refused_and_changes_nothing() -> None:
    game = Hex(6)
    store = small_store(game, min_games=2, max_games=60, spare_pieces=0)
    writer = StoreWriter(store)
    while store.window().live_games == store.header[Header.TOTAL_GAMES]:
        writer.add(random_game(game, int(store.header[Header.TOTAL_GAMES])))
    games = store.window().live_games
    store.settings = store.settings.model_copy(update={"min_games": games})
    message = rf"36 plies .* fewer than replay\.min_games={games} games"
    with pytest.raises(ValueError, match=message):
        add_until_refused(writer, longest_game(game))
    before, dead = store.counters(), store.index.dead.copy()
    with pytest.raises(ValueError, match=message):
        writer.add(longest_game(game))
    np.testing.assert_array_equal(store.counters(), before)
    np.testing.assert_array_equal(store.index.dead, dead)
    assert before[Header.LIVE_GAMES] >= games
    writer.add(random_game(game, 0))
    check_counters(store)


def test_a_budget_too_small_for_min_games_is_refused_with_the_numbers() -> None:
    game = Hex(27)
    with refused(SettingsError, "replay.min_games=1000", "729", kind="conflict", setting="replay.max_memory_gb"):
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
    assert buffer.segment.nbytes <= ((max_games + 1) / 0.95 + 3) * largest + 200_000 + max_games * 53
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
    # opening plies are in every section, though they are not sampled
    records = [random_game(games[number * len(games) // 33], number) for number in range(33)]
    records = [replace(record, opening_plies=min(k % 5, record.num_plies - 1)) for k, record in enumerate(records)]
    for record in records:
        buffer.add_game(record)
    report = buffer.memory_report()
    kept = records[-20:]
    positions, plies = sum(record.num_positions for record in kept), sum(record.num_plies for record in kept)
    assert positions < plies
    stages = [next(game for game in games if game.board_size == record.board_size) for record in kept]
    pieces = [encode_game(r, game, piece_layout(game, 4)) for r, game in zip(kept, stages, strict=True)]
    used = sum(map(len, pieces))
    assert (report["games"], report["positions"]) == (20, positions) == (buffer.num_games, buffer.num_positions)
    assert (report["total_games"], report["total_positions"]) == (33, sum(record.num_positions for record in records))
    assert (report["total_games"], report["total_positions"]) == (buffer.total_games, buffer.total_positions)
    assert report["used_bytes"] == used
    assert report["dead_bytes"] == 0
    seats = games[0].num_seats
    assert report["sections"] == {
        "outcome": 2 * seats * 20,
        "policy_bases": sum(4 + (record.num_plies - 1) // 4 * 4 for record in kept),
        "actions": plies,
        "flags": plies,
        "policy_counts": plies,
        "root_values": 2 * plies * (1 if seats == 2 else seats),
        "priorities": plies,
        "origins": sum(2 * len(record.origins) for record in kept),
        "threats": plies if games[0].shapes.threats else 0,
        "snapshots": sum((record.num_plies - 1) // 4 * -(-(record.board_size**2) // 4) for record in kept),
        "policies": sum(len(record.policy_bytes) for record in kept),
    }
    assert sum(report["sections"].values()) == used
    assert report["bytes_per_position"] == pytest.approx((used + 20 * 38) / positions)
    assert report["total_bytes"] <= buffer.segment.nbytes <= report["budget_bytes"] == 10**9
    assert report["fields"]["data"] > report["capacity_bytes"] >= used


def test_the_memory_report_counts_live_games_and_says_what_is_not_free_yet() -> None:
    game = Hex(6)
    store = small_store(game, min_games=1, max_games=100, spare_pieces=20)
    buffer = ReplayBuffer(store)
    while buffer.num_games == buffer.total_games:
        buffer.add_game(random_game(game, buffer.total_games))
    assert buffer.refresh_game(buffer.total_games, random_game(game, buffer.total_games - 1))
    report = buffer.memory_report()
    live = list(live_slots(store).values())
    assert report["games"] == len(live) < report["total_games"]
    assert report["used_bytes"] == sum(store.index.sizes[live]) == sum(report["sections"].values())
    assert report["sections"]["actions"] == sum(store.index.plies[live])
    assert report["dead_bytes"] == store.header[Header.USED_BYTES] - report["used_bytes"] > 0
    assert report["index_bytes"] == 38 * len(live)


def test_counts_do_not_look_at_games() -> None:
    """O(1): one look at the counters, under one taking of the lock."""
    game = Hex(6)
    lock = Unlocked()
    buffer = ReplayBuffer(Store.create(tiny_settings(), game, lock, private=True))
    for number in range(20):
        buffer.add_game(random_game(game, number))
    for name in ("starts", "offsets", "plies", "sizes", "numbers"):
        buffer.segment.arrays[name][:] = -1
    before = lock.taken
    assert buffer.num_games == 20
    assert buffer.num_positions == buffer.memory_report()["positions"] == buffer.total_positions
    assert lock.taken == before + 4


def hold_lock_until_killed(lock: Any) -> None:
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_lock_of_a_killed_reader_is_freed_and_that_of_a_living_one_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.1)
    lock = spawn_context().Lock()
    buffer = ReplayBuffer.create(tiny_settings(), Hex(6), lock=lock)
    reader = spawn_context().Process(target=hold_lock_until_killed, args=(lock,))
    reader.start()
    reader.join()
    with refused(SharedMemoryError, kind="ended"):
        _ = buffer.num_games
    buffer.free_lock_of_the_dead()
    assert buffer.num_games == 0
    monkeypatch.setattr(store_module, "DEAD_SECONDS", 100.0)  # whoever lives gives it back in the end
    lock.acquire()
    threading.Timer(0.1, lock.release).start()
    buffer.free_lock_of_the_dead()
    assert [lock.acquire(False), lock.acquire(False)] == [True, False], "it was given back once, by who had it"
    buffer.segment.close()


def test_it_pickles_only_while_spawning_and_needs_a_lock_to_be_shared() -> None:
    with pytest.raises(ValueError, match="lock"):
        ReplayBuffer.create(tiny_settings(), Hex(6))
    buffer = ReplayBuffer.create(tiny_settings(), Hex(6), lock=spawn_context().Lock())
    with pytest.raises(RuntimeError, match=r"inheritance|spawning"):
        pickle.dumps(buffer)
