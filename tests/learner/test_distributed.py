"""Two ranks over gloo on the CPU: real processes, the code that GPUs run with nccl in its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hexpipe.config import Shapes, load_settings
from hexpipe.errors import SettingsError
from hexpipe.learner.distributed import rank_batch_size, rank_seed
from hexpipe.learner.learner import Learner

RANK = """
import os, socket, sys
import numpy as np, psutil, torch
from hexpipe.config import Shapes, load_settings
from hexpipe.learner.distributed import agree, ddp_wrap, process_group, rank_batch_size
from hexpipe.learner.learner import Learner
torch.set_num_threads(1)
rank, folder, entries = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
data = np.load(folder + "/batches.npz")
half = rank_batch_size(len(data["codes"][0]), 2)
part = slice(rank * half, (rank + 1) * half)
device = torch.device("cpu")
net = {"net.blocks": 1, "net.channels": 8, "net.value_hidden": 8, "net.engram": entries, "net.engram_neighbours": 3}
settings = load_settings("quick", {**net, "seed": rank})
assert "GLOO_SOCKET_IFNAME" not in os.environ
with process_group(rank, 2, f"file://{folder}/meet", device, timeout=250):
    learner = Learner(settings, Shapes(3, 9, 2, 9), device, wrap=ddp_wrap(device))
    assert agree(3 + rank, device) == 3
    assert os.environ["GLOO_SOCKET_IFNAME"] in {name for _, name in socket.if_nameindex()}
    ends = [end for end in psutil.Process().net_connections() if end.status in ("LISTEN", "ESTABLISHED")]
    assert {end.laddr.ip for end in ends} == {"127.0.0.1"}, ends
    for i in range(3):
        learner.step({name: np.ascontiguousarray(data[name][i, part]) for name in data})
np.savez(f"{folder}/rank{rank}.npz", **learner.ema_weights())
"""


def _batches(count: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (count, size, 9)).astype(np.int8)
    codes[..., 4] = 0
    policy = (codes == 0).astype(np.float32)
    value = rng.uniform(-1, 1, (count, size)).astype(np.float32)
    return {
        "codes": codes,
        "policy": (policy / policy.sum(-1, keepdims=True))[:, :, None],
        "values": np.stack([value, -value], -1)[:, :, None],
        "mask": np.ones((count, size, 1), np.float32),
        "weights": np.ones((count, size), np.float32),
        "games": np.arange(count * size).reshape(count, size),
    }


@pytest.mark.parametrize("entries", [0, 20])
def test_two_ranks_train_like_one(tmp_path: Path, entries: int) -> None:
    """An episodic memory too is that of one: each rank remembers what both were trained on, rank 0's share first."""
    batches = _batches(3, 8)
    np.savez(tmp_path / "batches.npz", **batches)
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path), str(entries)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    outputs = [rank.communicate(timeout=280)[0].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(outputs)
    net = {"net.blocks": 1, "net.channels": 8, "net.value_hidden": 8, "net.engram": entries, "net.engram_neighbours": 3}
    alone = Learner(load_settings("quick", {**net, "seed": 0}), Shapes(3, 9, 2, 9))
    for i in range(3):
        alone.step({name: value[i] for name, value in batches.items()})
    first, second = (dict(np.load(tmp_path / f"rank{rank}.npz")) for rank in range(2))
    for name, value in alone.ema_weights().items():
        np.testing.assert_array_equal(first[name], second[name])
        if name in ("engram.values", "engram.sources", "engram.cursor"):
            np.testing.assert_array_equal(first[name], value)
            assert value.any()
        # Adam's first steps are sign-like: rounding of tiny gradients shows, hence the loose bound
        np.testing.assert_allclose(first[name], value, atol=2e-5)


def test_shares_and_seeds_of_ranks() -> None:
    assert rank_batch_size(256, 4) == 64
    with pytest.raises(SettingsError, match="multiple of the 3 devices"):
        rank_batch_size(256, 3)
    assert len({rank_seed(7, rank) for rank in range(4)} | {7}) == 4
    assert torch.distributed.is_available()
