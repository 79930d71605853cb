"""A process that takes no more than its share: it rests in proportion to what it has worked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hexpipe.search.evaluator import Evaluation, Evaluator, Moves


class Pace:
    """Keeps what a process works under ``share`` (above 0, to 1) of the time between any two calls of `keep`.

    ``rest(seconds)`` waits that long; it is called each time, with 0 where nothing is owed. ``working`` is a clock that
    runs while the process works, by default its CPU time; ``clock`` is the wall's. Both in seconds.
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

    def keep(self) -> None:
        """Rest until the work since the last call is a share of the time since then."""
        owed = (self._working() - self._worked) / self._share - (self._clock() - self._since)
        self._rest(max(0.0, owed))
        self._worked, self._since = self._working(), self._clock()

    @contextmanager
    def off(self) -> Iterator[None]:
        """Time within the block is rest, whatever ``working`` says."""
        before = self._working()
        yield
        self._worked += self._working() - before


class PacedEvaluator:
    """An evaluator whose process keeps its pace after each batch."""

    def __init__(self, evaluator: Evaluator, pace: Pace) -> None:
        self._evaluator, self._pace = evaluator, pace

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        self._evaluator.submit(group, codes, moves)
        self._pace.keep()

    def collect(self, group: int) -> Evaluation:
        return self._evaluator.collect(group)
