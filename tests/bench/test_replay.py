"""The replay benchmark, short: its keys, and the figures that do not hang on the machine's speed."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.bench import replay


def test_replay_benchmark_reports_a_full_store() -> None:
    result = replay.run(size=5, games=40, simulations=16, batch=64, unroll=2, seconds=0.2)
    assert float(result["add_positions_per_s"]) > 0
    assert float(result["sample_positions_per_s"]) > 0
    assert 95 < float(result["store_mb"]) <= 100
    assert 0 < float(result["policy_kl"]) <= 0.002
    assert 1 < float(result["policy_entries"]) <= 16
    positions = int(result["positions"])
    assert float(result["bytes_per_position"]) == pytest.approx(float(result["store_mb"]) * 1e6 / positions)


def test_a_position_of_100_simulations_at_11x11_takes_at_most_100_bytes() -> None:
    result = replay.run(games=20, batch=64, unroll=5, seconds=0.1)
    assert float(result["bytes_per_position"]) <= 100
    assert float(result["policy_kl"]) <= 0.002


def test_kl_divergence() -> None:
    true = np.array([[1, 1, 0, 2], [1, 0, 0, 0]], np.float32)
    stored = np.array([[0.25, 0.5, 0, 0.25], [0.5, 0.5, 0, 0]], np.float32)
    wanted = [0.25 * np.log(1) + 0.25 * np.log(0.5) + 0.5 * np.log(2), np.log(2)]
    np.testing.assert_allclose(replay.kl_divergence(true, stored), wanted, rtol=1e-12)
    assert replay.kl_divergence(true, stored[:, ::-1])[0] == np.inf
