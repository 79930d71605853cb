from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hexpipe.config import Settings, Shapes, load_settings, override_settings
from hexpipe.errors import CheckpointError
from hexpipe.learner.learner import FINAL_RATE, Learner, learning_rate
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint, save_checkpoint
from tests.refusals import refused

SHAPES = Shapes(board_size=3, num_actions=9, num_seats=2, code_length=9)


def _settings(**overrides: object) -> Settings:
    return load_settings("quick", {"net.blocks": 1, "net.channels": 8, "net.value_hidden": 8, **overrides})


def _batch(seed: int, size: int = 8) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (size, 9)).astype(np.int8)
    codes[:, 4] = 0
    policy = (codes == 0).astype(np.float32)
    value = rng.uniform(-1, 1, size).astype(np.float32)
    return {
        "codes": codes,
        "policy": (policy / policy.sum(1, keepdims=True))[:, None],
        "values": np.stack([value, -value], 1)[:, None],
        "mask": np.ones((size, 1), np.float32),
    }


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_learning_rate_warms_up_and_falls() -> None:
    assert learning_rate(1.0, 100, 0, 0.0) == pytest.approx(0.01)
    assert learning_rate(1.0, 100, 99, 0.0) == learning_rate(1.0, 100, 5000, 0.0) == pytest.approx(1.0)
    assert learning_rate(1.0, 0, 0, 0.0) == 1.0
    assert learning_rate(1.0, 0, 0, 0.5) == pytest.approx((1 + FINAL_RATE) / 2)
    assert learning_rate(1.0, 0, 0, 1.0) == learning_rate(1.0, 0, 0, 1.7) == pytest.approx(FINAL_RATE)


def test_a_fresh_net_depends_on_the_seed_only() -> None:
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    first = Learner(_settings(seed=3), SHAPES).ema_weights()
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(1)
    assert _same(first, Learner(_settings(seed=3), SHAPES).ema_weights())
    assert not _same(first, Learner(_settings(seed=4), SHAPES).ema_weights())


def test_average_follows_the_weights() -> None:
    learner = Learner(_settings(**{"learner.ema_decay": 0.5, "learner.warmup_steps": 0}), SHAPES)
    average = {name: value.detach().numpy().copy() for name, value in learner.net.state_dict().items()}
    for step in range(1, 20):
        learner.step(_batch(step))
        decay = min(0.5, step / (step + 9))
        for name, value in learner.net.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * value.numpy()
    for name, value in learner.ema_weights().items():
        assert value.flags.c_contiguous
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, average[name], rtol=1e-4, atol=1e-6)


def test_progress_by_steps_or_given() -> None:
    learner = Learner(_settings(**{"limits.steps": 10, "learner.warmup_steps": 0}), SHAPES)
    learner.step(_batch(0))
    assert learner.learning_rate == pytest.approx(learner.settings.learner.learning_rate)
    learner.step(_batch(0), progress=1.0)
    assert learner.learning_rate == pytest.approx(learner.settings.learner.learning_rate * FINAL_RATE)


def test_save_and_restore_go_on_bit_for_bit(tmp_path: Path) -> None:
    straight = Learner(_settings(), SHAPES)
    for seed in range(6):
        straight.step(_batch(seed))
        if seed == 2:
            straight.save(tmp_path, {"pacing": {"positions": 5}})
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.step == 3
    assert checkpoint.meta["pacing"] == {"positions": 5}
    resumed = Learner(_settings(), SHAPES)
    resumed.restore(checkpoint)
    assert resumed.steps == 3
    for seed in range(3, 6):
        resumed.step(_batch(seed))
    assert _same(straight.ema_weights(), resumed.ema_weights())
    for a, b in zip(straight.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_old_checkpoints_are_deleted(tmp_path: Path) -> None:
    learner = Learner(_settings(**{"learner.keep_checkpoints": 2}), SHAPES)
    for seed in range(4):
        learner.step(_batch(seed))
        learner.save(tmp_path)
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]


def test_init_from_takes_weights_of_another_board_size(tmp_path: Path) -> None:
    source = Learner(_settings(), SHAPES)
    source.step(_batch(0))
    source.save(tmp_path)
    bigger = Learner(_settings(seed=5), Shapes(board_size=4, num_actions=16, num_seats=2, code_length=16))
    bigger.init_from(load_checkpoint(tmp_path))
    assert _same(source.ema_weights(), bigger.ema_weights())
    assert bigger.steps == 0


def test_restore_refuses_what_does_not_fit(tmp_path: Path) -> None:
    learner = Learner(_settings(), SHAPES)
    learner.step(_batch(0))
    learner.save(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    wider = override_settings(_settings(), {"net.channels": 16})
    with refused(CheckpointError, kind="foreign"):
        Learner(wider, SHAPES).restore(checkpoint)
    save_checkpoint(tmp_path / "bare", {"ema": checkpoint.groups["ema"]}, checkpoint.meta)
    with refused(CheckpointError, "model, optimizer", kind="missing"):
        learner.restore(load_checkpoint(tmp_path / "bare"))
