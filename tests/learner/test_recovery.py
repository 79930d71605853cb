"""Training that breaks goes back to a checkpoint, and ends where that does not help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hexpipe.errors import DivergedError
from hexpipe.learner.learner import Learner
from hexpipe.learner.recovery import CHECK_EVERY, GOOD_STEPS, MOST_RECOVERIES, Recovery
from hexpipe.nets.checkpoints import list_checkpoints
from tests.learner.test_learner import SHAPES, _batch, _settings


def bad_batch() -> dict[str, np.ndarray]:
    batch = _batch(0)
    batch["values"][0] = np.nan
    return batch


def steps_until_back(learner: Learner, recovery: Recovery, batch: dict[str, np.ndarray]) -> int:
    for step in range(1, 3 * CHECK_EVERY):
        learner.step(batch)
        if recovery.check():
            return step
    raise AssertionError("training did not go back")


def test_one_bad_batch_is_skipped_and_no_more(tmp_path: Path) -> None:
    learner = Learner(_settings(), SHAPES)
    recovery = Recovery(learner, tmp_path)
    for step in range(4 * CHECK_EVERY):
        learner.step(bad_batch() if step % 5 == 0 else _batch(step))
        assert not recovery.check()
        assert learner.healthy == (step % 5 > 0)
    assert recovery.count == 0
    assert learner.steps == 4 * CHECK_EVERY


def test_broken_weights_go_back_and_steps_count_on(tmp_path: Path) -> None:
    learner = Learner(_settings(), SHAPES)
    recovery = Recovery(learner, tmp_path)
    for step in range(5):
        learner.step(_batch(step))
    learner.save(tmp_path)
    good = [tensor.detach().clone() for tensor in learner.net.parameters()]
    for parameter in learner.net.parameters():
        parameter.data.fill_(3e38)
    assert CHECK_EVERY <= steps_until_back(learner, recovery, _batch(9)) < 2 * CHECK_EVERY
    torch.testing.assert_close([tensor.detach() for tensor in learner.net.parameters()], good, rtol=0, atol=0)
    assert learner.healthy
    assert learner.steps > CHECK_EVERY
    losses = learner.step(_batch(9))
    assert losses["skipped_steps"] == 0
    assert learner.healthy


def test_the_newest_checkpoint_is_taken(tmp_path: Path) -> None:
    learner = Learner(_settings(), SHAPES)
    for step in range(3):
        learner.step(_batch(step))
        learner.save(tmp_path)
    newest = learner.ema_weights()
    steps_until_back(learner, Recovery(learner, tmp_path), bad_batch())
    assert all(np.array_equal(newest[name], now) for name, now in learner.ema_weights().items())
    assert len(list_checkpoints(tmp_path)) == 3


def test_what_does_not_recover_is_an_error(tmp_path: Path) -> None:
    learner = Learner(_settings(), SHAPES)
    recovery = Recovery(learner, tmp_path)
    with pytest.raises(DivergedError, match="before there was a checkpoint"):
        steps_until_back(learner, recovery, bad_batch())
    learner = Learner(_settings(), SHAPES)
    recovery = Recovery(learner, tmp_path)
    learner.step(_batch(0))
    learner.save(tmp_path)
    for _ in range(MOST_RECOVERIES):
        steps_until_back(learner, recovery, bad_batch())
    with pytest.raises(DivergedError, match=r"lower learner\.learning_rate"):
        steps_until_back(learner, recovery, bad_batch())


def test_what_was_long_ago_is_forgotten(tmp_path: Path) -> None:
    learner = Learner(_settings(), SHAPES)
    recovery = Recovery(learner, tmp_path)
    learner.step(_batch(0))
    learner.save(tmp_path)
    for _ in range(MOST_RECOVERIES + 2):
        steps_until_back(learner, recovery, bad_batch())
        learner.steps += GOOD_STEPS
    assert recovery.count == MOST_RECOVERIES + 2
