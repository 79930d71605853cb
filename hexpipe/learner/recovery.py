"""Rollback to a good checkpoint when training has broken.

`train_step` skips a step whose gradient is unusable. One is a bad batch; many in a row mean that the weights themselves
have diverged. Then they, their average and the optimiser are restored from the newest checkpoint; steps go on counting,
so that published weights get newer versions and positions that were played keep their price.
"""

from __future__ import annotations

import logging
from pathlib import Path

from hexpipe.errors import DivergedError
from hexpipe.learner.distributed import agree
from hexpipe.learner.learner import Learner
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint, step_of

log = logging.getLogger(__name__)

CHECK_EVERY = 16
"""Steps between two checks of the device; as many skipped in a row are too many."""
MOST_RECOVERIES = 3
GOOD_STEPS = 1000
"""Steps after which a recovery is forgotten."""


class Recovery:
    """Watch of the steps of ``learner``; call `check` after each of them.

    Learners that train together check the same steps with the same result.
    """

    def __init__(self, learner: Learner, run_dir: Path) -> None:
        self._learner, self._run_dir = learner, run_dir
        self._recent: list[int] = []  # steps at which it rolled back
        self.count = 0

    def check(self) -> bool:
        """Roll back if the last steps were all skipped; return whether it did.

        Raises DivergedError where there is no checkpoint to restore, or it has not helped.
        """
        learner = self._learner
        if learner.steps % CHECK_EVERY or learner.skipped_in_a_row < CHECK_EVERY:
            return False
        self._recent = [step for step in self._recent if step > learner.steps - GOOD_STEPS]
        if len(self._recent) == MOST_RECOVERIES:
            raise DivergedError(
                f"training has broken {MOST_RECOVERIES + 1} times in {GOOD_STEPS} steps (gradients are not finite): "
                "lower learner.learning_rate and go on with --resume"
            )
        path = self._newest()
        learner.roll_back(load_checkpoint(path))
        self._recent.append(learner.steps)
        self.count += 1
        log.error("training broke by step %d (gradients are not finite): back to %s", learner.steps, path)
        return True

    def may_save(self) -> bool:
        """Return whether the learner is healthy; if not, no checkpoint may be written, and the log says so."""
        if not self._learner.healthy:
            log.warning("no checkpoint of step %d: its gradients were not finite", self._learner.steps)
            return False
        return True

    def _newest(self) -> Path:
        """Return the newest checkpoint that all learners of the group can see."""
        found = list_checkpoints(self._run_dir)
        newest = agree(step_of(found[-1]) if found else -1)
        of_step = [path for path in found if step_of(path) == newest]
        if not of_step:
            raise DivergedError(
                "training has broken (gradients are not finite) before there was a checkpoint to go back to: start "
                "anew with a lower learner.learning_rate"
            )
        return of_step[-1]
