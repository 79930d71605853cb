"""Signals that ask a run to end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Interrupts:
    """A counter of Ctrl-C, SIGTERM and SIGHUP in its block: the first asks for an orderly end, the second for a quick
    one.

    Before the first call of `asked` nothing needs saving: until then a second signal raises KeyboardInterrupt. A signal
    that was ignored when the process began (by nohup, or in the background of a script) stays ignored.
    """

    count: int = 0
    _looked_at: bool = False
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupts:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self.count:
            return  # a closing terminal signals twice: the kernel and the shell both do
        self.count += 1
        if self.count > 1 and not self._looked_at:
            raise KeyboardInterrupt

    def asked(self) -> bool:
        """Return whether a signal has come. The caller must end in order from now on."""
        self._looked_at = True
        return self.count > 0

    def hurry(self) -> bool:
        """Return whether a second signal has come."""
        return self.count > 1


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Block `SIGNALS` in processes that are started within the block, until they have set their handlers.

    A signal for this process is delivered after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_resource_tracker() -> None:
    """Start multiprocessing's resource tracker now, out of the reach of a closing terminal's SIGHUP.

    It ignores only SIGINT and SIGTERM; a replacement would know no resources and complain.
    """
    with signals_blocked():
        resource_tracker.ensure_running()
