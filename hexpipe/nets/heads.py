"""Policy and value heads, and the one place where value logits become values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hexpipe.nets.resnet import RELU_GAIN, global_pool, make_conv

ILLEGAL_LOGIT = -1e9  # of illegal actions: exp() of it is exactly 0, and it stays finite


def value_from_logits(value_logits: Tensor, seats: int) -> Tensor:
    """Values in [-1, 1] of logits [..., S]; ``seats`` is S, told beside because a traced tensor would not say.

    Of two seats 2p - 1, p the softmax over them: what one wins the other loses. Of more, 2 sigmoid - 1 for each seat on
    its own: places earn what they earn, and need not add up to 0.
    """
    if seats == 2:
        return 2.0 * torch.softmax(value_logits, dim=-1) - 1.0
    return torch.tanh(0.5 * value_logits)


class PolicyHead(nn.Module):
    """A logit a cell, and one for the action that is no cell: x [B, C, n, n], pooled [B, 2C] -> [B, n*n + 1].

    The last column (swap) always exists, so that a checkpoint serves games with and without that action.
    """

    def __init__(self, channels: int, plain: bool) -> None:
        super().__init__()
        hidden = min(channels, 32)
        self.conv = make_conv(channels, hidden, 1, padding=0, gain=RELU_GAIN, plain=plain)
        self.pool_bias = nn.Linear(2 * channels, hidden, bias=False)
        self.cell_logits = nn.Conv2d(hidden, 1, 1)
        self.swap_hidden = nn.Linear(2 * channels, hidden)
        self.swap_logit = nn.Linear(hidden, 1)
        for layer in (self.pool_bias, self.cell_logits, self.swap_logit):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        hidden = F.relu(self.conv(x) + self.pool_bias(pooled)[:, :, None, None])
        swap = self.swap_logit(F.relu(self.swap_hidden(pooled)))
        return torch.cat((self.cell_logits(hidden).flatten(1), swap), dim=1)


class ValueHead(nn.Module):
    """Value logits over seats, relative to the mover: pooled [B, 2C] -> [B, S]."""

    def __init__(self, channels: int, hidden: int, seats: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * channels, hidden)
        self.logits = nn.Linear(hidden, seats)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.logits(F.relu(self.hidden(pooled)))
        return logits


__all__ = ["ILLEGAL_LOGIT", "PolicyHead", "ValueHead", "global_pool", "value_from_logits"]
