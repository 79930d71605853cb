"""RunState: the shared numbers that a run's processes act on, unlike the figures for people in `stats`.

Each number has one writer, named beside it, and is aligned, so that no read is torn.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from hexpipe.processes.stats import ReadOnly
from hexpipe.shm import Field, SharedSegment

Kind = TypeVar("Kind", int, float)


class _Number(Generic[Kind]):
    """An attribute of a ``kind``, stored in the array of its name at the owner's index."""

    def __init__(self, kind: type[Kind]) -> None:
        self._kind: type[Kind] = kind
        self.dtype = np.dtype(kind).str

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: _Numbers, owner: type) -> Kind:
        number: Kind = self._kind(instance.segment.arrays[self._name][instance.place])
        return number

    def __set__(self, instance: _Numbers, value: Kind) -> None:
        instance.segment.arrays[self._name][instance.place] = value


class _Numbers:
    """An owner of one index in the arrays of a segment."""

    def __init__(self, segment: SharedSegment | ReadOnly, place: int) -> None:
        self.segment, self.place = segment, place


class ProcessState(_Numbers):
    """The numbers shared by the supervisor and one process."""

    stop = _Number(int)
    """Supervisor: 1 once the process is asked to end."""
    restarts = _Number(int)
    """Supervisor: replacements of a dead process so far. Seeds depend on it: none plays its predecessor's games."""
    done = _Number(int)
    """1 once the process has ended in order, or is not replaced: its own, or the supervisor's."""
    ready = _Number(float)
    """The process: the time at which its work began, in monotonic seconds; 0 until then."""

    def set_ready(self) -> None:
        """Mark the process as started and at work."""
        self.ready = time.monotonic()


class RunState(_Numbers):
    """The numbers of a whole run, and those of each process by its name; picklable while a child is spawned."""

    stage = _Number(int)
    """Replay: the curriculum's stage, from 1; 0 until the archive has been read."""
    mastered_after = _Number(int)
    """Replay: number of games in the stage before."""
    solved = _Number(float)
    """Learner: the net's agreement with the solver of its board, 0 to 1; 0 while there is none to ask."""
    played_positions = _Number(int)
    """Replay: positions of new games since this start of the run: the budget for searching old ones anew."""
    searched_positions = _Number(int)
    """Reanalyze: positions searched anew since this start of the run, charged to that budget."""
    published = _Number(int)
    """Learner: version of the newest weights for play, which is training steps + 1; 0 before there are any."""

    def __init__(self, segment: SharedSegment | ReadOnly, names: Sequence[str]) -> None:
        super().__init__(segment, 0)
        self.names = tuple(names)

    @classmethod
    def create(cls, names: Sequence[str], private: bool = False) -> RunState:
        """Create the state of a run of the processes ``names``, all zeros. Raises SharedMemoryError if there is no
        room."""
        return cls(SharedSegment.create("run-state", cls.fields(names), private=private), names)

    @staticmethod
    def fields(names: Sequence[str]) -> list[Field]:
        """Return the arrays of such a state."""
        counts = ((RunState, 1), (ProcessState, len(names)))
        return [
            Field(name, number.dtype, (count,))
            for owner, count in counts
            for name, number in vars(owner).items()
            if isinstance(number, _Number)
        ]

    def of(self, name: str) -> ProcessState:
        """Return the state of one process; KeyError if there is no such name."""
        if name not in self.names:
            raise KeyError(name)
        return ProcessState(self.segment, self.names.index(name))
