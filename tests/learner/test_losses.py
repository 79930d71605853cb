from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.learner.losses import (
    Unrolled,
    compute_losses,
    compute_unrolled_losses,
    policy_cross_entropy,
    value_cross_entropy,
    win_probabilities,
)
from hexpipe.nets.heads import value_from_logits
from hexpipe.nets.net_template import ILLEGAL_LOGIT


def _softmax(row: list[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(x - top) for x in row]
    return [p / sum(powers) for p in powers]


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_losses_match_plain_python(actions: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, value_logits = rng.normal(size=(batch, actions)), rng.normal(size=(batch, 2))
    policy = rng.dirichlet(np.ones(actions), batch)
    value = rng.uniform(-1, 1, batch)
    mask = rng.integers(0, 2, batch)
    ce = kl = ve = right = 0.0
    for i in range(batch):
        if not mask[i]:
            continue
        p, w = _softmax(logits[i].tolist()), _softmax(value_logits[i].tolist())
        ce -= sum(policy[i, a] * math.log(p[a]) for a in range(actions))
        kl += sum(policy[i, a] * math.log(policy[i, a] / p[a]) for a in range(actions))
        target = (value[i] + 1) / 2
        ve -= target * math.log(w[0]) + (1 - target) * math.log(w[1])
        right += (w[0] > w[1]) == (value[i] > 0)
    count = max(1, int(mask.sum()))
    losses = compute_losses(
        torch.tensor(logits, dtype=torch.float32),
        torch.tensor(value_logits, dtype=torch.float32),
        torch.tensor(policy, dtype=torch.float32),
        torch.tensor(np.stack([value, -value], 1), dtype=torch.float32),
        torch.tensor(mask, dtype=torch.float32),
        value_weight=0.5,
    )
    expected = [(ce + 0.5 * ve) / count, ce / count, kl / count, ve / count, right / count, 0, 0, 0, 0]
    assert [float(x) for x in losses] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("illegal", [ILLEGAL_LOGIT, -math.inf])
def test_masked_actions_add_nothing_and_keep_gradients_finite(illegal: float) -> None:
    logits = torch.tensor([[0.5, illegal, 1.0]], requires_grad=True)
    targets = torch.tensor([[0.25, 0.0, 0.75]])
    loss = policy_cross_entropy(logits, targets)
    assert loss.item() == pytest.approx(policy_cross_entropy(logits[:, [0, 2]], targets[:, [0, 2]]).item())
    loss.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] == 0


def test_steps_past_the_end_have_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    values = torch.zeros(2, 2, requires_grad=True)
    policy = torch.tensor([[1.0, 0, 0], [0.0, 0, 0]])
    losses = compute_losses(
        logits, values, policy, torch.tensor([[1.0, -1], [0, 0]]), torch.tensor([1.0, 0]), value_weight=1.0
    )
    losses.total.backward()
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == values.grad[1].abs().sum() == 0
    assert losses.policy_loss.item() == pytest.approx(math.log(3))


def test_all_masked_is_zero_not_nan() -> None:
    zero = torch.zeros(2, 2)
    assert compute_losses(zero, zero, zero, zero, torch.zeros(2), value_weight=1.0).total.item() == 0


def test_a_row_without_a_policy_counts_for_the_value_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    policy_logits, value_logits = torch.randn(4, 5, generator=generator), torch.randn(4, 2, generator=generator)
    policy = torch.softmax(torch.randn(4, 5, generator=generator), -1)
    values = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
    known = torch.tensor([1.0, 0.0, 1.0, 0.0])
    found = compute_losses(policy_logits, value_logits, policy * known[:, None], values, torch.ones(4), value_weight=1)
    searched = compute_losses(
        policy_logits[::2], value_logits[::2], policy[::2], values[::2], torch.ones(2), value_weight=1
    )
    every = compute_losses(policy_logits, value_logits, policy, values, torch.ones(4), value_weight=1)
    assert found.policy_loss.item() == pytest.approx(searched.policy_loss.item())
    assert found.policy_kl.item() == pytest.approx(searched.policy_kl.item())
    assert found.value_loss.item() == pytest.approx(every.value_loss.item())


def test_perfect_net_has_no_kl_and_three_seats_work() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    policy = torch.softmax(logits, -1)
    losses = compute_losses(logits, logits, policy, value_from_logits(logits, 3), torch.ones(1), value_weight=1.0)
    assert losses.policy_kl.item() == pytest.approx(0, abs=1e-6)
    chances = win_probabilities(value_from_logits(logits, 3))[0]
    torch.testing.assert_close(chances, torch.sigmoid(logits[0]))
    entropies = -(chances * chances.log() + (1 - chances) * (1 - chances).log())
    assert losses.value_loss.item() == pytest.approx(entropies.mean().item(), rel=1e-5)
    # places: each seat is judged on its own
    expected = [-math.log(chances[0]), -0.4 * math.log(chances[1]) - 0.6 * math.log(1 - chances[1])]
    expected.append(-math.log(1 - chances[2]))
    loss = value_cross_entropy(logits, torch.tensor([[1.0, -0.2, -1.0]])).item()
    assert loss == pytest.approx(sum(expected) / 3, rel=1e-5)


@given(st.integers(2, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_unrolled_losses_match_plain_python(seats: int, batch: int, steps: int, seed: int) -> None:
    """The start once, the steps together once; past the end only value and reward count, and both are 0; nothing counts
    where the unroll is cut off."""
    rng = np.random.default_rng(seed)
    logits, value_logits = rng.normal(size=(batch, steps + 1, 3)), rng.normal(size=(batch, steps + 1, seats))
    policy = rng.dirichlet(np.ones(3), (batch, steps + 1))
    values = rng.uniform(-1, 1, (batch, steps + 1, seats))
    if seats == 2:
        values[..., 1] = -values[..., 0]
    rewards, outcome = rng.uniform(-1, 1, (2, batch, steps, seats))
    similarity, weights = rng.uniform(-1, 1, (batch, steps)), rng.uniform(0.5, 2, batch)
    weights /= weights.mean()
    mask = (np.arange(steps + 1) <= rng.integers(0, steps + 1, batch)[:, None]).astype(float)
    unrolled = (np.arange(steps) < rng.integers(0, steps + 2, batch)[:, None]).astype(float)
    mask[:, 1:] *= unrolled

    def value_loss(b: int, u: int) -> float:
        chances = (values[b, u] + 1) / 2
        if seats == 2:
            return -sum(p * math.log(w) for p, w in zip(chances, _softmax(value_logits[b, u].tolist()), strict=True))
        sigmoids = 1 / (1 + np.exp(-value_logits[b, u]))
        return float(np.mean(-chances * np.log(sigmoids) - (1 - chances) * np.log(1 - sigmoids)))

    def policy_loss(b: int, u: int) -> float:
        return -sum(p * math.log(w) for p, w in zip(policy[b, u], _softmax(logits[b, u].tolist()), strict=True))

    start = sum(weights[b] * (policy_loss(b, 0) + 0.5 * value_loss(b, 0)) for b in range(batch)) / weights.sum()
    later = reward = consistency = 0.0
    for b in range(batch):
        for u in range(1, steps + 1):
            part = weights[b] / (batch * steps)
            later += part * (mask[b, u] * policy_loss(b, u) + unrolled[b, u - 1] * 0.5 * value_loss(b, u))
            reward += part * unrolled[b, u - 1] * float(((rewards[b, u - 1] - outcome[b, u - 1]) ** 2).sum())
            consistency += part * mask[b, u] * (1 - similarity[b, u - 1])

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.float32)

    losses = compute_unrolled_losses(
        Unrolled(tensor(logits), tensor(value_logits), tensor(rewards), tensor(similarity)),
        *(tensor(array) for array in (policy, values, outcome, mask, unrolled, weights)),
        value_weight=0.5,
        reward_weight=3.0,
        consistency_weight=2.0,
    )
    assert losses.total.item() == pytest.approx(start + later + 3 * reward + 2 * consistency, rel=1e-4)
    assert losses.reward_loss.item() == pytest.approx(reward, rel=1e-4, abs=1e-6)
    assert losses.consistency_loss.item() == pytest.approx(consistency, rel=1e-4, abs=1e-6)


def test_a_cut_changes_nothing_but_its_own_steps() -> None:
    """Bit for bit: with ``unrolled`` of ones the losses are those without it, and a policy of zeros costs nothing."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    out = Unrolled(random(3, 4, 5), random(3, 4, 2), random(3, 3, 2), random(3, 3).clamp(-1, 1))
    policy, values = torch.softmax(random(3, 4, 5), -1), random(3, 4, 2).clamp(-1, 1)
    rewards, mask, weights = random(3, 3, 2), torch.ones(3, 4), torch.tensor([0.5, 1.5, 1.0])

    def total(unrolled: torch.Tensor, mask: torch.Tensor, policy: torch.Tensor) -> torch.Tensor:
        options = {"value_weight": 1.0, "reward_weight": 1.0, "consistency_weight": 0.0}
        return compute_unrolled_losses(out, policy, values, rewards, mask, unrolled, weights, **options).total

    cut = torch.ones(3, 3)
    cut[1, 1:] = 0
    cut_mask = torch.cat((torch.ones(3, 1), cut), 1)
    missing = total(torch.ones(3, 3), mask, policy) - total(cut, cut_mask, policy)
    parts = policy_cross_entropy(out.policy_logits[:, 1:], policy[:, 1:])
    parts = parts + value_cross_entropy(out.value_logits[:, 1:], values[:, 1:])
    parts = parts + (out.rewards - rewards).square().sum(-1)
    assert missing.item() == pytest.approx((parts[1, 1:].sum() * 1.5 / 9).item(), rel=1e-4)
    hidden = policy.clone()
    hidden[2, 3] = 0
    mask[2, 3] = 0
    assert total(torch.ones(3, 3), mask, policy).equal(total(torch.ones(3, 3), torch.ones(3, 4), hidden))
