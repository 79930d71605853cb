from __future__ import annotations

from pathlib import Path

import numpy as np

from hexpipe.config import Shapes, load_settings
from hexpipe.learner.learner import Learner
from hexpipe.pipeline.learner_main import first_weights
from hexpipe.pipeline.messages import Start

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
