"""Samples against the slow reference, uniformity, and readers beside a writer that evicts without pause."""

from __future__ import annotations

import threading
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import pytest

from hexpipe.games.hex import Hex
from hexpipe.replay import targets
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.shm import spawn_context
from tests.replay.reference import check_row, random_game, three_seat_game, tiny_buffer, tiny_settings

GAMES = {"hex6": Hex(6), "hex6-swap": Hex(6, swap=True), "hex17": Hex(17), "three seats": three_seat_game()}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize(("td_steps", "interval"), [(0, 16), (3, 4), (5, 1), (1, 256)])
def test_every_sample_is_what_replaying_its_game_gives(name: str, td_steps: int, interval: int) -> None:
    game = GAMES[name]
    buffer = ReplayBuffer.create(tiny_settings(td_steps=td_steps, snapshot_interval=interval), game, private=True)
    for number in range(12):
        buffer.add_game(random_game(game, number))
    rng = np.random.default_rng(1)
    found = set()
    for unroll_steps in (0, 5):
        batch = buffer.sample_batch(40, rng, unroll_steps)
        found |= {check_row(game, batch, row, td_steps) for row in range(40)}
    assert len(found) > 30


def test_positions_are_drawn_uniformly() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    for number in range(30):  # the oldest ten leave again
        buffer.add_game(random_game(game, number))
    rng = np.random.default_rng(2)
    batch = buffer.sample_batch(10_000, rng)
    counts: dict[bytes, int] = {}
    for row in range(10_000):
        key = batch["policy"][row, 0].tobytes()
        counts[key] = counts.get(key, 0) + 1
    mean = 10_000 / buffer.num_positions
    assert len(counts) == buffer.num_positions
    chi_square = sum((count - mean) ** 2 / mean for count in counts.values())
    # mean n - 1, standard deviation sqrt(2 n): five of them
    assert abs(chi_square - buffer.num_positions) < 5 * np.sqrt(2 * buffer.num_positions)


def test_out_is_filled_and_the_same_seed_samples_the_same() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(random_game(game, 7))
    out = targets.allocate_batch(game.shapes, 16, 5)
    for array in out.values():
        array.fill(77)
    assert buffer.sample_batch(16, np.random.default_rng(3), 5, out) is out
    again = buffer.sample_batch(16, np.random.default_rng(3), 5)
    for name, array in again.items():
        np.testing.assert_array_equal(array, out[name])
    with pytest.raises(ValueError, match="policy"):
        buffer.sample_batch(16, np.random.default_rng(3), 4, out)


def test_an_empty_buffer_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer.create(tiny_settings(), Hex(6), private=True).sample_batch(1, np.random.default_rng(0))


def test_damaged_memory_is_an_error_not_a_sample() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(random_game(game, 3))
    for name in ("offsets", "sizes", "plies"):
        array = buffer.segment.arrays[name]
        good = array[0]
        array[0] = 2**30
        with pytest.raises(RuntimeError, match="damaged"):
            buffer.sample_batch(4, np.random.default_rng(0))
        array[0] = good
    rng = np.random.default_rng(4)
    for _ in range(200):  # whatever the bytes are, nothing is read or written out of bounds
        buffer.segment.arrays["data"][:] = rng.integers(0, 256, len(buffer.segment.arrays["data"]))
        try:
            batch = buffer.sample_batch(64, rng, 5)
        except RuntimeError:
            continue
        np.testing.assert_allclose(batch["policy"].sum(axis=2), batch["mask"], atol=1e-5)


def _write(buffer: ReplayBuffer, stop: Any) -> None:
    """Adds games 0, 1, 2, ... until ``stop`` is set; 400 different ones, so that it need not wait for the dice."""
    game = Hex(6)
    records = [random_game(game, number) for number in range(400)]
    while not stop.is_set():
        for record in records:
            buffer.add_game(record)


def _read(buffer: ReplayBuffer, batches: int) -> int:
    """Checks every row of ``batches`` batches; how many games went by in the meantime."""
    game = Hex(6)
    rng = np.random.default_rng(5)
    before = buffer.total_games
    for _ in range(batches):
        # so large a batch takes longer than the writer needs to go around the ring
        batch = buffer.sample_batch(4096, rng, 5)
        for row in rng.choice(4096, 100, replace=False):
            check_row(game, batch, row, td_steps=3)
    return buffer.total_games - before


def test_a_thread_that_reads_sees_only_whole_games() -> None:
    buffer = tiny_buffer(Hex(6), None, private=True)
    buffer.add_game(random_game(Hex(6), 0))
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(buffer, stop))
    writer.start()
    try:
        assert _read(buffer, 6) > 100
    finally:
        stop.set()
        writer.join()


def test_a_process_that_reads_sees_only_whole_games() -> None:
    context = spawn_context()
    buffer = tiny_buffer(Hex(6), context.Lock(), private=False)
    buffer.add_game(random_game(Hex(6), 0))
    stop: Event = context.Event()
    writer = context.Process(target=_write, args=(buffer, stop))
    writer.start()
    try:
        deadline = threading.Event()
        while buffer.total_games < 500 and writer.is_alive():
            deadline.wait(0.01)
        assert _read(buffer, 6) > 100
    finally:
        stop.set()
        writer.join(20)
    assert writer.exitcode == 0
    assert buffer.num_games <= 3
    assert buffer.memory_report()["total_games"] == buffer.total_games
