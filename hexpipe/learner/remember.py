"""Writes of a training step to the net's episodic memory (`nets.engram`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hexpipe.learner.distributed import rows_of_all
from hexpipe.learner.train_step import to_device
from hexpipe.nets.engram import Engram


def remember(engram: Engram, batch: Mapping[str, Any], device: torch.device) -> None:
    """Write the starts of ``batch``, which ``engram`` was just trained on: no second forward pass is needed.

    Keys are the queries of that pass, values the starts' value targets, sources their games. Priorities are the
    samples' weights, 1 for uniform sampling: the mean of what is retrieved then is the mean over positions as they were
    played. Large errors must not weigh more: of positions that nine games in ten win, the one loss would weigh as much
    as the nine wins (see `replay.sampler`). Each of several learners remembers the rows of all.
    """
    assert engram.queries is not None
    values, weights, games = to_device(batch, device, ("values", "weights", "games"))
    rows = (engram.queries.float(), values[:, 0], weights, games)
    engram.write(*(rows_of_all(part) for part in rows))
