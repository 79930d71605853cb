"""One training step: batch to device, forward, losses, backward, clip, optimiser.

A step whose gradient is not finite, or far above what clipping expects, is skipped: the optimiser is told on the
device, like by torch's gradient scaler, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hexpipe.config import LearnerSettings, Settings
from hexpipe.cpu import has_bfloat16
from hexpipe.learner.losses import (
    Losses,
    Unrolled,
    add_focus_loss,
    add_threat_loss,
    compute_losses,
    compute_unrolled_losses,
)
from hexpipe.learner.optimizer import Optimizer
from hexpipe.learner.step_metrics import METRICS
from hexpipe.nets.heads import SideLogits
from hexpipe.nets.resnet import standardised_once

EXPLODED = 1000.0
"""Multiple of ``learner.gradient_clip`` above which a gradient counts as exploded."""


class StepLosses(Mapping[str, float]):
    """The losses of one step as a read-only mapping of floats (`METRICS`); all are 0 for a skipped step, with
    ``skipped_steps`` 1.

    They stay on the device until one is read: reading waits for the device, so a training loop that reads every
    hundredth step keeps the device busy in between.
    """

    def __init__(self, values: Tensor) -> None:
        self._tensor = values
        self._floats: dict[str, float] | None = None

    @property
    def tensor(self) -> Tensor:
        """Losses float32 [len(METRICS)] on the device, in the order of `METRICS`."""
        return self._tensor

    def _read(self) -> dict[str, float]:
        if self._floats is None:
            self._floats = dict(zip(METRICS, self._tensor.tolist(), strict=True))
        return self._floats

    def __getitem__(self, name: str) -> float:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(METRICS)

    def __len__(self) -> int:
        return len(METRICS)

    def __repr__(self) -> str:
        return f"StepLosses({self._read()})"


def mean_losses(total: Tensor, steps: int) -> dict[str, float]:
    """Return means over the steps that were not skipped, with ``skipped_steps`` the number of the others.

    ``total`` float32 [len(METRICS)] is the sum of ``steps`` `StepLosses.tensor`. No losses where all were skipped.
    """
    sums = dict(zip(METRICS, total.tolist(), strict=True))
    skipped = sums.pop("skipped_steps")
    done = steps - skipped
    means = {name: value / done for name, value in sums.items()} if done > 0 else {}
    return {**means, "skipped_steps": skipped}


def as_tensors(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """View the batch's numpy arrays as tensors (no copy); tensors stay as they are."""
    return {name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part for name, part in batch.items()}


def to_device(batch: Mapping[str, Any], device: torch.device, names: tuple[str, ...]) -> list[Tensor]:
    """Move the named parts of ``batch`` to ``device``. Pinned parts are copied while the device computes
    (non_blocking)."""
    tensors = as_tensors({name: batch[name] for name in names})
    return [part.to(device, non_blocking=True) for part in tensors.values()]


def training_dtype(settings: Settings, device: torch.device) -> torch.dtype:
    """Return the dtype of a net in training for ``learner.dtype``.

    auto is bfloat16, on a processor only with instructions for its products and for convolutions: those of a
    transformer's small matrices take twice as long backwards as in float32.
    """
    wanted = settings.learner.dtype
    if wanted == "auto":
        faster = device.type != "cpu" or (has_bfloat16() and settings.net.backbone == "resnet")
        wanted = "bfloat16" if faster else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batch: Mapping[str, Any],
    device: torch.device,
    settings: LearnerSettings,
    dtype: torch.dtype = torch.float32,
) -> StepLosses:
    """Train ``model`` on one batch of `ReplayBuffer.sample_batch`: its starts, and with learned dynamics its unroll.

    ``batch`` holds numpy arrays or tensors (pinned or not) alike, see `replay.targets`; samples count by ``weights``
    float32 [B] where it has them, and heads for threats and focus learn from the targets of their names where it has
    those. The net computes in ``dtype`` (`training_dtype`) under autocast; losses and weights stay float32.
    """
    compute = _unrolled_losses if "rewards" in batch and batch["rewards"].shape[1] else _start_losses
    with standardised_once(model):
        losses = compute(model, batch, device, settings, dtype)
    optimizer.zero_grad()
    losses.total.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(optimizer.parameters, settings.gradient_clip, foreach=True)
    # judged by the norm alone: all learners of a group have the same one, and a bad loss makes it bad
    wrong = ~(norm < EXPLODED * settings.gradient_clip)
    optimizer.step(skip=wrong)
    values = torch.stack([losses.total.detach(), *losses[1:], norm.detach(), torch.zeros_like(norm)])
    skipped = torch.zeros_like(values)
    skipped[-1] = 1
    return StepLosses(torch.where(wrong, skipped, values))


def _start_losses(
    model: nn.Module,
    batch: Mapping[str, Any],
    device: torch.device,
    settings: LearnerSettings,
    dtype: torch.dtype,
) -> Losses:
    codes, policy, values, mask = to_device(batch, device, ("codes", "policy", "values", "mask"))
    with _autocast(device, dtype):
        policy_logits, value_logits, *side = model(codes, _games(batch, device))
    counts = mask[:, 0] * _weights(batch, device, mask)
    losses = compute_losses(
        policy_logits, value_logits, policy[:, 0], values[:, 0], counts, value_weight=settings.value_weight
    )
    starts = [SideLogits(*(None if part is None else part[:, None] for part in logits)) for logits in side]
    return _add_side_losses(losses, starts, batch, counts[:, None], settings)


def _add_side_losses(
    losses: Losses, side: Sequence[SideLogits], batch: Mapping[str, Any], counts: Tensor, settings: LearnerSettings
) -> Losses:
    """Add to ``losses`` those of a net's further heads, of the K steps of ``counts`` [B, K]."""
    for logits in side:
        if logits.threats is not None and "threats" in batch:
            (levels,) = to_device(batch, counts.device, ("threats",))
            losses = add_threat_loss(
                losses, logits.threats, levels[:, : counts.shape[1]], counts, settings.threat_weight
            )
        if logits.focus is not None and "focus" in batch:
            (buckets,) = to_device(batch, counts.device, ("focus",))
            losses = add_focus_loss(losses, logits.focus, buckets[:, : counts.shape[1]], counts, settings.focus_weight)
    return losses


def _weights(batch: Mapping[str, Any], device: torch.device, mask: Tensor) -> Tensor:
    """Return the weight of each sample, float32 [B]."""
    return to_device(batch, device, ("weights",))[0] if "weights" in batch else torch.ones_like(mask[:, 0])


def _games(batch: Mapping[str, Any], device: torch.device) -> Tensor | None:
    """Return the game of each sample, int64 [B], or None if the batch has none; nets with a memory use it."""
    return to_device(batch, device, ("games",))[0] if "games" in batch else None


def _unrolled_losses(
    model: nn.Module,
    batch: Mapping[str, Any],
    device: torch.device,
    settings: LearnerSettings,
    dtype: torch.dtype,
) -> Losses:
    names = ("codes", "policy", "values", "mask", "rewards", "actions", "unrolled")
    codes, policy, values, mask, rewards, actions, unrolled = to_device(batch, device, names)
    following = to_device(batch, device, ("next_codes",))[0] if settings.consistency_weight > 0 else None
    with _autocast(device, dtype):
        out = model(codes, actions, following, _games(batch, device))
    policy_logits, value_logits, imagined, similarity, *side = out
    weights = _weights(batch, device, mask)
    losses = compute_unrolled_losses(
        Unrolled(policy_logits, value_logits, imagined, similarity),
        policy,
        values,
        rewards,
        mask,
        unrolled,
        weights,
        value_weight=settings.value_weight,
        reward_weight=settings.reward_weight,
        consistency_weight=settings.consistency_weight,
    )
    return _add_side_losses(losses, side, batch, mask * weights[:, None], settings)


def _autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
