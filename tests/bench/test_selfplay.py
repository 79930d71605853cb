"""The self-play benchmark: its statistics, and one small real call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.bench import selfplay
from hexpipe.bench.measuring import median_interval
from hexpipe.bench.slices import SwitchEvaluator
from hexpipe.bench.stage import CACHED, SELFPLAY, Board
from hexpipe.search.evaluator import Evaluation


def test_median_interval_covers_the_median() -> None:
    """Of 10 values the second and the ninth: 1 - 2 * 11 / 1024 = 97.9 %; of fewer than six, all."""
    assert median_interval(list(range(10))) == (1, 8)
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(2000, 15))
    inside = [low <= math.log(2) <= high for low, high in map(median_interval, samples.tolist())]
    assert 0.95 <= np.mean(inside) < 0.99


class _Named:
    """An evaluator that tells who answered by its version."""

    def __init__(self, version: int) -> None:
        self.version = version

    def submit(self, group: int, codes: Any, moves: None = None) -> None:
        pass

    def collect(self, group: int) -> Evaluation:
        return Evaluation(Answers(np.zeros((1, 1), np.float32), np.zeros((1, 2), np.float32)), self.version)


def test_a_batch_is_collected_where_it_was_submitted() -> None:
    board = Board.create(1)
    switch = SwitchEvaluator(_Named(1), _Named(2), board)
    codes = np.zeros((1, 4), np.int8)
    board.phase = SELFPLAY
    switch.submit(0, codes)
    board.phase = CACHED
    switch.submit(1, codes)
    assert [switch.collect(0).version, switch.collect(1).version] == [1, 2]
    board.segment.close()


def test_choice_is_shared_by_the_servers() -> None:
    board = Board.create(1)
    assert board.choice == {}
    board.publish_choice({"backend": "eager", "batch": 32})
    assert board.wait_choice(0.0) == {"backend": "eager", "batch": 32}
    board.segment.close()


def test_small_selfplay_bench() -> None:
    small = {"size": 5, "blocks": 1, "channels": 16, "simulations": 16, "games": 8, "servers": 1, "workers": 1}
    times = {"slices": 2, "seconds": 0.3, "cache_seconds": 0.5}
    figures = selfplay.run(**small, **times)
    assert figures["evals_per_s"] > 0
    assert figures["moves_per_s"] > 0
    assert 0 < figures["efficiency_low"] <= figures["efficiency"] <= figures["efficiency_high"]
    assert 0 < figures["forward_cpu_share"] < 1
    assert 1 <= figures["mean_batch"] <= 32
    assert 0 < figures["cache_hit_rate"] < 1


@pytest.mark.slow
def test_selfplay_bench_as_it_is() -> None:
    """Efficiency is a ratio within one run, so it may decide: most of the bare net's speed must reach self-play."""
    assert float(selfplay.run()["efficiency"]) > 0.5
