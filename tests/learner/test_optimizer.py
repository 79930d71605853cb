"""The optimiser against torch's own class and a plain form of Muon, its state, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hexpipe.config import Shapes, load_settings
from hexpipe.errors import CheckpointError
from hexpipe.learner.optimizer import Optimizer, make_optimizer, orthogonal
from hexpipe.nets.checkpoints import checkpoint_meta, load_checkpoint, save_checkpoint
from hexpipe.nets.factory import Net, build_net, net_weights
from tests.refusals import refused

SHAPES = Shapes(board_size=5, num_actions=25, num_seats=2, code_length=25)
SETTINGS = load_settings("quick", {"net.blocks": 1, "net.channels": 8, "net.value_hidden": 8})


def fresh(channels: int = 8) -> Net:
    torch.manual_seed(0)
    return build_net(SETTINGS.net.model_copy(update={"channels": channels}), SHAPES)


def loss_of(net: Net, step: int) -> torch.Tensor:
    codes = np.random.default_rng(step).integers(0, 3, (16, 25)).astype(np.int8)  # varied: no gradient lacks a rank
    policy, value = net(torch.from_numpy(codes))
    return policy.clamp(min=-10).square().sum() + (value - 1).square().sum()


def trained(optimizer: Optimizer, net: Net, steps: int) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(net, step).backward()
        optimizer.step()


def test_its_steps_are_those_of_torch() -> None:
    ours, theirs = fresh(), fresh()
    optimizer = make_optimizer(ours, 1e-2, 1e-3)
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim <= 1]
    reference = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 1e-3}, {"params": others, "weight_decay": 0.0}], lr=1e-2, fused=True
    )
    for step in range(5):
        optimizer.learning_rate = reference.param_groups[0]["lr"] = reference.param_groups[1]["lr"] = 1e-2 / (1 + step)
        for net, own in ((ours, optimizer), (theirs, reference)):
            own.zero_grad()
            loss_of(net, step).backward()
            own.step()
    for name, array in net_weights(ours).items():
        np.testing.assert_array_equal(array, net_weights(theirs)[name], err_msg=name)


def test_muon_moves_convolutions_alike_in_any_layout() -> None:
    plain, channels_last = fresh(), fresh().to(memory_format=torch.channels_last)
    for net in (plain, channels_last):
        trained(make_optimizer(net, 1e-2, 1e-3, muon_rate=0.05), net, 3)
    after = net_weights(channels_last)
    for name, array in net_weights(plain).items():
        np.testing.assert_allclose(after[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


def test_orthogonal_matrices_have_singular_values_near_1_and_the_same_directions() -> None:
    torch.manual_seed(1)
    for rows, columns in ((8, 72), (72, 8), (16, 16)):
        matrices = torch.randn(5, rows, columns) * torch.logspace(-3, 3, 5)[:, None, None]
        found = orthogonal(matrices)
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.3, "a square one may have a direction that is next to none"
        assert values.max() < 1.3
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        nearest = left @ right
        alike = torch.nn.functional.cosine_similarity(found.flatten(1), nearest.flatten(1))
        assert alike.min() > 0.95


class Smooth(nn.Module):
    """A net with the names of one of ours, whose gradients have no kinks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Module()
        self.trunk.stem = nn.Linear(6, 8)
        layers = [nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 8)]
        self.trunk.blocks = nn.ModuleList(layers)
        self.matrices = [layer.weight for layer in layers]
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.trunk.stem(x)
        for block in self.trunk.blocks:
            x = torch.tanh(block(x))
        out: torch.Tensor = self.head(x)
        return out


def test_muon_moves_the_matrices_of_the_trunk_and_adamw_all_else() -> None:
    """A plain form of the paper's algorithm, one matrix at a time."""
    ours, theirs = Smooth(), Smooth()
    optimizer = make_optimizer(ours, 1e-2, 1e-3, muon_rate=0.05)
    hidden = theirs.matrices
    rest = [p for p in theirs.parameters() if not any(p is matrix for matrix in hidden)]
    reference = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": 1e-3},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=1e-2,
        fused=True,
    )
    momenta = [torch.zeros_like(p) for p in hidden]
    inputs = torch.randn(64, 6)
    for _ in range(4):
        for net in (ours, theirs):
            net.zero_grad()
            (net(inputs) - inputs[:, :2]).square().mean().backward()
        optimizer.step()
        for momentum, matrix in zip(momenta, hidden, strict=True):
            momentum.mul_(0.95).add_(0.05 * matrix.grad)
            update = orthogonal((0.05 * matrix.grad + 0.95 * momentum)[None])[0]
            with torch.no_grad():
                matrix.mul_(1 - 0.05 * 1e-3).sub_(0.05 * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5 * update)
        reference.step()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("muon_rate", [0.0, 0.05])
def test_a_skipped_step_changes_nothing(muon_rate: float) -> None:
    net = fresh()
    optimizer = make_optimizer(net, 1e-2, 1e-3, muon_rate)
    trained(optimizer, net, 2)
    before = [tensor.clone() for tensor in (*net.parameters(), *optimizer.tensors().values())]
    loss_of(net, 0).backward()
    wrong = net.trunk.blocks[0].conv1.weight.grad
    assert wrong is not None
    wrong[0, 0, 0, 0] = float("nan")
    optimizer.step(skip=torch.tensor(True))
    for old, new in zip(before, (*net.parameters(), *optimizer.tensors().values()), strict=True):
        assert torch.equal(old, new)
    wrong[0, 0, 0, 0] = 0.0
    optimizer.step(skip=torch.tensor(False))
    now = dict(net.named_parameters())
    for number, name in enumerate(now):
        if name in ("trunk.stem.weight", "trunk.blocks.0.conv1.weight"):
            assert not torch.equal(before[number], now[name])


def test_parameters_without_a_gradient_have_no_state() -> None:
    net = fresh()
    net.value.hidden.weight.requires_grad_(False)
    optimizer = make_optimizer(net, 1e-2, 1e-3)
    trained(optimizer, net, 1)
    frozen = next(i for i, p in enumerate(optimizer.parameters) if p is net.value.hidden.weight)
    numbers = {int(name.partition(".")[0]) for name in optimizer.tensors()}
    assert numbers == {*range(len(optimizer.parameters))} - {frozen}


@pytest.mark.parametrize("muon_rate", [0.0, 0.05])
def test_training_goes_on_as_if_never_stopped(tmp_path: Path, muon_rate: float) -> None:
    straight = fresh()
    optimizer = make_optimizer(straight, 1e-2, 1e-3, muon_rate)
    trained(optimizer, straight, 3)
    groups = {"model": net_weights(straight), "optimizer": optimizer.tensors()}
    loaded = load_checkpoint(save_checkpoint(tmp_path, groups, checkpoint_meta(SETTINGS, SHAPES, 3)))
    resumed = fresh()
    resumed.load_state_dict({name: torch.from_numpy(array) for name, array in loaded.groups["model"].items()})
    other = make_optimizer(resumed, 1e-2, 1e-3, muon_rate)
    other.restore(loaded.groups["optimizer"])
    for optim, net in ((optimizer, straight), (other, resumed)):
        trained(optim, net, 3)
    for name, array in net_weights(straight).items():
        np.testing.assert_array_equal(array, net_weights(resumed)[name])


def test_parameters_that_change_their_method_begin_anew_and_the_others_go_on() -> None:
    net = fresh()
    optimizer = make_optimizer(net, 1e-2, 1e-3)
    trained(optimizer, net, 2)
    tensors = {name: tensor.numpy() for name, tensor in optimizer.tensors().items()}
    by_muon = make_optimizer(net, 1e-2, 1e-3, muon_rate=0.05)
    by_muon.restore(tensors)
    kept = by_muon.tensors()
    assert 0 < len(kept) < len(tensors)
    assert all(np.array_equal(tensors[name], tensor) for name, tensor in kept.items())
    trained(by_muon, net, 1)
    assert {name.partition(".")[2] for name in by_muon.tensors()} == {"step", "exp_avg", "exp_avg_sq", "momentum"}
    optimizer.restore({name: tensor.numpy() for name, tensor in by_muon.tensors().items()})
    assert optimizer.tensors().keys() == kept.keys()


def test_restored_averages_have_the_layout_of_their_parameter() -> None:
    net = fresh()
    optimizer = make_optimizer(net, 1e-2, 1e-3)
    trained(optimizer, net, 1)
    tensors = {name: tensor.numpy() for name, tensor in optimizer.tensors().items()}
    other = fresh().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    restored = make_optimizer(other, 1e-2, 1e-3)
    restored.restore(tensors)
    for number, parameter in enumerate(restored.parameters):
        assert restored.tensors()[f"{number}.exp_avg"].stride() == parameter.stride()


@pytest.mark.parametrize("odd", ["999.exp_avg", "00.exp_avg", "-1.exp_avg", "\u0661.exp_avg", "exp_avg", "0.velocity"])
def test_a_state_of_another_net_is_refused(odd: str) -> None:
    net = fresh()
    optimizer = make_optimizer(net, 1e-2, 1e-3)
    trained(optimizer, net, 1)
    tensors = {name: tensor.numpy() for name, tensor in optimizer.tensors().items()}
    with refused(CheckpointError, kind="foreign"):
        make_optimizer(fresh(channels=16), 1e-2, 1e-3).restore(tensors)
    with refused(CheckpointError, odd, kind="foreign"):
        optimizer.restore({**tensors, odd: tensors["0.exp_avg"]})
    del tensors["0.step"]
    with refused(CheckpointError, kind="damaged"):
        optimizer.restore(tensors)


def test_no_process_loads_a_compiler() -> None:
    """torch.optim's classes import it in PyTorch 2.13.0: 80 MB."""
    code = """
import sys
import torch
import hexpipe.roles.server, hexpipe.nets.backend_latent
from hexpipe.learner.optimizer import make_optimizer
net = torch.nn.Linear(2, 2)
optimizer = make_optimizer(net, 0.1, 0.0)
net(torch.ones(2)).sum().backward()
optimizer.step()
sys.exit("torch._dynamo" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=280)
