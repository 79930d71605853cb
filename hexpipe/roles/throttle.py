"""Throttling of a process to a share of the time: it rests in proportion to its work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hexpipe.search.evaluator import Evaluation, Evaluator, Moves


class Throttle:
    """A limit on a process's work: ``share`` (above 0, to 1) of the time between any two calls of `wait`.

    ``rest(seconds)`` sleeps that long; it is called each time, with 0 if no rest is due. ``working`` is a clock that
    runs while the process works, by default its CPU time; ``clock`` is the wall clock. Both are in seconds.
    """

    def __init__(
        self,
        share: float,
        rest: Callable[[float], None],
        working: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share, self._rest = share, rest
        self._working, self._clock = working, clock
        self._worked, self._since = working(), clock()

    def wait(self) -> None:
        """Rest until the work since the last call is no more than ``share`` of the time since then."""
        owed = (self._working() - self._worked) / self._share - (self._clock() - self._since)
        self._rest(max(0.0, owed))
        self._worked, self._since = self._working(), self._clock()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count time within the block as rest, even if ``working`` runs."""
        before = self._working()
        yield
        self._worked += self._working() - before


Pace = Throttle  # its name in 0.1.0


class ThrottledEvaluator:
    """An evaluator whose process is throttled after each batch."""

    def __init__(self, evaluator: Evaluator, throttle: Throttle) -> None:
        self._evaluator, self._throttle = evaluator, throttle

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        self._evaluator.submit(group, codes, moves)
        self._throttle.wait()

    def collect(self, group: int) -> Evaluation:
        return self._evaluator.collect(group)
