"""Building of nets from settings, folding for inference, and conversion of weights to and from numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.engram import make_engram
from hexpipe.nets.heads import (
    SideHeads,
    SideLogits,
    ValueHead,
    highest_focus,
    make_policy_head,
    value_from_logits,
)
from hexpipe.nets.muzero_network import MuZeroNet
from hexpipe.nets.net_template import ILLEGAL_LOGIT, check_fit, check_shapes
from hexpipe.nets.planes import edge_planes, expand_codes, illegal_mask
from hexpipe.nets.resnet import StandardisedConv2d, global_pool
from hexpipe.nets.transformer_backbone import make_trunk

Weights = Mapping[str, NDArray[np.float32]]


class HexNet(nn.Module):
    """The net for positions: codes int8 [B, C] -> (policy logits float32 [B, A], value logits float32 [B, S]).

    Seats are relative to the mover. `SideLogits` follow if the shapes have further targets. Illegal actions have
    ILLEGAL_LOGIT. The parameters do not depend on the board size or on swap, but for a dense policy's. ``plain``
    makes the net of plain convolutions that `fold` fills.
    """

    edges: Tensor

    def __init__(self, settings: NetSettings, shapes: Shapes, plain: bool = False) -> None:
        super().__init__()
        check_shapes(shapes)
        self.settings, self.shapes = settings, shapes
        self.trunk = make_trunk(settings, shapes, plain)
        self.policy = make_policy_head(settings.channels, plain, shapes)
        self.value = ValueHead(settings.channels, settings.value_hidden, shapes.num_seats)
        self.side = SideHeads(settings, shapes, plain)
        self.engram = make_engram(settings, shapes)  # last: so the other weights start like those of a net without it
        self.register_buffer("edges", edge_planes(shapes), persistent=False)

    def forward(self, codes: Tensor, games: Tensor | None = None) -> tuple[Tensor, Tensor, *tuple[SideLogits, ...]]:
        """Compute the logits; ``games`` int64 [B], in training: whose entries the memory must leave out (see
        `engram`)."""
        planes = expand_codes(codes, self.shapes, self.edges)
        x = self.trunk(planes)
        return self.logits(codes, x, global_pool(x), games)

    def root_logits(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return policy and value logits; the interface that this net shares with MuZero's."""
        policy_logits, value_logits, *_ = self(codes)
        return policy_logits, value_logits

    def logits(
        self, codes: Tensor, x: Tensor, pooled: Tensor, games: Tensor | None = None
    ) -> tuple[Tensor, Tensor, *tuple[SideLogits, ...]]:
        """Compute the outputs of `forward` from the trunk's output [B, channels, n, n] and its `global_pool`."""
        if self.engram is not None:
            pooled = self.engram(pooled, games)
        logits = self.policy(x, pooled)[:, : self.shapes.num_actions].float()
        illegal = illegal_mask(codes, self.shapes)
        return logits.masked_fill(illegal, ILLEGAL_LOGIT), self.value(pooled).float(), *self.side(x, pooled)


Net = HexNet | MuZeroNet
AnyNet = TypeVar("AnyNet", HexNet, MuZeroNet)


class InferenceNet(nn.Module):
    """A folded net with softmax and value transform: codes int8 [B, C] -> (priors float32 [B, A], values float32 [B,
    S]).

    With a thumbnail also focus int16 [B], the bucket where the net looks.
    """

    def __init__(self, net: HexNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> tuple[Tensor, ...]:
        policy_logits, value_logits, *side = self.net(codes)
        values = value_from_logits(value_logits, self.net.shapes.num_seats)
        return torch.softmax(policy_logits, dim=1), values, *highest_focus(side)


def build_net(settings: NetSettings, shapes: Shapes, plain: bool = False) -> Net:
    """Build a fresh net, initialised from torch's random generator: MuZero's if ``settings`` have dynamics."""
    return MuZeroNet(settings, shapes, plain) if settings.dynamics_blocks else HexNet(settings, shapes, plain)


def net_weights(net: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Copy parameters and memory to float32 arrays on the CPU, by name."""
    return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in net.state_dict().items()}


def load_weights(net: Net, weights: Weights) -> None:
    """Copy ``weights`` into ``net``; CheckpointError if a name, a shape or a dtype does not fit."""
    own = net.state_dict()
    check_fit({name: tuple(tensor.shape) for name, tensor in own.items()}, weights, net.settings)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(np.ascontiguousarray(weights[name])))


@torch.no_grad()
def fold(net: AnyNet) -> AnyNet:
    """Return a net of plain convolutions that computes the same as ``net``, without gradients, on the same device."""
    plain = type(net)(net.settings, net.shapes, plain=True).to(net.edges.device).eval().requires_grad_(False)
    modules, own = dict(net.named_modules()), net.state_dict()
    for name, tensor in plain.state_dict().items():
        owner = modules[name.rpartition(".")[0]]
        standardised = isinstance(owner, StandardisedConv2d) and name.endswith(".weight")
        tensor.copy_(owner.standardised() if standardised else own[name])
    return plain


def folded_net(settings: NetSettings, shapes: Shapes, weights: Weights | None = None) -> HexNet:
    """Return the folded net of ``weights`` on the CPU (of fresh ones if None); CheckpointError if they do not fit."""
    return _folded(HexNet(settings, shapes), weights)


def folded_muzero_net(settings: NetSettings, shapes: Shapes, weights: Weights | None = None) -> MuZeroNet:
    """Return the same as `folded_net` for a net with learned dynamics."""
    return _folded(MuZeroNet(settings, shapes), weights)


def _folded(net: AnyNet, weights: Weights | None) -> AnyNet:
    if weights is not None:
        load_weights(net, weights)
    return fold(net)
