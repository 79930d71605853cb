"""A clock for tests of time-outs and rates, so that none hangs on the speed of the machine."""

from __future__ import annotations

import time

import pytest


class TestClock:
    """In place of `time.monotonic` and `time.sleep`: time passes where somebody sleeps, and by ``tick`` seconds with
    each look at the clock."""

    __test__ = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tick: float = 0.0) -> None:
        self.now, self.tick = 1000.0, tick
        monkeypatch.setattr(time, "monotonic", self.look)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def look(self) -> float:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
