"""Two ranks over gloo on the CPU: real processes, the code that GPUs run with nccl in its place."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.learner.distributed import rank_batch_size, rank_seed
from hexpipe.learner.learner import Learner
from tests.learner.ranks import CASES, RANKS, SHAPES, Case, train
from tests.refusals import refused

Results = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Results]]:
    """What each rank has after every case."""
    folder = tmp_path_factory.mktemp("ranks")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.learner.ranks", str(rank), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(RANKS)
    ]
    outputs = [rank.communicate(timeout=280)[0].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(outputs)
    return {name: [dict(np.load(folder / f"{name}{rank}.npz")) for rank in range(RANKS)] for name in CASES}


def _alone(name: str) -> Results:
    learner = Learner(load_settings("quick", {**CASES[name].settings, "seed": 0}), SHAPES)
    return train(learner, CASES[name], slice(None))


@pytest.mark.parametrize("name", ["plain", "remembering", "inconsistent"])
def test_two_ranks_train_like_one(trained: dict[str, list[Results]], name: str) -> None:
    """An episodic memory too is that of one: each rank remembers what both were trained on, rank 0's share first."""
    first, second = trained[name]
    alone = _alone(name)
    for weight in alone.keys() - {"losses"}:
        np.testing.assert_array_equal(first[weight], second[weight])
        if weight in ("engram.values", "engram.sources", "engram.cursor"):
            np.testing.assert_array_equal(first[weight], alone[weight])
            assert alone[weight].any()
        # Adam's first steps are sign-like: rounding of tiny gradients shows, hence the loose bound
        np.testing.assert_allclose(first[weight], alone[weight], atol=2e-5)


@pytest.mark.parametrize("name", ["residual", "muzero"])
def test_losses_of_two_ranks_are_those_of_one_with_the_doubled_batch(
    trained: dict[str, list[Results]], name: str
) -> None:
    """float32, AdamW at 1e-3, the same samples: within 1e-4 in all of 20 steps (-s shows the largest difference)."""
    alone = _alone(name)["losses"]
    together = np.mean([rank["losses"] for rank in trained[name]], axis=0)
    assert len(alone) == len(together) == 20
    largest = np.abs(together - alone).max()
    sys.stdout.write(f"{name}: largest difference of 20 losses {largest:.1e}, of {alone[0]:.4f} to {alone[-1]:.4f}\n")
    assert largest < 1e-4
    apart = np.abs(trained[name][0]["losses"] - trained[name][1]["losses"])
    assert apart.min() > 1e-4, "each rank has its own samples"


def test_shares_and_seeds_of_ranks() -> None:
    assert rank_batch_size(256, 4) == 64
    with refused(SettingsError, "256", "3", kind="conflict", setting="learner.batch_size"):
        rank_batch_size(256, 3)
    assert len({rank_seed(7, rank) for rank in range(4)} | {7}) == 4
    assert torch.distributed.is_available()


@pytest.mark.parametrize("backbone", ["resnet", "transformer"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"net.engram": 20},
        {"net.dynamics_blocks": 1},
        {"net.dynamics_blocks": 1, "net.engram": 20},
        {"net.dynamics_blocks": 1, "learner.consistency_weight": 0.0},
    ],
    ids=str,
)
def test_all_that_is_trained_has_a_gradient_at_every_step(settings: dict[str, float], backbone: str) -> None:
    """DistributedDataParallel waits for the gradients of all that it was given."""
    unroll = 2 if "net.dynamics_blocks" in settings else 0
    small = {"net.blocks": 1, "net.channels": 16, "net.backbone": backbone}
    case = Case({**small, **settings}, steps=2, size=8, unroll=unroll)
    learner = Learner(load_settings("quick", case.settings), SHAPES)
    train(learner, case, slice(None))
    without = [n for n, weight in learner.net.named_parameters() if weight.requires_grad and weight.grad is None]
    assert without == []
