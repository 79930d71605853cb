"""The net learns fast and stably with the learner's defaults: AdamW, 2e-3, batch 256, gradients clipped at 5."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.factory import build_net

SIZE = 5
SHAPES = Shapes(board_size=SIZE, num_actions=SIZE * SIZE, num_seats=2, code_length=SIZE * SIZE)


def connected(mine: np.ndarray) -> np.ndarray:
    """True where the stones of ``mine`` bool [B, n, n] connect top and bottom: a flood from the top row."""
    reached = np.zeros_like(mine)
    reached[:, 0] = mine[:, 0]
    while True:
        p = np.pad(reached, ((0, 0), (1, 1), (1, 1)))
        near = p[:, :-2, 1:-1] | p[:, 2:, 1:-1] | p[:, 1:-1, :-2] | p[:, 1:-1, 2:] | p[:, :-2, 2:] | p[:, 2:, :-2]
        grown = reached | (near & mine)
        if (grown == reached).all():
            return reached[:, -1].any(axis=1)
        reached = grown


def full_boards(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random full boards and the seat, relative to the mover, that has won."""
    mine = rng.random((count, SIZE * SIZE)).argsort(axis=1) < (SIZE * SIZE + 1) // 2
    winner = np.where(connected(mine.reshape(-1, SIZE, SIZE)), 0, 1)
    return torch.from_numpy(np.where(mine, 1, 2).astype(np.int8)), torch.from_numpy(winner)


def accuracy_after(steps: int, settings: NetSettings, batch: int) -> float:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = build_net(settings, SHAPES)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
    for _ in range(steps):
        codes, winner = full_boards(rng, batch)
        loss = F.cross_entropy(net(codes)[1], winner)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
    codes, winner = full_boards(rng, 1000)
    with torch.no_grad():
        return float((net(codes)[1].argmax(dim=1) == winner).float().mean())


def test_a_small_net_learns_who_has_won() -> None:
    assert accuracy_after(120, NetSettings(blocks=2, channels=16, value_hidden=16), batch=64) > 0.8


@pytest.mark.slow
def test_the_quick_net_learns_who_has_won_nearly_always() -> None:
    assert accuracy_after(250, NetSettings(blocks=4, channels=32, value_hidden=32), batch=256) > 0.97
