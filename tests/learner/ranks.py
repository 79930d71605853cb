"""A rank of a group that trains on its share of the same batches, in a process of its own: see test_distributed.

python -m tests.learner.ranks RANK FOLDER
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from hexpipe.config import Shapes, load_settings
from hexpipe.learner.distributed import agree, ddp_wrap, process_group, rank_batch_size
from hexpipe.learner.learner import Learner

SHAPES = Shapes(board_size=3, num_actions=9, num_seats=2, code_length=9)
RANKS = 2
_UNROLL = 2
# float32 on every chip: what two ranks sum up is compared closely with what one does
_SMALL = {"net.blocks": 1, "net.channels": 8, "net.value_hidden": 8, "learner.dtype": "float32"}
_TRAINED = {
    "net.blocks": 2,
    "net.channels": 16,
    "net.value_hidden": 16,
    "learner.learning_rate": 1e-3,
    "learner.warmup_steps": 0,
    "learner.dtype": "float32",
}


@dataclass(frozen=True)
class Case:
    """A net, and how long it is trained on batches of ``size`` in all."""

    settings: dict[str, Any]
    steps: int = 20
    size: int = 32
    unroll: int = 0


CASES = {
    "plain": Case({**_SMALL, "net.engram": 0}, steps=3, size=8),
    "remembering": Case({**_SMALL, "net.engram": 20}, steps=3, size=8),
    "residual": Case(_TRAINED),
    "muzero": Case({**_TRAINED, "net.dynamics_blocks": 1}, unroll=_UNROLL),
    "inconsistent": Case(
        {**_SMALL, "net.dynamics_blocks": 1, "learner.consistency_weight": 0.0}, steps=3, size=8, unroll=_UNROLL
    ),
}


def batches_of(case: Case) -> dict[str, np.ndarray]:
    """Parts [steps, size, ...] of the case's batches, of random positions; weights have a mean of 1 in each share, as
    the sampler gives them."""
    rng, count, size = np.random.default_rng(0), case.steps, case.size
    codes = rng.integers(0, 3, (count, size, 9)).astype(np.int8)
    codes[..., 4] = 0
    policy = np.repeat((codes == 0).astype(np.float32)[:, :, None], case.unroll + 1, axis=2)
    value = rng.uniform(-1, 1, (count, size, case.unroll + 1)).astype(np.float32)
    weights = rng.uniform(0.5, 1.5, (count, RANKS, size // RANKS)).astype(np.float32)
    batches = {
        "codes": codes,
        "policy": policy / policy.sum(-1, keepdims=True),
        "values": np.stack([value, -value], -1),
        "mask": np.ones((count, size, case.unroll + 1), np.float32),
        "weights": (weights / weights.mean(-1, keepdims=True)).reshape(count, size),
        "games": np.arange(count * size).reshape(count, size),
    }
    if case.unroll:
        batches["mask"][..., 2] = rng.integers(0, 2, (count, size))  # some games end within the unroll
        batches["actions"] = rng.integers(0, 9, (count, size, case.unroll)).astype(np.int16)
        batches["rewards"] = rng.uniform(-1, 1, (count, size, case.unroll, 2)).astype(np.float32)
        batches["unrolled"] = np.ones((count, size, case.unroll), np.float32)
    if case.unroll and case.settings.get("learner.consistency_weight", 1.0):
        batches["next_codes"] = rng.integers(0, 3, (count, size, case.unroll, 9)).astype(np.int8)
    return batches


def train(learner: Learner, case: Case, share: slice) -> dict[str, np.ndarray]:
    """Averaged weights after the case's steps on the ``share`` of each batch, and "losses" float32 [steps]."""
    batches, losses = batches_of(case), []
    for number in range(case.steps):
        batch = {name: np.ascontiguousarray(part[number, share]) for name, part in batches.items()}
        losses.append(learner.step(batch)["loss"])
    return {**learner.ema_weights(), "losses": np.array(losses, np.float32)}


def main(rank: int, folder: Path) -> None:
    """Train every case, and write the results of this rank."""
    torch.set_num_threads(1)
    device = torch.device("cpu")
    assert "GLOO_SOCKET_IFNAME" not in os.environ
    with process_group(rank, RANKS, f"file://{folder}/meet #1?", device, timeout=250):
        assert agree(3 + rank) == 3
        assert os.environ["GLOO_SOCKET_IFNAME"] in {name for _, name in socket.if_nameindex()}
        ends = [end for end in psutil.Process().net_connections() if end.status in ("LISTEN", "ESTABLISHED")]
        assert {end.laddr.ip for end in ends} == {"127.0.0.1"}, ends
        for name, case in CASES.items():
            half = rank_batch_size(case.size, RANKS)
            # of different seeds: the group begins with rank 0's weights
            learner = Learner(load_settings("quick", {**case.settings, "seed": rank}), SHAPES, device, ddp_wrap(device))
            share = slice(rank * half, (rank + 1) * half)
            np.savez(folder / f"{name}{rank}.npz", **train(learner, case, share))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
