"""The inference server: natural batching over the slots, and the same as an evaluator within one process.

When the backend is free the server takes whatever requests have arrived, up to ``max_batch`` rows, and runs them in one
forward pass; nothing ever waits for a batch to fill. Between batches it takes newer weights.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Shapes
from hexpipe.errors import InferenceError
from hexpipe.inference.request_reader import RequestReader
from hexpipe.inference.slots import FAILED, LOST, SERVING, STOPPED, InferenceSlots, Request
from hexpipe.inference.weights import WeightsSource
from hexpipe.search.evaluator import Evaluation, Moves

if TYPE_CHECKING:
    from hexpipe.nets.backends import Backend  # the benchmark's server has a backend without torch

_log = logging.getLogger(__name__)

IDLE_SECONDS = 0.25  # longest wait for requests before checking the stop flag and the weights, and sending a heartbeat
PROGRESS_SECONDS = 0.25


@dataclass(frozen=True)
class Station:
    """A server's connections: number ``server`` of ``slots`` (their `for_server`), and the source of ``weights``.

    ``max_batch``: most rows of a forward pass. ``on_progress`` is called a few times a second with the server, to
    export its counters.
    """

    slots: InferenceSlots
    server: int
    weights: WeightsSource | None = None
    max_batch: int = 256
    on_progress: Callable[[ServerLoop], None] = lambda server: None


class ServerLoop(ABC):
    """A server at its ``station``; `run` serves until told to stop.

    Counters: ``batches`` forward passes, ``requests``, ``evals`` rows, ``forward_seconds`` wall-clock and
    ``forward_cpu_seconds`` CPU seconds of this process (all threads) inside the backend, ``busy_seconds`` wall-clock
    not spent waiting for requests, ``stale`` requests dropped because their worker died, ``weights_version``.
    """

    def __init__(self, station: Station) -> None:
        self._slots, self._server, self._weights = station.slots, station.server, station.weights
        self._max_batch, self._on_progress = station.max_batch, station.on_progress
        slots = self._slots
        self._regions = [slots.answers_of(region) for region in range(slots.workers * slots.groups)]
        self._waiting: deque[Request] = deque()
        self._progress_at = 0.0
        self.batches = 0
        self.requests = 0
        self.evals = 0
        self.forward_seconds = 0.0
        self.forward_cpu_seconds = 0.0
        self.busy_seconds = 0.0
        self.stale = 0
        self.weights_version = 0

    @abstractmethod
    def _serve(self, batch: list[Request], rows: int) -> Collection[int]:
        """Evaluate the ``rows`` rows of all requests of ``batch``, and write the answers into their regions.

        Returns the regions that get none, because their searches are unknown to this server.
        """

    @abstractmethod
    def _load(self, version: int, tensors: dict[str, NDArray[np.float32]]) -> None:
        """Load new weights."""

    def _can_load(self) -> bool:
        """Return whether new weights may be loaded now."""
        return True

    @contextmanager
    def _timed_forward(self, rows: int) -> Iterator[None]:
        """Time and count a forward pass of ``rows`` rows."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.forward_seconds += time.perf_counter() - wall
        self.forward_cpu_seconds += time.process_time() - cpu
        self.batches += 1
        self.evals += rows

    @property
    def mean_batch(self) -> float:
        """Mean rows of a forward pass."""
        return self.evals / max(1, self.batches)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Serve until ``slots.request_stop`` or ``should_stop()``.

        Any exception first tells the clients that this server failed, then propagates.
        """
        slots, server = self._slots, self._server
        slots.announce_server(server)
        reader = RequestReader(slots, server)
        try:
            self._take_first_weights(should_stop)
            slots.set_server_state(server, SERVING)
            while not (slots.stop_requested or should_stop()):
                self._turn(reader)
            self._report(time.perf_counter(), True)
        except BaseException:
            slots.set_server_state(server, FAILED)
            raise
        finally:
            reader.close()
        slots.set_server_state(server, STOPPED)

    def _turn(self, reader: RequestReader) -> None:
        """Take the requests that have arrived, run one batch of them, take newer weights and send a heartbeat."""
        waiting = self._waiting
        if not waiting:
            waiting.extend(reader.take(self._patience()))
        began = time.perf_counter()
        rows = sum(request.rows for request in waiting)
        while rows < self._max_batch and (more := reader.take(0.0)):
            waiting.extend(more)
            rows += sum(request.rows for request in more)
        self.stale = reader.stale
        self._take_newer_weights()
        self._work()
        self._slots.beat(self._server)
        now = time.perf_counter()
        self.busy_seconds += now - began
        self._report(now, False)

    def _patience(self) -> float:
        """Return the longest wait for requests when there are none."""
        return IDLE_SECONDS

    def _work(self) -> None:
        """Serve a batch of pending requests, if any."""
        if self._waiting:
            batch = self._next_batch()
            lost = self._serve(batch, sum(request.rows for request in batch))
            self._answer(batch, self.weights_version, lost)

    def _next_batch(self) -> list[Request]:
        """Return the first pending requests, as many as fit into one batch."""
        batch = [self._waiting.popleft()]
        rows = batch[0].rows
        while self._waiting and rows + self._waiting[0].rows <= self._max_batch:
            batch.append(self._waiting.popleft())
            rows += batch[-1].rows
        return batch

    def _answer(self, batch: list[Request], version: int, lost: Collection[int] = ()) -> None:
        """Tell the clients of ``batch`` that it is evaluated, by weights of ``version``, except for regions that are
        ``lost``."""
        self.requests += len(batch)
        for request in batch:
            self._slots.answer(request, LOST if request.region in lost else version)

    def _take_newer_weights(self) -> None:
        if self._weights is None or not self._can_load():
            return
        newer = self._weights.read_if_newer(self.weights_version)
        if newer is not None:
            version, tensors = newer
            self._load(version, tensors)
            self.weights_version = version
            _log.debug("%s took weights version %d", self._slots.server_name(self._server), version)

    def _take_first_weights(self, should_stop: Callable[[], bool]) -> None:
        while self._weights is not None and self.weights_version == 0:
            self._take_newer_weights()
            if self._slots.stop_requested or should_stop():
                return
            if self.weights_version == 0:
                self._slots.beat(self._server)
                time.sleep(0.02)

    def _report(self, now: float, always: bool) -> None:
        if always or now - self._progress_at >= PROGRESS_SECONDS:
            self._progress_at = now
            self._on_progress(self)


class InferenceServer(ServerLoop):
    """A server of positions: each batch is a forward pass of ``backend`` over their codes."""

    def __init__(self, station: Station, backend: Backend) -> None:
        super().__init__(station)
        self._backend = backend
        shapes = self._slots.shapes
        self._codes = np.zeros((self._max_batch, shapes.code_length), np.int8)
        self._answers = Answers.allocate(self._max_batch, shapes, sent=True)  # of a batch of several requests

    def _load(self, version: int, tensors: dict[str, NDArray[np.float32]]) -> None:
        self._backend.load(tensors)

    def _serve(self, batch: list[Request], rows: int) -> Collection[int]:
        if len(batch) == 1:
            self._serve_alone(batch[0])
        else:
            self._serve_together(batch, rows)
        return ()

    def _serve_alone(self, request: Request) -> None:
        """Evaluate directly from and into the region, without copies; more than max_batch rows take several passes."""
        codes = self._slots.arrays["codes"][request.region]
        for start in range(0, request.rows, self._max_batch):
            part = slice(start, min(start + self._max_batch, request.rows))
            self._infer(codes[part], self._regions[request.region].at(part))

    def _serve_together(self, batch: list[Request], rows: int) -> None:
        self._infer(self._gathered(batch), self._answers.at(slice(rows)))
        self._scatter(batch)

    def _gathered(self, batch: list[Request]) -> NDArray[np.int8]:
        """Gather the codes of all requests, one after the other; valid until the next call."""
        start = 0
        for request in batch:
            end = start + request.rows
            self._codes[start:end] = self._slots.arrays["codes"][request.region, : request.rows]
            start = end
        return self._codes[:start]

    def _scatter(self, batch: list[Request]) -> None:
        """Scatter the answers, in the order of `_gathered`, into the regions."""
        start = 0
        for request in batch:
            end = start + request.rows
            self._regions[request.region].put(slice(request.rows), self._answers.at(slice(start, end)))
            start = end

    def _infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        with self._timed_forward(len(codes)):
            self._backend.infer(codes, out)


class LocalEvaluator:
    """Evaluator within the searching process: submit runs the forward pass, in parts of at most ``max_batch`` rows.

    ``version`` is reported with each answer; set it through `load`. Counts like the server: ``batches``, ``evals``,
    ``forward_seconds``.
    """

    def __init__(self, backend: Backend, shapes: Shapes, *, groups: int = 2, max_batch: int = 256) -> None:
        self.backend, self._shapes = backend, shapes
        self._max_batch = max_batch
        self._answers = [Answers.allocate(0, shapes) for _ in range(groups)]
        self._rows = [0] * groups
        self.version = 0
        self.batches = 0
        self.evals = 0
        self.forward_seconds = 0.0

    def load(self, version: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Load new weights; answers carry ``version`` from now on."""
        self.backend.load(dict(weights))
        self.version = version

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Evaluate codes int8 [L, C]."""
        if self._rows[group]:
            raise InferenceError(f"group {group} has a request under way: collect it first", kind="busy")
        rows = len(codes)
        if len(self._answers[group].priors) < rows:
            self._answers[group] = Answers.allocate(rows, self._shapes)
        began = time.perf_counter()
        for start in range(0, rows, self._max_batch):
            part = slice(start, min(start + self._max_batch, rows))
            self.backend.infer(codes[part], self._answers[group].at(part))
            self.batches += 1
        self.forward_seconds += time.perf_counter() - began
        self.evals += rows
        self._rows[group] = rows

    def collect(self, group: int) -> Evaluation:
        """Return the answer to the group's last submit; its arrays are valid until the next."""
        rows = self._rows[group]
        if not rows:
            raise InferenceError(f"group {group} has no request under way: submit first", kind="missing")
        self._rows[group] = 0
        return Evaluation(self._answers[group].at(slice(rows)), self.version)
