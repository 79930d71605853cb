"""A learner that trains as play pays for it, and goes back where training broke: one for all who train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hexpipe.config import Settings, Shapes
from hexpipe.config.limits import limit_reached
from hexpipe.learner.learner import Learner
from hexpipe.learner.pacing import Pacer
from hexpipe.learner.recovery import Recovery
from hexpipe.learner.step_metrics import METRICS
from hexpipe.learner.train_step import mean_losses
from hexpipe.nets.checkpoints import Checkpoint
from hexpipe.replay.replay_buffer import ReplayBuffer


class PacedLearner:
    """The net in training, how many steps it may do, and what came of those that it did.

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
        self._pacer = Pacer.from_settings(settings)
        self._saved_pacing: Mapping[str, Any] | None = None
        self._paced = False
        if resume is not None:
            self.learner.restore(resume)
            self._saved_pacing = resume.meta.get("pacing")
        elif init_from is not None:
            self.learner.init_from(init_from)
        self.recovery = Recovery(self.learner, run_dir)
        self._losses = torch.zeros(len(METRICS), device=self.learner.device)
        self._losses_steps = 0

    def take_pacing(self) -> None:
        """Go on counting where the checkpoint had got; call it once the buffer has what the archive has."""
        if self._saved_pacing is not None:
            self._pacer.restore(self._saved_pacing, self._buffer.total_positions)
        self._paced = True

    def steps_allowed(self) -> int:
        """Say how many steps may be done now: those that positions pay for, none where their limit is reached."""
        if limit_reached(self._settings.limits, steps=self.learner.steps):
            return 0
        buffer = self._buffer
        return self._pacer.steps_allowed(buffer.num_games, buffer.total_positions, self.learner.steps)

    def step(self, batch: Mapping[str, Any], progress: float) -> bool:
        """Train on ``batch``, at the share ``progress`` of the run; whether training went back to a checkpoint."""
        # summed on the device: reading every step's losses would hold the device up
        self._losses += self.learner.step(batch, progress).tensor
        self._losses_steps += 1
        return self.recovery.look()

    def drain_losses(self) -> dict[str, float]:
        """Give the means of the losses over the steps since the last call; empty where there was none."""
        if not self._losses_steps:
            return {}
        means = mean_losses(self._losses, self._losses_steps)
        self._losses.zero_()
        self._losses_steps = 0
        return means

    def extra(self) -> dict[str, Any]:
        """Give what a checkpoint has beside the learner's own: the state of the pacing, once that is known."""
        if not self._paced:
            return {}
        return {"pacing": self._pacer.state(self._buffer.total_positions, self.learner.steps)}
