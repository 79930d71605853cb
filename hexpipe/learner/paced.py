"""A learner paced by play, which rolls back when training breaks: used by all that train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hexpipe.config import Settings, Shapes
from hexpipe.config.limits import limit_reached
from hexpipe.learner.learner import Learner
from hexpipe.learner.recovery import Recovery
from hexpipe.learner.step_budget import StepBudget
from hexpipe.learner.step_metrics import METRICS
from hexpipe.learner.train_step import mean_losses
from hexpipe.nets.checkpoints import Checkpoint
from hexpipe.replay.replay_buffer import ReplayBuffer


class PacedLearner:
    """The net in training, its step budget, its losses and its recoveries.

    It begins with the checkpoint ``resume``, else with the net of ``init_from``, else with the seed's.
    """

    def __init__(
        self,
        settings: Settings,
        shapes: Shapes,
        buffer: ReplayBuffer,
        run_dir: Path,
        device: str,
        wrap: Callable[[nn.Module], nn.Module] | None = None,
        *,
        resume: Checkpoint | None = None,
        init_from: Checkpoint | None = None,
    ) -> None:
        self._settings, self._buffer = settings, buffer
        self.learner = Learner(settings, shapes, device, wrap)
        self._budget = StepBudget.from_settings(settings)
        self._saved_budget: Mapping[str, Any] | None = None
        self._paced = False
        if resume is not None:
            self.learner.restore(resume)
            self._saved_budget = resume.meta.get("pacing")
        elif init_from is not None:
            self.learner.init_from(init_from)
        self.recovery = Recovery(self.learner, run_dir)
        self._losses = torch.zeros(len(METRICS), device=self.learner.device)
        self._losses_steps = 0

    def restore_budget(self) -> None:
        """Restore the step budget of the checkpoint; call it once the buffer is filled from the archive."""
        if self._saved_budget is not None:
            self._budget.restore(self._saved_budget, self._buffer.total_positions)
        self._paced = True

    def steps_allowed(self) -> int:
        """Return how many steps may be done now: those that positions pay for, 0 at a limit."""
        if limit_reached(self._settings.limits, steps=self.learner.steps):
            return 0
        buffer = self._buffer
        return self._budget.steps_allowed(buffer.num_games, buffer.total_positions, self.learner.steps)

    def step(self, batch: Mapping[str, Any], progress: float) -> bool:
        """Train on ``batch``, at the share ``progress`` of the run; return whether training was rolled back."""
        # summed on the device: reading every step's losses would stall the device
        self._losses += self.learner.step(batch, progress).tensor
        self._losses_steps += 1
        return self.recovery.check()

    def drain_losses(self) -> dict[str, float]:
        """Return the means of the losses over the steps since the last call; empty if there was none."""
        if not self._losses_steps:
            return {}
        means = mean_losses(self._losses, self._losses_steps)
        self._losses.zero_()
        self._losses_steps = 0
        return means

    def extra(self) -> dict[str, Any]:
        """Return a checkpoint's additional meta: the state of the step budget, once that is restored."""
        if not self._paced:
            return {}
        return {"pacing": self._budget.state(self._buffer.total_positions, self.learner.steps)}
