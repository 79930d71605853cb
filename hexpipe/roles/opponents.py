"""The opponents of a league server: a past checkpoint of the run, exchanged every so many minutes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import CheckpointError
from hexpipe.inference.weights import WeightsSource
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint

log = logging.getLogger(__name__)

Weights = dict[str, NDArray[np.float32]]
FIRST = "the first weights"
_MOST_OPPONENTS = 10**6  # versions of one server: one a second for eleven days


def draw_checkpoint(run_dir: Path, rng: np.random.Generator, known: str = "") -> tuple[str, Weights] | None:
    """Draw one of the run's checkpoints uniformly: its name and its weights for play.

    None where there is none, or ``known`` was drawn. One that cannot be read (just deleted, or damaged) is skipped with
    a log line.
    """
    folders = list_checkpoints(run_dir)
    for choice in rng.permutation(len(folders)):
        folder = folders[choice]
        if folder.name == known:
            return None
        try:
            return folder.name, load_checkpoint(folder, groups=("model", "ema")).play_weights
        except CheckpointError as error:
            log.warning("an opponent less for the league: %s", error)
    return None


class Opponents:
    """A `WeightsSource` that numbers its opponents and passes their names to ``announce``.

    Its numbers are above those of a server's ``predecessors`` that died: clients cache by version.

    The opponent is a checkpoint of ``run_dir``, drawn anew every ``minutes``. While the run has none, it is the content
    of ``first`` at the first call: the initial weights.
    """

    def __init__(
        self,
        run_dir: Path,
        first: WeightsSource,
        minutes: float,
        rng: np.random.Generator,
        announce: Callable[[str], None],
        predecessors: int = 0,
    ) -> None:
        self._run_dir, self._first = run_dir, first
        self._seconds = 60 * minutes
        self._rng = rng
        self._announce = announce
        self._due = 0.0
        self._name = ""
        self.latest_version = predecessors * _MOST_OPPONENTS

    def read_if_newer(self, version: int) -> tuple[int, Weights] | None:
        """Return the next opponent if one is due, else None at the cost of reading the clock."""
        now = time.monotonic()
        if now < self._due:
            return None
        drawn = draw_checkpoint(self._run_dir, self._rng, self._name)
        if drawn is None and not version:
            begins = self._first.read_if_newer(0)
            if begins is None:
                return None  # no learner yet: retry soon
            drawn = FIRST, begins[1]
        self._due = now + self._seconds
        if drawn is None:
            return None
        self._name, weights = drawn
        self.latest_version += 1
        self._announce(self._name)
        return self.latest_version, weights
