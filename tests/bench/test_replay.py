"""The replay benchmark, short: its keys, and the figures that do not hang on the machine's speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexpipe.bench import replay
from hexpipe.config import ReplaySettings, load_settings
from hexpipe.games.hex import Hex
from hexpipe.records import pack_policies, unpack_policies
from hexpipe.replay.replay_buffer import ReplayBuffer


def test_replay_benchmark_reports_a_full_store() -> None:
    result = replay.run(size=5, memory_gb=0.01, games=40, simulations=16, batch=64, unroll=2, seconds=0.2)
    assert float(result["add_positions_per_s"]) > 0
    assert float(result["evict_positions_per_s"]) > 0
    assert 0 < float(result["copies_per_game"]) < 20
    assert float(result["sample_positions_per_s"]) > 0
    assert 9.8 < float(result["store_mb"]) <= 10
    assert 0 < float(result["policy_kl"]) <= 0.002
    assert 1 < float(result["policy_entries"]) <= 16
    positions = int(result["positions"])
    assert float(result["bytes_per_position"]) == pytest.approx(float(result["store_mb"]) * 1e6 / positions)


def test_a_position_of_100_simulations_at_11x11_takes_at_most_100_bytes() -> None:
    result = replay.run(memory_gb=0.02, games=20, batch=64, unroll=5, seconds=0.1)
    assert float(result["bytes_per_position"]) <= 100
    assert float(result["policy_kl"]) <= 0.002


def test_a_position_of_n_in_a_row_on_a_large_board_takes_at_most_300_bytes() -> None:
    """Few plies, for speed: with them the snapshots are emptier, but not smaller."""
    result = replay.run(game="inarow", memory_gb=0.01, games=2, plies=130, batch=64, seconds=0.1)
    assert (result["size"], result["plies_per_game"]) == (100, 130)
    assert 2500 / int(result["snapshot_interval"]) < float(result["bytes_per_position"]) <= 300
    assert float(result["policy_kl"]) <= 0.002
    assert 0 <= float(result["unroll_cut"]) < 1
    wide = replay.run(game="inarow", size=30, memory_gb=0.01, games=2, plies=130, simulations=16, seconds=0.1)
    assert float(wide["bytes_per_position"]) < float(result["bytes_per_position"])


def test_policies_of_60_visited_actions_also_fit_in_100_bytes() -> None:
    game = Hex(11)
    record = replay.play_games(game, load_settings("quick", {"game.board_size": 11}), 1)[0][0]
    rng = np.random.default_rng(0)
    visits = np.zeros((record.num_positions, 121), np.float32)
    for row in visits:
        row[rng.choice(121, 60, replace=False)] = 1 + rng.multinomial(40, rng.dirichlet(np.ones(60)))
    offsets, packed = pack_policies(visits)
    assert replay.kl_divergence(visits, unpack_policies(offsets, packed, 121)).mean() <= 0.002
    buffer = ReplayBuffer.create(ReplaySettings(max_games=50, min_games=1), game, private=True)
    for _ in range(50):
        buffer.add_game(replace(record, policy_offsets=offsets, policy_bytes=packed))
    assert 80 < buffer.memory_report()["bytes_per_position"] <= 100


def test_kl_divergence() -> None:
    true = np.array([[1, 1, 0, 2], [1, 0, 0, 0]], np.float32)
    stored = np.array([[0.25, 0.5, 0, 0.25], [0.5, 0.5, 0, 0]], np.float32)
    wanted = [0.25 * np.log(1) + 0.25 * np.log(0.5) + 0.5 * np.log(2), np.log(2)]
    np.testing.assert_allclose(replay.kl_divergence(true, stored), wanted, rtol=1e-12)
    assert replay.kl_divergence(true, stored[:, ::-1])[0] == np.inf
