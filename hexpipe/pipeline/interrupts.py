"""Signals that ask a run to end."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from types import FrameType
from typing import Any


@dataclass
class Interrupts:
    """Counts Ctrl-C and SIGTERM while in its block: the first asks for an orderly end, the second for a quick one."""

    count: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1

    def hurry(self) -> bool:
        """Whether a second signal has come."""
        return self.count > 1
