"""The shared memory between generators and inference servers: arrays for the data, tiny queue messages as
notifications.

A *region* belongs to one group of one worker: ``max_leaves`` rows of codes and answers. A request is the message
(region, request id, rows) through the queue of its worker and server; its answer is written into the region and
signalled by the region's semaphore. Each request goes to the server with the fewest rows outstanding, so that a device
that is slow, or shared, gets less of the work; where a server has state that others lack (the latents of a search, the
net of an opponent), a region stays with its own. The load is computed from the arrays: there is no counter that a death
could leave wrong.

No lock has two users that could die apart: each queue has one writer and one reader, and messages are far below
PIPE_BUF, so a process killed at any instant leaves a whole message or none. Request ids are monotonic, also across a
worker's death, and an answer carries its request's id: a stale answer is never taken for a new one.

Requests that a server has read but not answered die with it. Its replacement empties the queues, even of half a
message, and finds all pending requests in the arrays: a request and its server are written there before the message is
sent. A region whose request has no answer yet, because its client died, stays with that server. Invariant: only one
server writes into a region at a time.

multiprocessing's queues, locks and semaphores are those that torch.multiprocessing re-exports; torch itself is not
imported here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Semaphore
from typing import Any, NamedTuple

import numpy as np
import psutil

from hexpipe.answers import Answers, answer_fields
from hexpipe.config import Shapes
from hexpipe.errors import InferenceError
from hexpipe.inference.latents import PoolShape
from hexpipe.inference.queue_repair import free_reader, free_writer
from hexpipe.search.evaluator import Moves
from hexpipe.shm import Field, SharedSegment, allow_open_files, semaphores_made, spawn_context

# server_state; STARTING with pid 0: no server has come yet
STARTING, SERVING, STOPPED, FAILED = 0, 1, 2, 3
LOST = -1  # in place of the weights' version: the searches of the request are unknown to this server
SILENT_SECONDS = 1.0  # without a heartbeat, after which a serving server is checked before it gets a request

_PER_REGION = ("request_id", "request_rows", "request_roots", "response_id", "version", "releases")


class Request(NamedTuple):
    """A message to a server: ``rows`` leaves wait in ``region``, the first ``roots`` of them described by their
    codes."""

    region: int
    request_id: int
    rows: int
    roots: int


class InferenceSlots:
    """The shared arrays and the queues between ``workers`` x ``groups`` regions and ``servers``.

    ``arrays``: codes int8 [regions, max_leaves, C]; the parts of answers as they are sent (`answers.FIELDS`), of
    [regions, max_leaves] positions; request_id, request_rows, request_roots, response_id, version, releases int64
    [regions] (releases: how often all searches of a region have ended at once, by a client's death or its release);
    request_server int64 [regions], of the last request, or of the first to come; with learned dynamics parents,
    actions, rows int32 [regions, max_leaves] (see `search.evaluator.Moves`; of length 0 without); server_state,
    server_pid int64 [servers]; server_beat float64 [servers] (seconds of time.monotonic, which all processes share);
    stop int64 [1]. Picklable only as an argument of a process being spawned; give it ``for_worker`` or ``for_server``.
    """

    def __init__(
        self,
        shapes: Shapes,
        segment: SharedSegment,
        queues: dict[tuple[int, int], SimpleQueue[tuple[int, ...]]],
        answers: dict[int, Semaphore],
        *,
        groups: int,
        pool: PoolShape | None = None,
        role: str = "inference",
        by_load: bool = False,
    ) -> None:
        self.shapes = shapes
        self.groups = groups
        self.pool = pool
        self.role = role
        self.by_load = by_load
        self.workers: int = segment.arrays["codes"].shape[0] // groups
        self.max_leaves: int = segment.arrays["codes"].shape[1]
        self.servers: int = segment.arrays["server_state"].shape[0]
        self.segment = segment
        self.queues = queues  # by (worker, server)
        self._answers = answers  # by region

    @classmethod
    def create(
        cls,
        shapes: Shapes,
        *,
        workers: int,
        groups: int,
        max_leaves: int,
        servers: int,
        pool: PoolShape | None = None,
        role: str = "inference",
        one_server: bool = False,
    ) -> InferenceSlots:
        """Allocate the segment and the queues; SharedMemoryError if there is not enough memory.

        ``pool``: a group's latent rows; ``role``: the servers' name, before their number; ``one_server``: a worker's
        groups have the same one, because the servers' nets differ. With neither ``pool`` nor ``one_server`` requests go
        by load.
        """
        regions, span = workers * groups, groups if one_server else 1
        by_load = servers > 1 and pool is None and not one_server
        first = np.arange(regions) // span % servers
        if by_load:
            pairs = {(worker, server) for worker in range(workers) for server in range(servers)}
        else:
            pairs = set(zip((np.arange(regions) // groups).tolist(), first.tolist(), strict=True))
        allow_open_files(2 * len(pairs))  # the ends of the queues' pipes
        context = spawn_context()
        with semaphores_made():
            queues = {pair: context.SimpleQueue() for pair in sorted(pairs)}
            answers = {region: context.Semaphore(0) for region in range(regions)}
        fields = cls.fields(shapes, regions, max_leaves, servers, pool)
        segment = SharedSegment.create(f"{role}-slots", fields)
        segment.arrays["request_server"][:] = first
        return cls(
            shapes,
            segment,
            queues,
            answers,
            groups=groups,
            pool=pool,
            role=role,
            by_load=by_load,
        )

    @staticmethod
    def fields(shapes: Shapes, regions: int, max_leaves: int, servers: int, pool: PoolShape | None) -> list[Field]:
        """Return the arrays of such slots."""
        children = 0 if pool is None else max_leaves
        return [
            Field("codes", "int8", (regions, max_leaves, shapes.code_length)),
            *(
                Field(part.name, part.sent.__name__, (regions, max_leaves, *part.shape(shapes)))
                for part in answer_fields(shapes, learned=pool is not None)
            ),
            *(Field(name, "int32", (regions, children)) for name in Moves._fields),
            *(Field(name, "int64", (regions,)) for name in (*_PER_REGION, "request_server")),
            Field("server_state", "int64", (servers,)),
            Field("server_pid", "int64", (servers,)),
            Field("server_beat", "float64", (servers,)),
            Field("stop", "int64", (1,)),
        ]

    @property
    def arrays(self) -> dict[str, Any]:
        """Shared arrays by name."""
        return self.segment.arrays

    def region(self, worker: int, group: int) -> int:
        """Return the region of a worker's group."""
        return worker * self.groups + group

    def answers_of(self, region: int) -> Answers:
        """Return the answers of a region, max_leaves of them, as views of the shared memory."""
        parts = (part.name for part in answer_fields(self.shapes, learned=self.pool is not None))
        return Answers(**{name: self.arrays[name][region] for name in parts})

    def server_of(self, region: int) -> int:
        """Return the server of a region's last request; unless work goes by load, all of them go there."""
        return int(self.arrays["request_server"][region])

    def server_name(self, server: int) -> str:
        """Return the name of a server's process."""
        return f"{self.role}-{server}"

    @property
    def regions_per_server(self) -> int:
        """Most regions of one server; where work goes by load, an equal share of them."""
        if self.by_load:
            return -(-self.workers * self.groups // self.servers)
        return int(np.bincount(self.arrays["request_server"], minlength=1).max())

    def for_worker(self, worker: int) -> InferenceSlots:
        """Return a generator's part: the arrays, its own queues and its own semaphores."""
        regions = [self.region(worker, group) for group in range(self.groups)]
        return self._part(lambda pair: pair[0] == worker, regions)

    def for_server(self, server: int) -> InferenceSlots:
        """Return a server's part: the arrays, the queues it reads and the semaphores it releases."""
        regions = [region for region in self._answers if self.by_load or self.server_of(region) == server]
        return self._part(lambda pair: pair[1] == server, regions)

    def _part(self, keep: Callable[[tuple[int, int]], bool], regions: Iterable[int]) -> InferenceSlots:
        queues = {pair: queue for pair, queue in self.queues.items() if keep(pair)}
        answers = {region: self._answers[region] for region in regions}
        return InferenceSlots(
            self.shapes,
            self.segment,
            queues,
            answers,
            groups=self.groups,
            pool=self.pool,
            role=self.role,
            by_load=self.by_load,
        )

    # the generator's side

    def send(self, request: Request) -> None:
        """Notify a server that the region's rows are written: see `least_loaded`."""
        server = self.least_loaded(request.region) if self.by_load else self.server_of(request.region)
        self.arrays["request_rows"][request.region] = request.rows
        self.arrays["request_roots"][request.region] = request.roots
        self.arrays["request_server"][request.region] = server
        self.arrays["request_id"][request.region] = request.request_id  # last: it publishes the fields above
        self.queues[request.region // self.groups, server].put(tuple(request))

    def outstanding_rows(self) -> list[float]:
        """Return the rows that wait for an answer, of each server, by the arrays' present state."""
        arrays = self.arrays
        waiting = (arrays["request_id"] > arrays["response_id"]) * arrays["request_rows"]
        counts: list[float] = np.bincount(arrays["request_server"], waiting, self.servers).tolist()
        return counts

    def least_loaded(self, region: int) -> int:
        """Return the server for the next request of ``region``.

        It is the one with the fewest rows outstanding of those that serve (of all, if none does), and of equals the
        present one. A region whose last request has no answer keeps its server, which may still write into it.
        """
        own = self.server_of(region)
        if self.arrays["request_id"][region] > self.arrays["response_id"][region]:
            return own
        rows = self.outstanding_rows()
        rows[own] -= 0.5
        return min(self._serving() or range(self.servers), key=rows.__getitem__)

    def _serving(self) -> list[int]:
        """Return the servers that serve.

        One that is silent may be at a long batch, or killed and not yet replaced: the system tells.
        """
        states, beats = self.arrays["server_state"].tolist(), self.arrays["server_beat"].tolist()
        heard = time.monotonic() - SILENT_SECONDS
        return [
            server
            for server, state in enumerate(states)
            if state == SERVING and (beats[server] > heard or _alive(int(self.arrays["server_pid"][server])))
        ]

    def wait_answer(self, region: int, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for ``region``'s signal, which may be of an older request: check
        response_id."""
        return self._answers[region].acquire(True, timeout)

    def check_server(self, region: int, beat_timeout: float, replace_timeout: float = 0.0) -> None:
        """Raise InferenceError if the server of ``region`` sent no heartbeat for ``beat_timeout`` s, or was stopped.

        Also if it died more than ``replace_timeout`` s ago and was not replaced.
        """
        server = self.server_of(region)
        name = self.server_name(server)
        state, pid = int(self.arrays["server_state"][server]), int(self.arrays["server_pid"][server])
        if self.stop_requested:
            raise InferenceError(f"{name} was told to stop: the run is ending", kind="ended")
        silent = time.monotonic() - float(self.arrays["server_beat"][server])
        if state == STOPPED or (state == FAILED and silent > replace_timeout):
            how = "failed" if state == FAILED else "has stopped"
            raise InferenceError(f"{name} {how}: its own error says why; start the run again", kind="ended")
        if pid and not _alive(pid):
            if silent > replace_timeout:
                raise InferenceError(f"{name} (process {pid}) died: start the run again to resume it", kind="ended")
            return
        if state == SERVING and silent > beat_timeout:
            raise InferenceError(f"{name} (process {pid}) shows no sign of life for {silent:.0f} s", kind="missing")

    # the server's side

    def announce_server(self, server: int) -> None:
        """Register a server's process, which calls it first: from now on clients can check whether it is alive."""
        self.arrays["server_pid"][server] = os.getpid()
        self.set_server_state(server, STARTING)

    def set_server_state(self, server: int, state: int) -> None:
        """Publish the state; one in which no answer will come wakes all clients of the server."""
        self.beat(server)
        self.arrays["server_state"][server] = state
        if state in (STOPPED, FAILED):
            for region, answer in self._answers.items():
                if self.server_of(region) == server:
                    answer.release()

    def beat(self, server: int) -> None:
        """Record the server's heartbeat."""
        self.arrays["server_beat"][server] = time.monotonic()

    def answer(self, request: Request, version: int) -> None:
        """Notify the worker that the answers to ``request`` are written."""
        self.arrays["version"][request.region] = version
        self.arrays["response_id"][request.region] = request.request_id
        self._answers[request.region].release()

    # the supervisor's side

    @property
    def stop_requested(self) -> bool:
        """Whether `request_stop` was called."""
        return bool(self.arrays["stop"][0])

    def request_stop(self) -> None:
        """End all servers after their present batch; waiting clients then raise InferenceError."""
        self.arrays["stop"][0] = 1

    def repair_after_server_death(self, server: int) -> None:
        """Repair a dead server's queues for its replacement, which clients now wait for; only call once it is dead."""
        for (_worker, reader), queue in self.queues.items():
            if reader == server:
                free_reader(queue)
        self.arrays["server_pid"][server] = 0
        self.set_server_state(server, STARTING)

    def repair_after_death(self, worker: int) -> None:
        """Repair a dead worker's queues and semaphores for its replacement; only call once it is dead.

        Its last requests may still be answered: the replacement counts its request ids on from them.
        """
        for (owner, _server), queue in self.queues.items():
            if owner == worker:
                free_writer(queue)
        for group in range(self.groups):
            answer = self._answers[self.region(worker, group)]
            self.arrays["releases"][self.region(worker, group)] += 1
            while answer.acquire(False):
                pass

    def close(self) -> None:
        """Release this process's shared memory and queues."""
        for queue in self.queues.values():
            queue.close()
        self.segment.close()


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
