"""The inference server that overlaps a batch on the device with gathering the next and answering the last (double
buffering)."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from hexpipe.inference.inference_server import InferenceServer, Station
from hexpipe.inference.slots import Request
from hexpipe.nets.backends import Backend, OverlappingBackend, overlaps


class _UnderWay(NamedTuple):
    batch: list[Request]
    rows: int
    ticket: int
    version: int  # of the weights at its start
    began: float


class OverlappingServer(InferenceServer):
    """A server with up to two batches in flight; see `ServerLoop` for the counters.

    ``forward_seconds`` is the time in which any batch was in flight. A batch is started as soon as there is a request
    for it. If nothing has come meanwhile the server waits for the one in flight: all that comes until then makes the
    next batch.
    """

    def __init__(self, station: Station, backend: OverlappingBackend) -> None:
        super().__init__(station, backend)
        self._device = backend
        self._under_way: deque[_UnderWay] = deque()
        self._ended = 0.0

    def _patience(self) -> float:
        return 0.0 if self._under_way else super()._patience()

    def _work(self) -> None:
        if self._waiting and self._waiting[0].rows > self._max_batch:
            while self._under_way:
                self._finish_oldest()
            super()._work()  # in several passes
            return
        started = bool(self._waiting)
        if started:
            self._start_next()
        if len(self._under_way) > started:
            self._finish_oldest()

    def _start_next(self) -> None:
        batch, began, cpu = self._next_batch(), time.perf_counter(), time.process_time()
        codes = self._gathered(batch)
        ticket = self._device.start(codes)
        self.forward_cpu_seconds += time.process_time() - cpu
        self._under_way.append(_UnderWay(batch, len(codes), ticket, self.weights_version, began))

    def _finish_oldest(self) -> None:
        batch, rows, ticket, version, began = self._under_way.popleft()
        cpu = time.process_time()
        self._device.finish(ticket, self._answers.at(slice(rows)))
        self.forward_cpu_seconds += time.process_time() - cpu
        now = time.perf_counter()
        self.forward_seconds += now - max(began, self._ended)
        self._ended = now
        self.batches += 1
        self.evals += rows
        self._scatter(batch)
        self._answer(batch, version)


def server_of_positions(station: Station, backend: Backend) -> InferenceServer:
    """Return the server that suits ``backend``: an overlapping one where it can have two batches in flight."""
    return OverlappingServer(station, backend) if overlaps(backend) else InferenceServer(station, backend)
