"""The board of `hexpipe bench selfplay`: the phase that all processes are in, and what each has counted."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import InferenceError
from hexpipe.shm import Field, SharedSegment

SELFPLAY, FORWARD, CACHED, STOP = 0, 1, 2, 3

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
)
_CHOICE_BYTES = 256


class Board:
    """The phase and the counters of every process: servers first, then generators.

    Picklable only as an argument of a process being spawned.
    """

    def __init__(self, segment: SharedSegment) -> None:
        self.segment = segment

    @classmethod
    def create(cls, processes: int) -> Board:
        """Counters float64 [processes, columns], all 0, in phase SELFPLAY."""
        fields = [
            Field("phase", "int64", (1,)),
            Field("bare_batch", "int64", (1,)),
            Field("counters", "float64", (processes, len(COLUMNS))),
            Field("choice", "uint8", (_CHOICE_BYTES,)),
        ]
        return cls(SharedSegment.create("bench-selfplay", fields))

    @property
    def phase(self) -> int:
        """What all processes should do now."""
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

    def read(self) -> dict[str, NDArray[np.float64]]:
        """A copy of every counter, float64 [processes]."""
        counters = self.segment.arrays["counters"].copy()
        return {name: counters[:, column] for column, name in enumerate(COLUMNS)}

    def publish_choice(self, choice: dict[str, Any]) -> None:
        """The backend that the first server found fastest, for the others."""
        text = json.dumps(choice).encode()
        self.segment.arrays["choice"][: len(text)] = np.frombuffer(text, np.uint8)

    @property
    def choice(self) -> dict[str, Any]:
        """What `publish_choice` was given; empty before."""
        text = bytes(self.segment.arrays["choice"]).rstrip(b"\0")
        return dict(json.loads(text)) if text.endswith(b"}") else {}

    def wait_choice(self, seconds: float) -> dict[str, Any]:
        """The choice, once there is one. InferenceError if none comes."""
        deadline = time.monotonic() + seconds
        while not (choice := self.choice):
            if time.monotonic() > deadline:
                raise InferenceError(
                    f"the first server found no backend within {seconds:.0f} s: see its own error", kind="missing"
                )
            time.sleep(0.02)
        return choice
