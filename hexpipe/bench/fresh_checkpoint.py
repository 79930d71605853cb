"""A checkpoint of an untrained net, for benchmarks of what reads one."""

from __future__ import annotations

from pathlib import Path

import torch

from hexpipe.config import Settings
from hexpipe.games.factory import make_game
from hexpipe.nets.checkpoints import checkpoint_meta, save_checkpoint
from hexpipe.nets.factory import build_net, net_weights


def fresh_checkpoint(folder: Path, settings: Settings) -> Path:
    """Write a checkpoint of step 0 into ``folder``, its weights drawn from ``settings.seed``; returns its path."""
    shapes = make_game(settings.game).shapes
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        weights = net_weights(build_net(settings.net, shapes))
    return save_checkpoint(folder, {"model": weights, "ema": weights}, checkpoint_meta(settings, shapes, 0))
