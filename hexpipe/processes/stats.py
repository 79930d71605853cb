"""StatsBoard: one shared row of numbers for each process, written by that process and read by all.

A node of a cluster has a row like a process; the cluster process writes what the node reports. The board is for people
and for the stall check, so a reader may see a row between two stores; no data depends on it: numbers that processes act
on are in `run_state`. A row is float64 (exact for counts below 2**53) and aligned, so no read of a single number is
torn.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.shm import Field, SharedSegment

COMMON = (
    "pid",
    "started",  # monotonic seconds; set by the supervisor before it starts the process
    "beat",  # monotonic seconds of the last heartbeat
    "waiting",  # a Waiting code
)
"""Columns of every row; further ones are the counters that its role declares."""
_NOTE_BYTES = 96


class Waiting(IntEnum):
    """What a process waits for; `WAITING_TEXT` has the words."""

    STARTING = 0
    WORKING = 1
    INFERENCE = 2
    OUTBOX = 3
    REQUESTS = 4
    WEIGHTS = 5
    GAMES = 6
    MIN_GAMES = 7
    POSITIONS = 8
    BATCH = 9
    REFILL = 10
    CHECKPOINT = 11
    STOPPING = 12
    LEAGUE = 13
    NEXT_CHECKPOINT = 14
    DISK = 15
    NODES = 16
    LOCKED = 17


WAITING_TEXT = {
    Waiting.STARTING: "starting",
    Waiting.WORKING: "working",
    Waiting.INFERENCE: "waits for the inference server",
    Waiting.OUTBOX: "waits for replay to take its games",
    Waiting.REQUESTS: "waits for requests of the generators",
    Waiting.WEIGHTS: "waits for the learner's weights",
    Waiting.GAMES: "waits for finished games",
    Waiting.MIN_GAMES: "waits for the first games",
    Waiting.POSITIONS: "waits for new positions",
    Waiting.BATCH: "waits for a sampled batch",
    Waiting.REFILL: "reads the archive",
    Waiting.CHECKPOINT: "writes a checkpoint",
    Waiting.STOPPING: "stopping",
    Waiting.LEAGUE: "waits for the league's server",
    Waiting.NEXT_CHECKPOINT: "waits for a checkpoint to rate",
    Waiting.DISK: "waits for room on the disk",
    Waiting.NODES: "waits for nodes of the cluster",
    Waiting.LOCKED: "waits for another program to let go of the archive",
}


class ProcessRow:
    """One process's row of a StatsBoard: its columns by name, and a note."""

    def __init__(self, values: NDArray[np.float64], note: NDArray[np.uint8], index: Mapping[str, int]) -> None:
        self._values, self._note, self._index = values, note, index

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __getitem__(self, name: str) -> float:
        return float(self._values[self._index[name]])

    def __setitem__(self, name: str, value: float) -> None:
        self._values[self._index[name]] = value

    def add(self, name: str, value: float) -> None:
        """Add ``value`` to a counter; only for the process's own row."""
        self._values[self._index[name]] += value

    def beat(self, waiting: Waiting = Waiting.WORKING) -> None:
        """Record a heartbeat, and what the process does or waits for."""
        self["waiting"] = waiting
        self["beat"] = time.monotonic()

    def begin(self, pid: int) -> None:
        """Assign the row to a process, or its replacement; counters of its predecessor go on."""
        self["pid"] = pid
        self.beat(Waiting.STARTING)

    @property
    def waiting(self) -> Waiting:
        """What the process does or waits for."""
        return Waiting(int(self["waiting"]))

    @property
    def note(self) -> str:
        """A few words of the process about itself."""
        return bytes(self._note).rstrip(b"\0").decode(errors="replace")

    @note.setter
    def note(self, text: str) -> None:
        data = text.encode()[:_NOTE_BYTES].ljust(_NOTE_BYTES, b"\0")
        self._note[:] = np.frombuffer(data, np.uint8)


class StatsBoard:
    """Rows by process name; picklable while a child is spawned, like the segment under it.

    The segment has two arrays a role: ROLE float64 [processes, columns] and ROLE/note uint8 [processes, 96].
    ``counters`` names the columns of each role beside `COMMON`.
    """

    def __init__(
        self, segment: SharedSegment | ReadOnly, names: Sequence[str], counters: Mapping[str, Sequence[str]]
    ) -> None:
        self.segment = segment
        self.names = tuple(names)
        self._index = {
            role: {name: column for column, name in enumerate((*COMMON, *counters.get(role, ())))}
            for role in _roles(names)
        }

    @classmethod
    def create(
        cls, names: Sequence[str], counters: Mapping[str, Sequence[str]] | None = None, private: bool = False
    ) -> StatsBoard:
        """Create a board with one row of zeros for each name. Raises SharedMemoryError if there is no room."""
        counters = counters or {}
        return cls(SharedSegment.create("stats", cls.fields(names, counters), private=private), names, counters)

    @staticmethod
    def fields(names: Sequence[str], counters: Mapping[str, Sequence[str]]) -> list[Field]:
        """Return the arrays of such a board."""
        fields = []
        for role, count in _roles(names).items():
            fields.append(Field(role, "float64", (count, len(COMMON) + len(counters.get(role, ())))))
            fields.append(Field(f"{role}/note", "uint8", (count, _NOTE_BYTES)))
        return fields

    def row(self, name: str) -> ProcessRow:
        """Return the row of a process; KeyError if there is no such name."""
        if name not in self.names:
            raise KeyError(name)
        role, _, number = name.rpartition("-")
        arrays, at = self.segment.arrays, int(number)
        return ProcessRow(arrays[role][at], arrays[f"{role}/note"][at], self._index[role])

    def rows(self, *roles: str) -> dict[str, ProcessRow]:
        """Return the rows by name, of the processes of ``roles``, or of all."""
        return {name: self.row(name) for name in self.names if not roles or role_of(name) in roles}

    def total(self, column: str, *roles: str) -> float:
        """Sum a column over the processes of ``roles``, or of all that have it."""
        return sum(row[column] for row in self.rows(*roles).values() if column in row)


class ReadOnly(NamedTuple):
    """The arrays of another process's segment, mapped read-only (`shm.read_only_view`)."""

    arrays: dict[str, NDArray[Any]]


def role_of(name: str) -> str:
    """Return the role of a process's name: "generator" of "generator-0"."""
    return name.rpartition("-")[0]


def _roles(names: Sequence[str]) -> dict[str, int]:
    """Count the processes of each role in ``names``, which are numbered from 0 without a gap."""
    return Counter(role_of(name) for name in names)
