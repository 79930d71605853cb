"""The residual trunk: weight-standardised convolutions, no batch statistics, one set of weights for every board size.

Scaled weight standardisation and the gain of the nonlinearity follow Brock, De and Smith 2021, "Characterizing signal
propagation to close the performance gap in unnormalized ResNets" (NF-ResNets), section 4; a branch whose last gain
starts at zero is SkipInit (De and Smith 2020, "Batch normalization biases residual blocks towards the identity
function"). Everything folds into plain convolutions. The global pooling bias is from Wu 2019, "Accelerating self-play
learning in Go" (KataGo), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hexpipe.nets.net_template import POOL_EVERY

RELU_GAIN = math.sqrt(2.0 / (1.0 - 1.0 / math.pi))  # keeps unit variance through a ReLU (NF-ResNet paper, appendix D)
INIT_STD = 0.05  # the scale of a standardised weight only sets the effective step size of AdamW


class StandardisedConv2d(nn.Module):
    """A convolution with zero-mean, unit-norm filters and a learned gain: [B, I, H, W] -> [B, O, H', W']."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * INIT_STD)
        self.gain = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.padding = padding
        self.shared: Tensor | None = None  # see `standardised_once`

    def standardised(self) -> Tensor:
        """Return the plain weight float32 [O, I, k, k]: used by the convolution, and kept by `fold`."""
        return _standardise(self.weight[None], self.gain[None])[0]

    def forward(self, x: Tensor) -> Tensor:
        weight = self.standardised() if self.shared is None else self.shared
        return F.conv2d(x, weight, self.bias, padding=self.padding)


def _standardise(weights: Tensor, gains: Tensor) -> Tensor:
    """Return weights float32 [N, O, I, k, k] of N convolutions with zero-mean, unit-norm filters times gains [N, O]."""
    centred = weights - weights.mean(dim=(2, 3, 4), keepdim=True)
    norm = centred.square().sum(dim=(2, 3, 4), keepdim=True).add(1e-8).rsqrt()
    return centred * (norm * gains[:, :, None, None, None])


@contextmanager
def standardised_once(module: nn.Module) -> Iterator[None]:
    """Standardise the weight of each convolution of ``module`` only once within the block, those of one shape
    together: their small operations are mostly overhead."""
    convolutions = sorted(
        (part for part in module.modules() if isinstance(part, StandardisedConv2d)), key=_filter_shape
    )
    for _, alike in groupby(convolutions, key=_filter_shape):
        group = list(alike)
        # stacked as they lie in memory (channels last): gradients come back in that layout, and are not copied
        weights = torch.stack([convolution.weight.permute(0, 2, 3, 1) for convolution in group])
        gains = torch.stack([convolution.gain for convolution in group])
        plain = _standardise(weights.permute(0, 1, 4, 2, 3), gains)
        for convolution, weight in zip(group, plain, strict=True):
            convolution.shared = weight
    try:
        yield
    finally:
        for convolution in convolutions:
            convolution.shared = None


def _filter_shape(convolution: StandardisedConv2d) -> tuple[int, ...]:
    return tuple(convolution.weight.shape)


def make_conv(inputs: int, outputs: int, kernel: int, *, padding: int, gain: float, plain: bool) -> nn.Module:
    """Return a standardised convolution, or the plain one that it folds into (uninitialised)."""
    if plain:
        return nn.Conv2d(inputs, outputs, kernel, padding=padding)
    return StandardisedConv2d(inputs, outputs, kernel, padding, gain)


def global_pool(x: Tensor) -> Tensor:
    """Compute mean and maximum over the board: [B, C, n, n] -> [B, 2C]."""
    if not x.requires_grad or x.device.type != "cpu":
        return torch.cat((x.mean(dim=(2, 3)), x.amax(dim=(2, 3))), dim=1)
    # the same, with gradients that are made channels last, as x is in training, and in a sixth of the time (not on
    # a GPU, where those of adaptive pooling are not deterministic)
    mean = x.movedim(1, -1).flatten(1, 2).mean(dim=1)
    return torch.cat((mean, F.adaptive_max_pool2d(x, 1).flatten(1)), dim=1)


class ResidualBlock(nn.Module):
    """Block relu(x + conv(relu(conv(x)))), plus a bias from pooled activations if ``pooled``: [B, C, n, n] -> same."""

    def __init__(self, channels: int, pooled: bool, plain: bool) -> None:
        super().__init__()
        self.conv1 = make_conv(channels, channels, 3, padding=1, gain=RELU_GAIN, plain=plain)
        self.conv2 = make_conv(channels, channels, 3, padding=1, gain=0.0, plain=plain)
        self.pool_bias = nn.Linear(2 * channels, channels) if pooled else None
        if self.pool_bias is not None:
            nn.init.zeros_(self.pool_bias.weight)
            nn.init.zeros_(self.pool_bias.bias)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.conv1(x))
        branch = self.conv2(inner)
        if self.pool_bias is not None:
            x = x + self.pool_bias(global_pool(inner))[:, :, None, None]
        return F.relu(x + branch)


def residual_blocks(count: int, channels: int, pool_every: int, plain: bool) -> nn.ModuleList:
    """Make ``count`` blocks, of which each ``pool_every``-th is pooled."""
    return nn.ModuleList(ResidualBlock(channels, index % pool_every == 0, plain) for index in range(1, count + 1))


class Trunk(nn.Module):
    """A valid 3x3 convolution over the planes and their ring, then the blocks: [B, P, n+2, n+2] -> [B, C, n, n]."""

    def __init__(self, planes: int, blocks: int, channels: int, plain: bool) -> None:
        super().__init__()
        self.stem = make_conv(planes, channels, 3, padding=0, gain=RELU_GAIN, plain=plain)
        self.blocks = residual_blocks(blocks, channels, POOL_EVERY, plain)

    def forward(self, planes: Tensor) -> Tensor:
        x = F.relu(self.stem(planes))
        for block in self.blocks:
            x = block(x)
        return x
