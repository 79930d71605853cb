"""Losses of the net against search targets: cross-entropies over actions and over seats.

Every array may have any leading axes ``...`` (a batch, or a batch and its unrolled steps); ``mask`` float32 [...] is 1
where the step is a real position and 0 past a game's end, or these times the samples' weights. Means are over real
positions only, by their weights.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Losses(NamedTuple):
    """Losses of a batch as scalar tensors; only ``total`` carries a gradient.

    All but those of reward and consistency are of the start positions; these two are means over the unrolled steps (0
    without an unroll). The last two are 0 where the game has no such target.
    """

    total: Tensor
    policy_loss: Tensor
    policy_kl: Tensor
    value_loss: Tensor
    value_sign_accuracy: Tensor
    reward_loss: Tensor
    consistency_loss: Tensor
    threat_loss: Tensor
    focus_loss: Tensor


def compute_losses(
    policy_logits: Tensor, value_logits: Tensor, policy: Tensor, values: Tensor, mask: Tensor, *, value_weight: float
) -> Losses:
    """Compute the losses of logits [..., A] and [..., S] against policies [..., A] (rows sum to 1) and values [..., S].

    All are float32. Values are relative to the mover and in [-1, 1]. ``total`` = policy loss + ``value_weight`` * value
    loss, the AlphaZero loss with both terms cross-entropies (MuZero, Appendix G, does so for values too); weight decay
    is the optimiser's. A row of policies that is 0 is none, and adds nothing to the mean.
    ``policy_kl`` = policy loss - entropy of the target: 0 for a net that matches its targets.
    """
    weights = mask / mask.sum().clamp_min(1.0)
    searched = mask * policy.any(-1)
    policy_weights = searched / searched.sum().clamp_min(1.0)
    policy_loss = (policy_cross_entropy(policy_logits, policy) * policy_weights).sum()
    value_loss = (value_cross_entropy(value_logits, values) * weights).sum()
    with torch.no_grad():
        policy_kl = policy_loss - (torch.special.entr(policy).sum(-1) * policy_weights).sum()
        accuracy = (_sign_right(value_logits, values) * weights).sum()
    total = policy_loss + value_weight * value_loss
    nothing = torch.zeros_like(policy_kl)
    return Losses(total, policy_loss.detach(), policy_kl, value_loss.detach(), accuracy, *[nothing] * 4)


class Unrolled(NamedTuple):
    """The outputs of `MuZeroNet.forward` for B starts and U steps."""

    policy_logits: Tensor  # [B, U + 1, A]
    value_logits: Tensor  # [B, U + 1, S]
    rewards: Tensor  # [B, U, S]
    similarity: Tensor  # [B, U]


def compute_unrolled_losses(
    out: Unrolled,
    policy: Tensor,
    values: Tensor,
    rewards: Tensor,
    mask: Tensor,
    unrolled: Tensor,
    weights: Tensor,
    *,
    value_weight: float,
    reward_weight: float,
    consistency_weight: float,
) -> Losses:
    """Compute the losses of an unroll against policies [B, U+1, A], values [B, U+1, S], rewards [B, U, S], ``mask`` [B,
    U+1].

    Samples count by ``weights`` [B], whose mean is 1. Where ``unrolled`` [B, U] is 0 a sample's unroll was cut off
    (`replay.targets`): these steps add nothing, and the others keep the weights that they have without them. The start
    counts once and the U steps together once (MuZero, appendix G, scales each step by 1 / U). Past a game's end there
    is no policy, and values and rewards are learned to be 0 there: an absorbing state. Rewards have a squared error;
    the consistency loss is 1 - cosine (EfficientZero, section 4.1, up to a constant) at real positions.
    """
    start = compute_losses(
        out.policy_logits[:, 0],
        out.value_logits[:, 0],
        policy[:, 0],
        values[:, 0],
        mask[:, 0] * weights,
        value_weight=value_weight,
    )
    every = unrolled * weights[:, None]
    real = mask[:, 1:] * weights[:, None]
    policy_loss = (policy_cross_entropy(out.policy_logits[:, 1:], policy[:, 1:]) * real).mean()
    value_loss = (value_cross_entropy(out.value_logits[:, 1:], values[:, 1:]) * every).mean()
    reward_loss = ((out.rewards - rewards).square().sum(-1) * every).mean()
    consistency = ((1.0 - out.similarity) * real).mean()
    total = start.total + policy_loss + value_weight * value_loss + reward_weight * reward_loss
    total = total + consistency_weight * consistency
    return start._replace(total=total, reward_loss=reward_loss.detach(), consistency_loss=consistency.detach())


def policy_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute -sum_a target[a] * log softmax(logits)[a], float32 [...].

    Masked actions have logits of about -1e9 (finite, so that a target of 0 gives 0 and not nan) or -inf, which is
    mapped to the former: an action of zero target adds nothing either way.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=-1).clamp_min(-1e9)
    return -(targets * log_probabilities).sum(-1)


def add_threat_loss(losses: Losses, logits: Tensor, levels: Tensor, counts: Tensor, weight: float) -> Losses:
    """Add to ``losses`` that of threat ``logits`` [B, K, S, 3] against packed ``levels`` uint8 [B, K]
    (`unpack_levels`).

    K steps count by ``counts`` [B, K] as those of the policy do: the start once, the later steps together once.
    """
    start, total = _start_and_total(threat_cross_entropy(logits, levels), counts)
    return losses._replace(total=losses.total + weight * total, threat_loss=start.detach())


def add_focus_loss(losses: Losses, logits: Tensor, buckets: Tensor, counts: Tensor, weight: float) -> Losses:
    """Add to ``losses`` that of focus ``logits`` [B, K, V * V] against ``buckets`` int16 [B, K], -1 where a step is
    left out.

    K is as in `add_threat_loss`.
    """
    known = buckets >= 0
    start, total = _start_and_total(focus_cross_entropy(logits, buckets), counts * known)
    return losses._replace(total=losses.total + weight * total, focus_loss=start.detach())


def threat_cross_entropy(logits: Tensor, levels: Tensor) -> Tensor:
    """Compute binary cross-entropies of logits [..., S, 3] and packed ``levels`` [...], means over seats and levels."""
    targets = unpack_levels(levels, logits.shape[-2])
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").mean((-2, -1))


def unpack_levels(levels: Tensor, seats: int) -> Tensor:
    """Unpack L of two bits a seat, uint8 [...], to float32 [..., S, 3] with 1 for the first L of three levels."""
    shifts = 2 * torch.arange(seats, device=levels.device)
    own = levels.to(torch.int64)[..., None] >> shifts & 3
    return (own[..., None] > torch.arange(3, device=levels.device)).float()


def focus_cross_entropy(logits: Tensor, buckets: Tensor) -> Tensor:
    """Compute -log softmax(logits)[bucket] of logits [..., V * V] and ``buckets`` [...]; unspecified where a bucket is
    -1."""
    log_probabilities = F.log_softmax(logits.float(), dim=-1)
    return -log_probabilities.gather(-1, buckets.to(torch.int64).clamp_min(0)[..., None])[..., 0]


def _start_and_total(each: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return of losses ``each`` [B, K] the mean of the starts by ``counts`` [B, K], and that plus the later steps'."""
    start = (each[:, 0] * counts[:, 0]).sum() / counts[:, 0].sum().clamp_min(1.0)
    if each.shape[1] == 1:
        return start, start
    return start, start + (each[:, 1:] * counts[:, 1:]).mean()


def win_probabilities(values: Tensor) -> Tensor:
    """Map values in [-1, 1] of S seats to (v + 1) / 2, the inverse of the nets' values. Those of two seats sum to 1."""
    return (values + 1.0) / 2.0


def value_cross_entropy(logits: Tensor, values: Tensor) -> Tensor:
    """Compute the cross-entropy of the win probabilities p of ``values`` and the logits, float32 [...].

    For two seats -sum_k p[k] * log softmax(logits)[k]; for more the mean over seats of their own binary cross-entropies
    (see `heads.value_from_logits`).
    """
    targets = win_probabilities(values)
    if values.shape[-1] == 2:
        return -(targets * F.log_softmax(logits.float(), dim=-1)).sum(-1)
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").mean(-1)


def _sign_right(value_logits: Tensor, values: Tensor) -> Tensor:
    """Return 1 where the net's value for the mover has its target's sign, else 0."""
    own = value_logits[..., 0]
    predicted = own > value_logits[..., 1] if value_logits.shape[-1] == 2 else own > 0
    return (predicted == (values[..., 0] > 0)).float()
