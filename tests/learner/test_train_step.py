from __future__ import annotations

import numpy as np
import pytest
import torch

from hexpipe.config import Shapes, load_settings
from hexpipe.learner import train_step as train_step_module
from hexpipe.learner.optimizer import Optimizer, make_optimizer
from hexpipe.learner.train_step import (
    EXPLODED,
    METRICS,
    StepLosses,
    as_tensors,
    mean_losses,
    train_step,
    training_dtype,
)
from hexpipe.nets.factory import build_net

SHAPES = Shapes(board_size=3, num_actions=9, num_seats=2, code_length=9)
SETTINGS = load_settings("quick", {"net.blocks": 1, "net.channels": 8, "net.value_hidden": 8})
CPU = torch.device("cpu")


def make_batch(size: int = 16, seed: int = 0, unroll: int = 0) -> dict[str, np.ndarray]:
    """Positions whose best move and value follow from the first cell."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (size, 9)).astype(np.int8)
    codes[:, 8] = 0
    policy = np.zeros((size, unroll + 1, 9), np.float32)
    policy[:, 0, 8] = 1
    sign = np.where(codes[:, 0] == 1, 1.0, -1.0).astype(np.float32)
    values = np.zeros((size, unroll + 1, 2), np.float32)
    values[:, 0] = np.stack([sign, -sign], 1)
    mask = np.ones((size, unroll + 1), np.float32)
    mask[:, 1:] = 0
    return {"codes": codes, "policy": policy, "values": values, "mask": mask}


def _fresh() -> tuple[torch.nn.Module, Optimizer]:
    torch.manual_seed(0)
    net = build_net(SETTINGS.net, SHAPES)
    return net, make_optimizer(net, 0.01, 1e-4)


def test_training_learns_a_simple_rule() -> None:
    net, optimizer = _fresh()
    batch = make_batch(64)
    first = train_step(net, optimizer, batch, CPU, SETTINGS.learner)
    for _ in range(60):
        last = train_step(net, optimizer, batch, CPU, SETTINGS.learner)
    assert set(first) == set(METRICS)
    assert last["loss"] < 0.3 * first["loss"]
    assert last["value_sign_accuracy"] > 0.95
    assert last["policy_kl"] == pytest.approx(last["policy_loss"], abs=1e-5)  # one-hot targets have no entropy


@pytest.mark.parametrize("unroll", [0, 2])
def test_a_step_in_bfloat16_is_nearly_that_in_float32(unroll: int) -> None:
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        net, optimizer = _fresh()
        losses = train_step(net, optimizer, make_batch(64, unroll=unroll), CPU, SETTINGS.learner, dtype)
        assert {part.dtype for part in (*net.parameters(), *optimizer.tensors().values())} == {torch.float32}
        results.append(dict(losses))
    assert results[1]["loss"] == pytest.approx(results[0]["loss"], rel=0.01)
    assert results[1]["gradient_norm"] == pytest.approx(results[0]["gradient_norm"], rel=0.05)
    assert results[1] != results[0], "both in float32"


@pytest.mark.parametrize(
    ("wanted", "backbone", "device", "units", "dtype"),
    [
        ("auto", "resnet", "cpu", True, torch.bfloat16),
        ("auto", "resnet", "cpu", False, torch.float32),
        ("auto", "transformer", "cpu", True, torch.float32),
        ("auto", "transformer", "cuda", False, torch.bfloat16),
        ("float32", "resnet", "cuda", True, torch.float32),
        ("bfloat16", "transformer", "cpu", False, torch.bfloat16),
    ],
)
def test_what_a_net_is_trained_in(
    monkeypatch: pytest.MonkeyPatch, wanted: str, backbone: str, device: str, units: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(train_step_module, "has_bfloat16", lambda: units)
    settings = load_settings("quick", {"learner.dtype": wanted, "net.backbone": backbone})
    assert training_dtype(settings, torch.device(device)) == dtype


def test_numpy_tensor_and_unrolled_batches_are_alike() -> None:
    results = []
    for batch in (make_batch(), as_tensors(make_batch()), make_batch(unroll=3)):
        net, optimizer = _fresh()
        train_step(net, optimizer, batch, CPU, SETTINGS.learner)
        results.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    torch.testing.assert_close(results[0], results[2], rtol=0, atol=0)


def test_gradients_are_clipped() -> None:
    net, optimizer = _fresh()
    settings = SETTINGS.learner.model_copy(update={"gradient_clip": 1e-3})
    losses = train_step(net, optimizer, make_batch(), CPU, settings)
    norm = torch.sqrt(sum(p.grad.square().sum() for p in net.parameters()))
    assert losses["gradient_norm"] > 1e-2
    assert norm.item() == pytest.approx(1e-3, rel=1e-2)


def test_losses_are_read_once_and_late() -> None:
    losses = StepLosses(torch.arange(11.0))
    assert losses["policy_loss"] == 1.0
    losses.tensor.zero_()
    assert losses["gradient_norm"] == 9.0
    assert len(losses) == len(METRICS) == 11


def test_a_sample_of_weight_two_trains_like_two_samples() -> None:
    results = []
    batch = make_batch(8)
    twice = {name: np.concatenate([part, part[:4]]) for name, part in batch.items()}
    weights = np.array([2, 2, 2, 2, 1, 1, 1, 1], np.float32) * 8 / 12  # their mean is 1, as the sampler gives them
    for given in (twice, {**batch, "weights": weights}):
        net, optimizer = _fresh()
        losses = train_step(net, optimizer, given, CPU, SETTINGS.learner)
        results.append([losses[name] for name in METRICS])
    assert results[0] == pytest.approx(results[1], rel=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_step_without_a_finite_gradient_is_skipped(wrong: float) -> None:
    net, optimizer = _fresh()
    train_step(net, optimizer, make_batch(), CPU, SETTINGS.learner)
    before = _everything(net, optimizer)
    batch = make_batch()
    batch["values"][3, 0, 0] = wrong
    skipped = train_step(net, optimizer, batch, CPU, SETTINGS.learner)
    assert dict(skipped) == {name: float(name == "skipped_steps") for name in METRICS}
    torch.testing.assert_close(_everything(net, optimizer), before, rtol=0, atol=0)
    done = train_step(net, optimizer, make_batch(), CPU, SETTINGS.learner)
    assert done["skipped_steps"] == 0 < done["loss"]
    assert not torch.equal(_everything(net, optimizer)[0], before[0])


def test_a_step_whose_gradient_has_exploded_is_skipped() -> None:
    settings = SETTINGS.learner.model_copy(update={"gradient_clip": 1.0})
    net, optimizer = _fresh()
    norm = train_step(net, optimizer, make_batch(), CPU, settings)["gradient_norm"]
    for clip, skipped in ((norm / EXPLODED * 1.01, 0), (norm / EXPLODED * 0.99, 1)):
        net, optimizer = _fresh()
        settings = SETTINGS.learner.model_copy(update={"gradient_clip": clip})
        assert train_step(net, optimizer, make_batch(), CPU, settings)["skipped_steps"] == skipped


def test_means_leave_skipped_steps_out() -> None:
    done, skipped = torch.arange(float(len(METRICS))), torch.zeros(len(METRICS))
    done[-1], skipped[-1] = 0, 1
    means = mean_losses(done + done + skipped, 3)
    assert means == {**dict(zip(METRICS, done.tolist(), strict=True)), "skipped_steps": 1}
    assert mean_losses(skipped + skipped, 2) == {"skipped_steps": 2}


def _everything(net: torch.nn.Module, optimizer: Optimizer) -> list[torch.Tensor]:
    state = [*optimizer.tensors().values()]
    return [tensor.detach().clone() for tensor in [*net.parameters(), *state]]
