from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hexpipe.config import Shapes, load_settings
from hexpipe.errors import CheckpointError
from hexpipe.learner.learner import Learner
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.roles.first_weights import first_weights, weights_of_step_0
from hexpipe.roles.segments import Start

SHAPES = Shapes(3, 9, 2, 9)


def same(first: object, second: object) -> bool:
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_first_weights_are_those_of_the_learner(tmp_path: Path) -> None:
    settings = load_settings("quick", {"net.blocks": 1, "net.channels": 8, "seed": 5})
    learner = Learner(settings, SHAPES)
    steps, weights = first_weights(settings, SHAPES, Start())
    assert steps == 0
    assert same(weights, learner.ema_weights())
    other = load_settings("quick", {"net.blocks": 1, "net.channels": 8, "seed": 6})
    assert not same(weights, first_weights(other, SHAPES, Start())[1])

    learner.steps = 12
    path = learner.save(tmp_path)
    steps, weights = first_weights(other, SHAPES, Start(resume=path))
    assert steps == 12
    assert same(weights, learner.ema_weights())
    steps, weights = first_weights(other, SHAPES, Start(init_from=path))
    assert steps == 0
    assert same(weights, learner.ema_weights())


def test_a_checkpoint_knows_the_weights_of_step_0(tmp_path: Path) -> None:
    """Of a fresh net, of one that began with another's weights, after a resume; not where they are gone, or a lie."""
    settings = load_settings("quick", {"net.blocks": 1, "net.channels": 8, "seed": 5})
    fresh = Learner(settings, SHAPES)
    begun = fresh.ema_weights()
    fresh.steps = 12
    path = fresh.save(tmp_path / "one")
    resumed = Learner(load_settings("quick", {"net.blocks": 1, "net.channels": 8, "seed": 6}), SHAPES)
    resumed.restore(load_checkpoint(path))
    resumed.steps = 30
    again = load_checkpoint(resumed.save(tmp_path / "one"))
    assert same(weights_of_step_0(resumed.settings, SHAPES, again.meta), begun)

    other = Learner(resumed.settings, SHAPES)
    other.init_from(again)
    meta = load_checkpoint(other.save(tmp_path / "two")).meta
    assert same(weights_of_step_0(settings, SHAPES, meta), again.play_weights)
    again.path.rename(tmp_path / "gone")
    for known in (meta, {}, {"first_weights": {"seed": -1}}, {"first_weights": {"checkpoint": 5}}):
        with pytest.raises(CheckpointError):
            weights_of_step_0(settings, SHAPES, known)
