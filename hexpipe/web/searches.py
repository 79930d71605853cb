"""Searches for many visitors on one engine: those that wait go together, and no more than a few may wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.engine import Engine
from hexpipe.errors import HexpipeError
from hexpipe.games.set_up import Position

logger = logging.getLogger(__name__)
CLOSING = "the server is closing: ask again when it is back"

CLOSE_SECONDS = 1.0


class BusyError(HexpipeError):
    """So many searches wait that one more is refused."""


class _Request(NamedTuple):
    position: Position
    simulations: int
    answer: Future[Analysis]
    gone: threading.Event  # nobody waits for the answer any more


class SearchQueue:
    """Searches off the event loop, in one thread.

    When the engine is free, all that wait with the same number of simulations are searched side by side, at most
    ``together``: their leaves share the net's batches. At most ``most_waiting`` may wait, and `analyse` raises
    BusyError beyond that. A visitor who has gone takes no place, and a search for none but such is stopped.
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

    @property
    def ended(self) -> bool:
        """True once the thread has ended."""
        return not self._thread.is_alive()

    async def analyse(self, position: Position, simulations: int) -> Analysis:
        """Return the analysis of ``position``, which must be legal and not over."""
        request = _Request(position, simulations, Future(), threading.Event())
        with self._changed:
            if self._closed:
                raise BusyError(CLOSING)
            if len(self._waiting) >= self._most_waiting:
                raise BusyError("too many searches are waiting: try again in a few seconds")
            self._waiting.append(request)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(request.answer)
        except asyncio.CancelledError:
            self._forget(request)
            raise

    def refuse(self) -> None:
        """Refuse from now on whatever waits or comes, and stop the search that is under way."""
        with self._changed:
            self._closed = True
            for request in self._waiting:
                if request.answer.set_running_or_notify_cancel():
                    request.answer.set_exception(BusyError(CLOSING))
            self._waiting.clear()
            self._changed.notify()

    def close(self) -> None:
        """`refuse`, and wait CLOSE_SECONDS at the most for the search under way to stop: see `ended`."""
        self.refuse()
        self._thread.join(CLOSE_SECONDS)

    def _forget(self, request: _Request) -> None:
        """Drop ``request``, which nobody waits for: it takes no place any more."""
        request.gone.set()
        with self._changed:
            self._waiting = deque(other for other in self._waiting if other is not request)

    def _work(self) -> None:
        while batch := self._next():
            try:
                found = self.engine.analyse(
                    [request.position for request in batch], batch[0].simulations, stop=partial(self._unwanted, batch)
                )
            except Exception as error:  # each visitor has to hear of it, whatever it is
                logger.exception("a search failed")
                for request in batch:
                    request.answer.set_exception(error)
                continue
            for request, analysis in zip(batch, found, strict=True):
                if analysis.simulations < request.simulations and not analysis.proven and self._closed:
                    request.answer.set_exception(BusyError(CLOSING))  # it was stopped: half an answer is none
                else:
                    request.answer.set_result(analysis)

    def _unwanted(self, batch: Sequence[_Request]) -> bool:
        """Return whether nobody waits for what is being searched."""
        return self._closed or all(request.gone.is_set() for request in batch)

    def _next(self) -> list[_Request]:
        """Return what is searched next, of one number of simulations; empty once closed."""
        with self._changed:
            while not self._closed:
                batch: list[_Request] = []
                rest: deque[_Request] = deque()
                for request in self._waiting:
                    fits = len(batch) < self._together
                    if not (fits and (not batch or request.simulations == batch[0].simulations)):
                        rest.append(request)
                    elif request.answer.set_running_or_notify_cancel():
                        batch.append(request)
                self._waiting = rest
                if batch:
                    return batch
                self._changed.wait()
            return []
