"""Losses of threats and focus: against hand-made numbers, in a training step, and learned in a few seconds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.config import LearnerSettings, NetSettings, Shapes
from hexpipe.learner.losses import (
    Losses,
    add_focus_loss,
    add_threat_loss,
    focus_cross_entropy,
    threat_cross_entropy,
    unpack_levels,
)
from hexpipe.learner.optimizer import Optimizer, make_optimizer
from hexpipe.learner.train_step import train_step
from hexpipe.nets.factory import build_net

CPU = torch.device("cpu")
SHAPES = {
    players: Shapes(15, 49, players, 49 * (players + 2), view_size=7, thumbnail=True, threats=True)
    for players in (2, 3)
}
NOTHING = Losses(*[torch.zeros(())] * 9)


def log_loss(logit: float, target: float) -> float:
    chance = 1 / (1 + math.exp(-logit))
    return -target * math.log(chance) - (1 - target) * math.log(1 - chance)


def test_levels_are_the_first_so_many_of_three() -> None:
    # seat 0 level 2, seat 1 level 0, seat 2 level 3; then 1, 3, 0
    packed = torch.tensor([[2 | 0 << 2 | 3 << 4, 1 | 3 << 2]], dtype=torch.uint8)
    assert unpack_levels(packed, 3).tolist() == [[
        [[1, 1, 0], [0, 0, 0], [1, 1, 1]],
        [[1, 0, 0], [1, 1, 1], [0, 0, 0]],
    ]]  # fmt: skip
    assert unpack_levels(packed, 2).tolist() == [[[[1, 1, 0], [0, 0, 0]], [[1, 0, 0], [1, 1, 1]]]]


def test_threat_loss_by_hand() -> None:
    logits = torch.tensor([[[2.0, -1.0, 0.0], [0.5, 0.5, -3.0]]])
    loss = threat_cross_entropy(logits, torch.tensor([1 | 2 << 2], dtype=torch.uint8))
    wanted = [(2.0, 1), (-1.0, 0), (0.0, 0), (0.5, 1), (0.5, 1), (-3.0, 0)]
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(sum(log_loss(*pair) for pair in wanted) / 6, rel=1e-6)


def test_focus_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(2), math.log(5)], [1.0, 1.0, 1.0]])
    loss = focus_cross_entropy(logits, torch.tensor([2, 0], dtype=torch.int16))
    assert loss.tolist() == pytest.approx([math.log(8 / 5), math.log(3)], rel=1e-6)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(2, 3), st.integers(0, 2**32 - 1))
def test_steps_count_as_those_of_the_policy_do(batch: int, steps: int, seats: int, seed: int) -> None:
    """The start once, the later steps together once; samples by their weights, positions by the mask."""
    rng = np.random.default_rng(seed)
    threats, focus = rng.normal(size=(batch, steps, seats, 3)), rng.normal(size=(batch, steps, 9))
    levels = sum(rng.integers(0, 4, (batch, steps)) << 2 * seat for seat in range(seats))
    buckets = rng.integers(-1, 9, (batch, steps))
    counts = (np.arange(steps) < rng.integers(1, steps + 1, batch)[:, None]) * rng.uniform(0.5, 2, batch)[:, None]

    def threat(b: int, u: int) -> float:
        parts = [
            log_loss(threats[b, u, seat, level], float((levels[b, u] >> 2 * seat) % 4 > level))
            for seat in range(seats)
            for level in range(3)
        ]
        return sum(parts) / len(parts)

    def look(b: int, u: int) -> float:
        return math.log(np.exp(focus[b, u]).sum()) - focus[b, u, buckets[b, u]]

    for each, add, logits, targets, counted in (
        (threat, add_threat_loss, threats, torch.tensor(levels.astype(np.uint8)), counts),
        (look, add_focus_loss, focus, torch.tensor(buckets.astype(np.int16)), counts * (buckets >= 0)),
    ):
        start = sum(counted[b, 0] * each(b, 0) for b in range(batch) if counted[b, 0]) / max(1.0, counted[:, 0].sum())
        later = sum(counted[b, u] * each(b, u) for b in range(batch) for u in range(1, steps) if counted[b, u])
        total = start + later / (batch * max(1, steps - 1))
        losses = add(NOTHING, torch.tensor(logits), targets, torch.tensor(counts, dtype=torch.float32), 3.0)
        assert losses.total.item() == pytest.approx(3 * total, rel=1e-4, abs=1e-6)
        own = losses.threat_loss if add is add_threat_loss else losses.focus_loss
        assert own.item() == pytest.approx(start, rel=1e-4, abs=1e-6)
        assert sum(part.abs().item() for part in losses[1:]) == pytest.approx(own.item(), abs=1e-6)


def test_what_does_not_count_has_no_gradient() -> None:
    focus, threats = torch.zeros(3, 2, 9, requires_grad=True), torch.zeros(3, 2, 2, 3, requires_grad=True)
    counts = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    buckets = torch.tensor([[4, -1], [-1, 3], [0, 8]], dtype=torch.int16)
    add_focus_loss(NOTHING, focus, buckets, counts, 1.0).total.backward()
    counted = [[True, False], [False, False], [True, True]]
    assert (focus.grad.abs().sum(-1) > 0).tolist() == counted
    add_threat_loss(NOTHING, threats, torch.zeros(3, 2, dtype=torch.uint8), counts, 1.0).total.backward()
    assert (threats.grad.abs().sum((-2, -1)) > 0).tolist() == [[True, True], [True, False], [True, True]]
    none = add_focus_loss(NOTHING, focus, torch.full((3, 2), -1, dtype=torch.int16), counts, 1.0)
    assert none.total.item() == 0


def positions(players: int, count: int, seed: int) -> dict[str, np.ndarray]:
    """A batch of 4 in a row on 15x15 through 7x7: each seat has one chain of 0 to 3 stones, somewhere in a row of its
    own, and one bucket of the thumbnail is full, where the next move is."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((count, SHAPES[players].code_length), np.int8)
    levels = rng.integers(0, 4, (count, players))
    for b in range(count):
        for seat, row in enumerate(rng.permutation(7)[:players]):
            first = 7 * row + rng.integers(0, 8 - levels[b, seat])
            codes[b, first : first + levels[b, seat]] = 1 + seat
    buckets = rng.integers(0, 49, count)
    codes[:, 98:147] = rng.integers(0, 30, (count, 49))
    codes[np.arange(count), 98 + buckets] = 127
    legal = codes[:, :49] == 0
    return {
        "codes": codes,
        "policy": (legal / legal.sum(1, keepdims=True)).astype(np.float32)[:, None],
        "values": np.zeros((count, 1, players), np.float32),
        "mask": np.ones((count, 1), np.float32),
        "threats": (levels << 2 * np.arange(players)).sum(1).astype(np.uint8)[:, None],
        "focus": buckets.astype(np.int16)[:, None],
    }


def test_a_step_adds_both_terms_by_their_weights() -> None:
    batch = positions(3, 12, 0)
    without = {name: part for name, part in batch.items() if name not in ("threats", "focus")}
    found = {}
    for name, given_batch, weights in (
        ("none", without, (0.1, 0.25)),
        ("both", batch, (0.1, 0.25)),
        ("other", batch, (2.0, 0.0)),
    ):
        torch.manual_seed(0)
        net = build_net(NetSettings(blocks=1, channels=8), SHAPES[3])
        with torch.no_grad():
            for parameter in net.side.parameters():
                parameter.normal_(std=0.3)
        learner = LearnerSettings(threat_weight=weights[0], focus_weight=weights[1])
        found[name] = dict(train_step(net, make_optimizer(net, 0.01, 0.0), given_batch, CPU, learner))
    assert found["none"]["threat_loss"] == found["none"]["focus_loss"] == 0
    threat, focus = found["both"]["threat_loss"], found["both"]["focus_loss"]
    assert min(threat, focus) > 0.3
    assert found["both"]["loss"] == pytest.approx(found["none"]["loss"] + 0.1 * threat + 0.25 * focus, rel=1e-5)
    assert found["other"]["loss"] == pytest.approx(found["none"]["loss"] + 2 * threat, rel=1e-5)
    assert found["both"]["policy_loss"] == found["none"]["policy_loss"]


def unrolled(batch: dict[str, np.ndarray], players: int, steps: int) -> dict[str, np.ndarray]:
    """The same positions with ``steps`` more, each of which has the targets of the start."""
    count = len(batch["codes"])
    more = {name: np.repeat(part, steps + 1, axis=1) for name, part in batch.items() if name != "codes"}
    return {
        **more,
        "codes": batch["codes"],
        "actions": np.zeros((count, steps), np.int16),
        "rewards": np.zeros((count, steps, players), np.float32),
        "unrolled": np.ones((count, steps), np.float32),
    }


@pytest.mark.parametrize(("dynamics", "steps"), [(0, 130), (1, 80)])
def test_both_heads_learn_what_can_be_seen(dynamics: int, steps: int) -> None:
    """Well below the entropy of the best guess that looks at nothing, on positions that were not trained on."""
    torch.manual_seed(0)
    settings = NetSettings(blocks=2, channels=16, value_hidden=16, dynamics_blocks=dynamics)
    learner = LearnerSettings(threat_weight=1.0, focus_weight=1.0, consistency_weight=0.0)
    net = build_net(settings, SHAPES[2])
    optimizer = make_optimizer(net, 0.01, 1e-4)

    def losses(batch: dict[str, np.ndarray], trainer: Optimizer) -> dict[str, float]:
        return dict(train_step(net, trainer, unrolled(batch, 2, 1) if dynamics else batch, CPU, learner))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for step in range(steps):
            losses(positions(2, 64, 1 + step), optimizer)
        held_out = losses(positions(2, 400, 0), make_optimizer(net, 0.0, 0.0))
    finally:
        torch.set_num_threads(threads)
    entropy = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in (0.75, 0.5, 0.25)) / 3
    assert held_out["threat_loss"] < 0.3 * entropy
    assert held_out["focus_loss"] < 0.1 * math.log(49)
