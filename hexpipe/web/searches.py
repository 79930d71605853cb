"""Searches for many visitors on one engine: those that wait go together, and no more than a few may wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.engine import Engine
from hexpipe.errors import HexpipeError

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 30.0


class BusyError(HexpipeError):
    """So many searches wait that one more is refused."""


class _Request(NamedTuple):
    moves: tuple[int, ...]
    simulations: int
    answer: Future[Analysis]


class SearchQueue:
    """Searches off the event loop, in one thread.

    When the engine is free, all that wait with the same number of simulations are searched side by side, at most
    ``together``: their leaves share the net's batches. At most ``most_waiting`` may wait, and `analyse` raises
    BusyError beyond that. A visitor who has gone is not searched for.
    """

    def __init__(self, engine: Engine, most_waiting: int = 64, together: int = 16) -> None:
        self.engine = engine
        self._most_waiting, self._together = most_waiting, together
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="searches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Searches that wait."""
        return len(self._waiting)

    async def analyse(self, moves: Sequence[int], simulations: int) -> Analysis:
        """The analysis of the position after ``moves``, which must be legal and not over."""
        request = _Request(tuple(moves), simulations, Future())
        with self._changed:
            if self._closed or len(self._waiting) >= self._most_waiting:
                raise BusyError("too many searches are waiting: try again in a few seconds")
            self._waiting.append(request)
            self._changed.notify()
        return await asyncio.wrap_future(request.answer)

    def close(self) -> None:
        """End the thread once it has finished what it is at; what waits is refused."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while batch := self._next():
            try:
                found = self.engine.analyse([request.moves for request in batch], batch[0].simulations)
            except Exception as error:  # each visitor has to hear of it, whatever it is
                logger.exception("a search failed")
                for request in batch:
                    request.answer.set_exception(error)
                continue
            for request, analysis in zip(batch, found, strict=True):
                request.answer.set_result(analysis)

    def _next(self) -> list[_Request]:
        """What is searched next, of one number of simulations; empty once closed."""
        with self._changed:
            while True:
                batch: list[_Request] = []
                rest: deque[_Request] = deque()
                for request in self._waiting:
                    fits = len(batch) < self._together
                    if not (fits and (not batch or request.simulations == batch[0].simulations)):
                        rest.append(request)
                    elif request.answer.set_running_or_notify_cancel():
                        batch.append(request)
                self._waiting = rest
                if self._closed:
                    for request in [*batch, *rest]:
                        if not request.answer.cancel():  # what was to be searched next
                            request.answer.set_exception(BusyError("the server is closing"))
                    return []
                if batch:
                    return batch
                self._changed.wait()
