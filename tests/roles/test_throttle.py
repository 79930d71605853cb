"""A share of the time, by clocks that the test turns."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.roles.throttle import Throttle, ThrottledEvaluator
from hexpipe.search.evaluator import Evaluation


class Clocks:
    """A wall's clock, and one that runs while there is work; what is rested is noted."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0
        self.rested: list[float] = []

    def work(self, seconds: float, waited: float = 0.0) -> None:
        self.worked += seconds
        self.now += seconds + waited

    def rest(self, seconds: float) -> None:
        self.rested.append(seconds)
        self.now += seconds

    def throttle(self, share: float) -> Throttle:
        return Throttle(share, self.rest, lambda: self.worked, lambda: self.now)


def test_work_is_its_share_of_the_time() -> None:
    clocks = Clocks()
    throttle, rng = clocks.throttle(0.05), np.random.default_rng(0)
    for _ in range(200):
        clocks.work(float(rng.exponential(0.02)), waited=float(rng.exponential(0.1)))
        throttle.wait()
        assert clocks.worked <= 0.05 * clocks.now + 1e-9
    assert clocks.worked > 0.9 * 0.05 * clocks.now, "and no less than it may be"


def test_time_without_work_counts_once_and_only_until_the_next_look() -> None:
    clocks = Clocks()
    throttle = clocks.throttle(0.1)
    clocks.now += 60
    clocks.work(2)
    throttle.wait()
    clocks.work(2)
    throttle.wait()
    assert clocks.rested == [0.0, pytest.approx(18)]


def test_paused_time_is_no_work_on_a_clock_that_never_stands() -> None:
    clocks = Clocks()
    throttle = Throttle(0.5, clocks.rest, lambda: clocks.now, lambda: clocks.now)
    with throttle.paused():
        clocks.now += 30
    clocks.now += 10
    throttle.wait()
    clocks.now += 10
    throttle.wait()
    assert clocks.rested == [0.0, 10.0]


def test_a_search_rests_after_every_batch() -> None:
    class Net:
        def submit(self, group: int, codes: np.ndarray, moves: object = None) -> None:
            clocks.work(float(len(codes)))

        def collect(self, group: int) -> Evaluation:
            return Evaluation(Answers(np.zeros((1, 4), np.float32), np.zeros((1, 2), np.float32)), 3)

    clocks = Clocks()
    evaluator = ThrottledEvaluator(Net(), clocks.throttle(0.25))
    evaluator.submit(0, np.zeros((2, 4), np.int8))
    assert clocks.rested == [6.0]
    assert evaluator.collect(0).version == 3
