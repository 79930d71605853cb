"""The initial weights of a run, before there is a learner, and later when it has long gone on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hexpipe.config import Settings, Shapes
from hexpipe.errors import CheckpointError
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.factory import Weights, build_net, net_weights
from hexpipe.roles.segments import Start


def first_weights(settings: Settings, shapes: Shapes, start: Start) -> tuple[int, Weights]:
    """Return (training steps, weights for play) at a run's start: those that the `Learner` will begin with.

    They are ready much sooner than a Learner, whose optimizer takes seconds to import: servers and generators wait for
    them.
    """
    if start.resume is not None:
        checkpoint = load_checkpoint(start.resume, groups=("model", "ema"))
        return checkpoint.step, checkpoint.play_weights
    if start.init_from is not None:
        return 0, load_checkpoint(start.init_from, groups=("model", "ema")).play_weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return 0, net_weights(build_net(settings.net, shapes))


def weights_of_step_0(settings: Settings, shapes: Shapes, meta: Mapping[str, Any]) -> Weights:
    """Return the initial weights of the run whose later checkpoint has ``meta``.

    CheckpointError where it does not tell, or the checkpoint that the run was started from is gone.
    """
    match meta.get("first_weights"):
        case {"seed": int(seed)} if 0 <= seed < 2**32:
            return first_weights(settings.model_copy(update={"seed": seed}), shapes, Start())[1]
        case {"checkpoint": str(path)}:
            return first_weights(settings, shapes, Start(init_from=Path(path)))[1]
    raise CheckpointError("nothing says what this run began with", kind="missing")
