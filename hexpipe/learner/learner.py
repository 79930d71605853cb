"""The learner: a net in training, its optimiser, its averaged weights, and their checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hexpipe.config import Settings, Shapes
from hexpipe.config.limits import share_done
from hexpipe.errors import CheckpointError
from hexpipe.learner.optimizer import make_optimizer
from hexpipe.learner.remember import remember
from hexpipe.learner.train_step import StepLosses, train_step, training_dtype
from hexpipe.nets.checkpoints import Checkpoint, checkpoint_meta, prune, save_checkpoint
from hexpipe.nets.factory import Net, build_net, load_weights
from hexpipe.nets.muzero_network import MuZeroNet

FINAL_RATE = 0.05
"""The learning rate at the end of a limited run, as a share of its peak."""


def learning_rate(peak: float, warmup_steps: int, step: int, progress: float) -> float:
    """Return the rate of the step after ``step`` steps: linear warm-up, times a cosine from 1 to `FINAL_RATE`.

    ``progress`` in [0, 1] is the share of the run that is over; a run without a limit stays at 0, a constant rate. The
    cosine is that of SGDR (Loshchilov and Hutter 2017, equation 5) without restarts.
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    cosine = FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, progress))))
    return peak * warmup * cosine


class Snapshot(NamedTuple):
    """A copy of the training state: tensors by group and name, on the CPU, and the meta of `checkpoint_meta`."""

    groups: dict[str, dict[str, Tensor]]
    meta: dict[str, Any]


def write_snapshot(run_dir: Path, snapshot: Snapshot, settings: Settings) -> Path:
    """Write a checkpoint and delete those that ``keep_checkpoints`` and ``keep_every`` do not keep; return the new
    folder.

    RunFolderError if it cannot be written.
    """
    path = save_checkpoint(run_dir, snapshot.groups, snapshot.meta)
    prune(run_dir, settings.learner.keep_checkpoints, settings.learner.keep_every)
    return path


class Learner:
    """A net in training on batches. ``steps`` counts over all resumes.

    The weights for play are an exponential moving average whose decay grows to ``learner.ema_decay`` with the steps, so
    that the initial weights are soon forgotten. A fresh net depends on ``settings.seed`` only. ``wrap`` may put the net
    into DistributedDataParallel (see `distributed`).
    """

    def __init__(
        self,
        settings: Settings,
        shapes: Shapes,
        device: torch.device | str = "cpu",
        wrap: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.settings = settings
        self.shapes = shapes
        self.device = torch.device(device)
        self.dtype = training_dtype(settings, self.device)
        self.steps = 0
        self.first_weights: Any = {"seed": settings.seed}
        """The origin of step 0's weights, as `roles.first_weights` reads it; None where unknown."""
        self.learning_rate = 0.0  # of the last step
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = build_net(settings.net, shapes)
        if isinstance(net, MuZeroNet) and not settings.learner.consistency_weight:
            net.projection.requires_grad_(False)  # no loss reaches them, and DistributedDataParallel waits for all
            net.predictor.requires_grad_(False)
        # convolutions are faster in this layout, on a CPU (a tenth of a step at 5x5, 32 channels) as on a GPU
        self.net: Net = net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        learner = settings.learner
        self.optimizer = make_optimizer(self.net, learner.learning_rate, learner.weight_decay, learner.muon_rate)
        self._model: nn.Module = wrap(self.net) if wrap is not None else self.net
        self._names = list(self.net.state_dict())
        self._weights: list[Tensor] = list(self.net.state_dict().values())
        parameters = dict(self.net.named_parameters())
        self._trained: list[Tensor] = [parameter.detach() for parameter in parameters.values()]
        self._averages: list[Tensor] = [weight.clone() for weight in self._trained]
        # an episodic memory is not a weight: play uses the present one, not an average over steps
        state = {**self.net.state_dict(), **dict(zip(parameters, self._averages, strict=True))}
        self._ema: list[Tensor] = [state[name] for name in self._names]
        self._skipped_in_a_row = torch.zeros((), device=self.device)

    def step(self, batch: Mapping[str, Any], progress: float | None = None) -> StepLosses:
        """Train on one batch. ``progress``: the share of the run that is over, by default computed from the steps."""
        learner = self.settings.learner
        if progress is None:
            progress = share_done(self.settings.limits, steps=self.steps) or 0.0
        self.learning_rate = learning_rate(learner.learning_rate, learner.warmup_steps, self.steps, progress)
        self.optimizer.learning_rate = self.learning_rate
        self.optimizer.muon_rate = learner.muon_rate * self.learning_rate / learner.learning_rate
        losses = train_step(self._model, self.optimizer, batch, self.device, learner, self.dtype)
        self.steps += 1
        self._skipped_in_a_row = (self._skipped_in_a_row + 1) * losses.tensor[-1]
        decay = min(learner.ema_decay, self.steps / (self.steps + 9.0))
        torch._foreach_lerp_(self._averages, self._trained, 1.0 - decay)
        if self.net.engram is not None:
            remember(self.net.engram, batch, self.device)
        return losses

    @property
    def skipped_in_a_row(self) -> int:
        """Number of the last steps that were skipped (see `train_step`). Waits for the device."""
        return int(self._skipped_in_a_row.item())

    @property
    def healthy(self) -> bool:
        """Whether this is worth saving: the last step was not skipped, and all weights are finite. Also waits."""
        finite = torch.stack([tensor.isfinite().all() for tensor in [*self._trained, *self._averages]])
        return not self.skipped_in_a_row and bool(finite.all())

    def ema_weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy the weights for play, averages and memory, by name, for `WeightsBoard.publish` and `Backend.load`."""
        pairs = zip(self._names, self._ema, strict=True)
        return {name: np.array(ema.cpu().numpy(), np.float32, order="C") for name, ema in pairs}

    def snapshot(self, extra: Mapping[str, Any] | None = None) -> Snapshot:
        """Copy a checkpoint's content: training may go on while it is written.

        ``extra`` (JSON values, such as `StepBudget.state`) is kept in its meta.
        """
        groups: dict[str, dict[str, Tensor]] = {
            "model": dict(zip(self._names, self._weights, strict=True)),
            "ema": dict(zip(self._names, self._ema, strict=True)),
            "optimizer": self.optimizer.tensors(),
        }
        copies = {
            group: {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
            for group, tensors in groups.items()
        }
        meta = {**checkpoint_meta(self.settings, self.shapes, self.steps), **(extra or {})}
        meta["first_weights"] = self.first_weights
        return Snapshot(copies, meta)

    def save(self, run_dir: Path, extra: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint now, see `write_snapshot`."""
        return write_snapshot(run_dir, self.snapshot(extra), self.settings)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Resume from ``checkpoint``: weights, average, optimiser and step count. CheckpointError if it does not
        fit."""
        missing = {"model", "ema", "optimizer"} - checkpoint.groups.keys()
        if missing:
            words = f"{checkpoint.path} has no {', '.join(sorted(missing))}: it can start a run, not resume one"
            raise CheckpointError(words, kind="missing", path=checkpoint.path)
        self.init_from(checkpoint)
        load_weights(self.net, checkpoint.groups["model"])
        self.optimizer.restore(checkpoint.groups["optimizer"])
        self.steps = checkpoint.step
        self.first_weights = checkpoint.meta.get("first_weights")

    def roll_back(self, checkpoint: Checkpoint) -> None:
        """Roll back to ``checkpoint`` as `restore`, but ``steps`` counts on from the present."""
        steps = self.steps
        self.restore(checkpoint)
        self.steps = steps
        self._skipped_in_a_row.zero_()

    def init_from(self, checkpoint: Checkpoint) -> None:
        """Take the playing weights of ``checkpoint``, from any board size, and start training at step 0."""
        load_weights(self.net, checkpoint.play_weights)
        self.first_weights = {"checkpoint": str(checkpoint.path.resolve())}
        for ema, weight in zip(self._ema, self._weights, strict=True):
            ema.copy_(weight)
