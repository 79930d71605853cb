"""Checkpoints of small untrained nets whose answers differ from cell to cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hexpipe.config import load_settings
from hexpipe.games.factory import make_game
from hexpipe.nets.checkpoints import checkpoint_meta, save_checkpoint
from hexpipe.nets.factory import build_net, net_weights


def small_checkpoint(folder: Path, seed: int = 0, step: int = 7, **overrides: Any) -> Path:
    """A run folder with a checkpoint of ``step``; ``overrides`` are settings, dots written as two underscores.

    Nothing in it says what its run began with, as in those of 0.1.0.
    """
    small = {"game.board_size": 4, "net.blocks": 1, "net.channels": 8, "search.num_simulations": 16}
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    settings = load_settings("quick", {**small, "inference.backend": "auto", **given})
    shapes = make_game(settings.game).shapes
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = build_net(settings.net, shapes)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    weights = net_weights(net)
    save_checkpoint(folder, {"model": weights, "ema": weights}, checkpoint_meta(settings, shapes, step))
    return folder
