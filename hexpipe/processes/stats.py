"""StatsBoard: one shared row of numbers for each process, written by that process and read by everyone.

A node of a cluster has a row like a process; the cluster process writes what the node tells it.
The board is for people and for the supervisor's stall check, so a reader may see a row between two stores; no data
depends on it. A row is float64 (exact for counts below 2**53) and aligned, so a single number is never torn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hexpipe.shm import Field, SharedSegment

logger = logging.getLogger(__name__)

COLUMNS = (
    # every process
    "pid",
    "started",  # monotonic seconds; set by the supervisor before it starts the process
    "ready",  # monotonic seconds; 0 until the process does its work
    "beat",  # monotonic seconds of the last sign of life
    "waiting",  # a Waiting code
    "stop",  # set by the supervisor, a Stop code
    "restarts",  # replacements of a dead process so far
    # generators; of old games and their positions, the process that searches them anew
    "games",
    "positions",
    "simulations",
    "leaves",  # positions asked of the evaluator
    "cache_hits",
    "wait_seconds",
    "version",  # weights version last seen
    "first_game",  # monotonic seconds
    "league_games",  # games with an opponent of the league
    "league_wins",  # the newest net's win shares in them, added up
    # servers
    "evals",
    "batches",
    "forward_seconds",
    # replay
    "total_games",
    "total_positions",
    "replay_games",
    "replay_positions",
    "replay_bytes",
    "replay_budget",
    "resumed_games",
    "session_games",  # since this start of the run
    "plies_sum",  # over the session's games
    "lag_sum",  # policy lag in training steps, over the session's games
    "stage",  # of the curriculum, from 1; 0 until it is known
    "stage_games",  # finished games of the stage
    "mastered_after",  # games of the stage before
    "league_share",  # the newest net's mean win share in the last league games of the stage
    "league_window",  # how many games that is over
    "refreshed_games",  # old games that were searched anew, and still held
    "refreshed_positions",
    # learner
    "steps",
    "loss",
    "policy_loss",
    "value_loss",
    "policy_kl",
    "value_sign_accuracy",
    "reward_loss",
    "consistency_loss",
    "threat_loss",
    "focus_loss",
    "gradient_norm",
    "skipped_steps",  # their gradients were not finite
    "recoveries",  # times that training went back to a checkpoint
    "learning_rate",
    "published",
    "checkpoint_step",
    "solver_score",
    "solver_policy",
    # ratings of the run's checkpoints
    "rating_elo",
    "rating_elo_error",  # standard error
    "rating_step",  # of the checkpoint that is rated so
    "rated",  # 1 once one is
    # nodes of a cluster, beside the counters of the generators and servers that play there
    "generators",
    "servers",
    "done",
)
INDEX = {name: column for column, name in enumerate(COLUMNS)}
_NOTE_BYTES = 96


class Waiting(IntEnum):
    """What a process waits for; `WAITING_TEXT` says it in words."""

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


class Stop(IntEnum):
    """What the supervisor asks of a process."""

    RUN = 0
    ORDERLY = 1
    QUICK = 2


class ProcessRow:
    """One process's row of a StatsBoard."""

    def __init__(self, values: NDArray[np.float64], note: NDArray[np.uint8]) -> None:
        self._values = values
        self._note = note

    def __getitem__(self, name: str) -> float:
        return float(self._values[INDEX[name]])

    def __setitem__(self, name: str, value: float) -> None:
        self._values[INDEX[name]] = value

    def add(self, name: str, value: float) -> None:
        """Add ``value`` to a counter of the process's own row."""
        self._values[INDEX[name]] += value

    def beat(self, waiting: Waiting = Waiting.WORKING) -> None:
        """Say that the process lives and what it does or waits for."""
        self._values[INDEX["waiting"]] = waiting
        self._values[INDEX["beat"]] = time.monotonic()

    def begin(self, pid: int) -> None:
        """A process (or its replacement) takes the row; counters of its predecessor go on."""
        self["pid"] = pid
        self["ready"] = 0.0
        self.beat(Waiting.STARTING)

    def set_ready(self) -> None:
        """The process has started and does its work from now on."""
        self["ready"] = time.monotonic()
        logger.info("ready after %.1f s", self["ready"] - self["started"])
        self.beat()

    @property
    def waiting(self) -> Waiting:
        """What the process does or waits for."""
        return Waiting(int(self["waiting"]))

    @property
    def stop(self) -> Stop:
        """What the supervisor asks."""
        return Stop(int(self["stop"]))

    @property
    def note(self) -> str:
        """A few words that the process says about itself."""
        return bytes(self._note).rstrip(b"\0").decode(errors="replace")

    @note.setter
    def note(self, text: str) -> None:
        data = text.encode()[:_NOTE_BYTES].ljust(_NOTE_BYTES, b"\0")
        self._note[:] = np.frombuffer(data, np.uint8)

    def as_dict(self) -> dict[str, float]:
        """Every column of the row."""
        return {name: float(value) for name, value in zip(COLUMNS, self._values, strict=True)}


class StatsBoard:
    """Rows by process name; picklable while a child is spawned, like the segment under it."""

    def __init__(self, segment: SharedSegment, names: Sequence[str]) -> None:
        self.segment = segment
        self.names = tuple(names)

    @classmethod
    def create(cls, names: Sequence[str], private: bool = False) -> StatsBoard:
        """A board with one row of zeros for each name. Raises SharedMemoryError if there is no room."""
        fields = [
            Field("values", "float64", (len(names), len(COLUMNS))),
            Field("notes", "uint8", (len(names), _NOTE_BYTES)),
        ]
        return cls(SharedSegment.create("stats", fields, private=private), names)

    def row(self, name: str) -> ProcessRow:
        """The row of a process; KeyError if there is no such name."""
        if name not in self.names:
            raise KeyError(name)
        index = self.names.index(name)
        return ProcessRow(self.segment.arrays["values"][index], self.segment.arrays["notes"][index])

    def rows(self, role: str = "") -> dict[str, ProcessRow]:
        """Rows by name, of the processes whose name starts with ``role``."""
        return {name: self.row(name) for name in self.names if name.startswith(role)}

    def total(self, role: str, column: str) -> float:
        """The sum of a column over the processes of a role."""
        return sum(row[column] for row in self.rows(role).values())
