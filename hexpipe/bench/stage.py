"""Processes of `hexpipe bench selfplay` and `slots`, and the board on which each counts what it has done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.bench.measuring import wait_until
from hexpipe.errors import ProcessDiedError
from hexpipe.inference.slots import InferenceSlots
from hexpipe.processes.machine import exported, thread_environment
from hexpipe.shm import Field, SharedSegment, spawn_context

SELFPLAY, FORWARD, CACHED = 0, 1, 2
START_SECONDS = 300.0

COLUMNS = (
    "pid",
    "phase_seen",
    "evals",  # rows of the net, for the generators
    "bare_evals",  # rows of the net, in bare forward passes
    "counted_at",  # monotonic seconds of the last batch counted above, or of the turn of phase
    "batches",
    "forward_cpu",  # CPU seconds inside the net, for the generators
    "cpu",  # CPU seconds of the process
    "simulations",
    "looked_up",  # rows asked of the cache
    "hits",
    "requests",
    "roots",
)
_CHOICE_BYTES = 256

Counters = dict[str, NDArray[np.float64]]


class Board:
    """The phase and the counters of every process: servers first, then generators.

    Picklable only as an argument of a process being spawned.
    """

    def __init__(self, segment: SharedSegment) -> None:
        self.segment = segment

    @classmethod
    def create(cls, processes: int) -> Board:
        """Make counters float64 [processes, columns], all 0, in phase SELFPLAY."""
        fields = [
            Field("phase", "int64", (1,)),
            Field("bare_batch", "int64", (1,)),
            Field("counters", "float64", (processes, len(COLUMNS))),
            Field("choice", "uint8", (_CHOICE_BYTES,)),
        ]
        return cls(SharedSegment.create("bench", fields))

    @property
    def phase(self) -> int:
        """The phase that all processes should be in now."""
        return int(self.segment.arrays["phase"][0])

    @phase.setter
    def phase(self, phase: int) -> None:
        self.segment.arrays["phase"][0] = phase

    @property
    def bare_batch(self) -> int:
        """Rows of a bare forward pass."""
        return int(self.segment.arrays["bare_batch"][0])

    @bare_batch.setter
    def bare_batch(self, rows: int) -> None:
        self.segment.arrays["bare_batch"][0] = rows

    def write(self, process: int, **values: float) -> None:
        """Set counters of one process."""
        row = self.segment.arrays["counters"][process]
        for name, value in values.items():
            row[COLUMNS.index(name)] = value

    def read(self) -> Counters:
        """Return a copy of every counter, float64 [processes]."""
        counters = self.segment.arrays["counters"].copy()
        return {name: counters[:, column] for column, name in enumerate(COLUMNS)}

    def publish_choice(self, choice: dict[str, Any]) -> None:
        """Tell the others of the backend that the first server found fastest."""
        text = json.dumps(choice).encode()
        self.segment.arrays["choice"][: len(text)] = np.frombuffer(text, np.uint8)

    @property
    def choice(self) -> dict[str, Any]:
        """The backend that `publish_choice` was given; empty before."""
        text = bytes(self.segment.arrays["choice"]).rstrip(b"\0")
        return dict(json.loads(text)) if text.endswith(b"}") else {}

    def wait_choice(self, seconds: float) -> dict[str, Any]:
        """Return the choice, once there is one. HexpipeError if none comes."""
        late = f"the first server found no backend within {seconds:.0f} s: see its own error"
        wait_until(lambda: self.choice, seconds, late)
        return self.choice


class Stage:
    """Processes at work, and the counters between two points in time."""

    def __init__(self, board: Board, processes: Sequence[SpawnProcess]) -> None:
        self.board, self.processes = board, processes

    def check(self) -> None:
        """Raise ProcessDiedError where a process has ended."""
        for process in self.processes:
            if process.exitcode is not None:
                raise ProcessDiedError(process.name, f"exit code {process.exitcode}; its traceback is above")

    def wait(self, condition: Callable[[Counters], object], what: str) -> None:
        """Wait for ``condition(counters)``; HexpipeError if a process ends before, or after five minutes."""
        late = f"the processes did not {what} within {START_SECONDS:.0f} s"
        wait_until(lambda: condition(self.board.read()), START_SECONDS, late, self.check)

    def sleep(self, seconds: float) -> None:
        """Sleep while all processes live."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(0.1, left))


Part = tuple[str, Callable[..., None], tuple[Any, ...]]
"""Name, function and arguments of a process."""


@contextmanager
def stage_of(board: Board, slots: InferenceSlots, parts: Sequence[Part]) -> Iterator[Stage]:
    """Spawn processes of one thread each, and kill them after the block: they own nothing that must be put in order."""
    context = spawn_context()
    processes = [context.Process(target=target, args=arguments, name=name) for name, target, arguments in parts]
    try:
        with exported(thread_environment(1)):
            for process in processes:
                process.start()
        yield Stage(board, processes)
    finally:
        started = [process for process in processes if process.pid is not None]
        for process in started:
            process.kill()
        for process in started:
            process.join()
        slots.close()
        board.segment.close()
