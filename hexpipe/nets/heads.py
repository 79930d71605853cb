"""Policy and value heads, further heads, and the only conversion of value logits into values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.net_template import HEAD_CHANNELS, THREAT_LEVELS, dense_hidden, other_logits
from hexpipe.nets.plain_net import middle_first
from hexpipe.nets.resnet import RELU_GAIN, global_pool, make_conv


def value_from_logits(value_logits: Tensor, seats: int) -> Tensor:
    """Convert logits [..., S] to values in [-1, 1]; ``seats`` is S, passed because a traced tensor hides its shape.

    For two seats 2p - 1, p the softmax over them: a zero-sum game. For more, 2 sigmoid - 1 for each seat: rewards of
    places need not add up to 0.
    """
    if seats == 2:
        return 2.0 * torch.softmax(value_logits, dim=-1) - 1.0
    return torch.tanh(0.5 * value_logits)


class CellFeatures(nn.Module):
    """What heads read of each cell: x [B, C, h, w], pooled [B, 2C] -> features [B, hidden, h, w]."""

    def __init__(self, channels: int, hidden: int, plain: bool) -> None:
        super().__init__()
        self.hidden = hidden
        self.conv = make_conv(channels, hidden, 1, padding=0, gain=RELU_GAIN, plain=plain)
        self.pool_bias = nn.Linear(2 * channels, hidden, bias=False)
        nn.init.zeros_(self.pool_bias.weight)

    def features(self, x: Tensor, pooled: Tensor) -> Tensor:
        """Return the features of the cells' logits."""
        return F.relu(self.conv(x) + self.pool_bias(pooled)[:, :, None, None])


class CellHead(CellFeatures):
    """Logits of cells, ``planes`` of them: x [B, C, h, w], pooled [B, 2C] -> [B, planes * h * w]."""

    def __init__(self, channels: int, plain: bool, planes: int = 1) -> None:
        super().__init__(channels, min(channels, HEAD_CHANNELS), plain)
        self.cell_logits = nn.Conv2d(self.hidden, planes, 1)
        nn.init.zeros_(self.cell_logits.weight)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        logits: Tensor = self.cell_logits(self.features(x, pooled)).flatten(1)
        return logits


class PolicyHead(CellHead):
    """Logits of the cells' actions, then of those that are no cell: x [B, C, h, w], pooled [B, 2C] -> [B, A or A + 1].

    There is one column at least of the latter (swap), so that a checkpoint fits games with and without that action.
    """

    def __init__(self, channels: int, plain: bool, shapes: Shapes) -> None:
        super().__init__(channels, plain, shapes.cell_actions)
        self.swap_hidden = nn.Linear(2 * channels, self.hidden)
        self.swap_logit = nn.Linear(self.hidden, other_logits(shapes))
        nn.init.zeros_(self.swap_logit.weight)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        hidden = self.features(x, pooled)
        swap = self.swap_logit(F.relu(self.swap_hidden(pooled)))
        return torch.cat((self.cell_logits(hidden).flatten(1), swap), dim=1)


class DensePolicyHead(CellFeatures):
    """Logits of actions that are no cells: x [B, C, h, w], pooled [B, 2C] -> [B, A].

    Each reads every cell, so that these weights, unlike all others, are for one size of the board.
    """

    def __init__(self, channels: int, plain: bool, shapes: Shapes) -> None:
        super().__init__(channels, dense_hidden(channels, shapes), plain)
        self.logits = nn.Linear(self.hidden * shapes.view_cells, shapes.num_actions)
        nn.init.zeros_(self.logits.weight)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.features(x, pooled).flatten(1))
        return logits


def make_policy_head(channels: int, plain: bool, shapes: Shapes) -> PolicyHead | DensePolicyHead:
    """Make the head that suits the actions of ``shapes``."""
    return (PolicyHead if shapes.cell_actions else DensePolicyHead)(channels, plain, shapes)


class ValueHead(nn.Module):
    """Value logits of seats, relative to the mover: pooled [B, 2C] -> [B, S]."""

    def __init__(self, channels: int, hidden: int, seats: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * channels, hidden)
        self.logits = nn.Linear(hidden, seats)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.logits(F.relu(self.hidden(pooled)))
        return logits


class FocusHead(CellHead):
    """Logits of the mover's move over the whole board: one for each bucket of the thumbnail, float32 [B, V*V].

    The thumbnail's planes are inputs of the view's grid, so the trunk's cell (i, j) is also the bucket (i, j). Each
    step from the middle subtracts a little (`plain_net.middle_first`): the highest logit of an untrained net is where
    games begin, not in a corner.
    """

    from_middle: Tensor

    def __init__(self, channels: int, size: int, plain: bool) -> None:
        super().__init__(channels, plain)
        self.register_buffer("from_middle", torch.from_numpy(middle_first(size)), persistent=False)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        return super().forward(x, pooled).float() - self.from_middle


class ThreatHead(nn.Module):
    """Threat levels of each seat, from the mover on: pooled [B, 2C] -> float32 [B, S, THREAT_LEVELS].

    They are logits of an ordinal regression: for a seat's level L (0 to 3) the first L targets are 1.
    """

    def __init__(self, channels: int, hidden: int, seats: int) -> None:
        super().__init__()
        self.seats = seats
        self.hidden = nn.Linear(2 * channels, hidden)
        self.logits = nn.Linear(hidden, seats * THREAT_LEVELS)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.logits(F.relu(self.hidden(pooled)))
        return logits.float().reshape(-1, self.seats, THREAT_LEVELS)


class SideLogits(NamedTuple):
    """Outputs of a net beside policy and value, each None without such a head."""

    focus: Tensor | None  # [..., V * V], see `FocusHead`
    threats: Tensor | None  # [..., S, THREAT_LEVELS], see `ThreatHead`


class SideHeads(nn.Module):
    """The further heads that a game's shapes require: x [B, C, n, n], pooled [B, 2C] -> SideLogits.

    They end a net's outputs, which lack them if none are required. Threats are auxiliary targets: a ``plain`` net,
    which only plays, has no head for them.
    """

    def __init__(self, settings: NetSettings, shapes: Shapes, plain: bool) -> None:
        super().__init__()
        channels, tells_threats = settings.channels, shapes.threats and not plain
        self.focus = FocusHead(channels, shapes.view_size, plain) if shapes.thumbnail else None
        self.threats = ThreatHead(channels, settings.value_hidden, shapes.num_seats) if tells_threats else None

    def forward(self, x: Tensor, pooled: Tensor) -> tuple[SideLogits, ...]:
        if self.focus is None and self.threats is None:
            return ()
        focus = None if self.focus is None else self.focus(x, pooled)
        return (SideLogits(focus, None if self.threats is None else self.threats(pooled)),)


def highest_focus(side: Iterable[SideLogits]) -> tuple[Tensor, ...]:
    """Return the bucket of the highest focus logit (the first on a tie), int16 [B]; an empty tuple without a focus
    head."""
    return tuple(part.focus.argmax(dim=1).to(torch.int16) for part in side if part.focus is not None)


__all__ = [
    "DensePolicyHead",
    "PolicyHead",
    "SideHeads",
    "SideLogits",
    "ValueHead",
    "global_pool",
    "highest_focus",
    "make_policy_head",
    "value_from_logits",
]
