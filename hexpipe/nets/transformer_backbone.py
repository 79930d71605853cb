"""The transformer trunk: self-attention over the cells of a board, one set of weights for every board size.

A token is a cell. Patches of 2x2 would quarter the tokens, but the policy needs a logit for each cell, a bridge
consists of single cells, and boards of odd size do not divide; and at 11x11 with 64 channels attention between 121
cells costs under half of the linear layers.

A block is pre-norm: x + attention(norm(x)), then x + feed_forward(norm(x)). Both branches start at zero, as those of
the residual trunk do. The sources:

- keys and values through a low-rank latent, with a decoupled rotary part: multi-head latent attention, DeepSeek-AI
  2024, "DeepSeek-V2" (arXiv 2405.04434), section 2.1 and appendix C;
- rotary positions: Su et al. 2021, "RoFormer" (arXiv 2104.09864), equation 34; in two dimensions, with frequencies for
  sides of tens rather than thousands: Heo et al. 2024, "Rotary position embedding for vision transformer" (arXiv
  2403.13298), section 3;
- SwiGLU: Shazeer 2020, "GLU variants improve transformer" (arXiv 2002.05202), equation 6;
- RMSNorm: Zhang and Sennrich 2019, "Root mean square layer normalization" (arXiv 1910.07467), equation 4.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.net_template import NORM_EPS, ROTARY_BASE
from hexpipe.nets.resnet import RELU_GAIN, Trunk, make_conv


class Turns(NamedTuple):
    """Cosine and sine of each cell's rotation of each pair of rotary channels: both [n*n, R/2]."""

    cos: Tensor
    sin: Tensor


def rotary_turns(rows: int, columns: int, rotary: int, like: Tensor) -> Turns:
    """Return the rotations of the cells of a board for ``rotary`` channels (a multiple of 4), in the dtype and device
    of ``like``.

    The first half of the R/2 pairs rotates by the row, the second by the column. Angles are computed in float32 for any
    dtype: bfloat16 lacks the precision for the far rows.
    """
    pairs = rotary // 4
    frequencies = ROTARY_BASE ** (-torch.arange(pairs, device=like.device, dtype=torch.float32) / pairs)
    down, right = (
        torch.arange(side, device=like.device, dtype=torch.float32)[:, None] * frequencies for side in (rows, columns)
    )
    both = torch.cat((down[:, None].expand(-1, columns, -1), right.expand(rows, -1, -1)), dim=2).flatten(0, 1)
    return Turns(both.cos().to(like.dtype), both.sin().to(like.dtype))


def rotate(x: Tensor, turns: Turns) -> Tensor:
    """Rotate the pairs (x[..., i], x[..., i + R/2]) of ``x`` [..., n*n, R] by the cell's angles; same shape.

    The product of a rotated query and a rotated key depends on the two cells' offset only (RoFormer, section 3.2).
    """
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * turns.cos - b * turns.sin, b * turns.cos + a * turns.sin), dim=-1)


class Norm(nn.RMSNorm):
    """RMSNorm in the dtype of its weight: autocast makes x [..., C] bfloat16, and no fused kernel takes both."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class LatentAttention(nn.Module):
    """Multi-head latent attention over all cells: [B, N, C] -> [B, N, C], N = n*n.

    Of a head's D = C / heads query and key channels one half is content, the other half rotary. Content keys and the
    values [D] of all heads come from one normalised latent of ``kv_latent`` channels. The rotary key comes from x
    itself and is shared by all heads: rotated keys could not come from the latent by a matrix that is the same for
    every cell. Nothing is cached here, because each board is new as a whole: the latent saves weights and work.

    A head's queries, keys and values have one width, as torch's fused CPU kernel requires.
    """

    def __init__(self, channels: int, heads: int, kv_latent: int) -> None:
        super().__init__()
        width = channels // heads
        self.heads, self.content, self.rotary, self.kv_latent = heads, width // 2, width // 2, kv_latent
        # one product makes the queries, the latent (W_DKV of the paper) and the shared rotary key (W_KR)
        self.inputs = _linear(channels, channels + kv_latent + self.rotary)
        self.latent_norm = Norm(kv_latent, NORM_EPS)
        self.up = _linear(kv_latent, heads * (self.content + width))  # W_UK and W_UV, head by head
        self.output = _zero_linear(channels, channels)

    def forward(self, x: Tensor, turns: Turns) -> Tensor:
        queries, keys, values = self.queries_keys_values(x, turns)
        mixed = F.scaled_dot_product_attention(queries, keys, values)  # scaled by 1 / sqrt(content + rotary)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def queries_keys_values(self, x: Tensor, turns: Turns) -> tuple[Tensor, Tensor, Tensor]:
        """Return the inputs of attention: queries, keys and values, each [B, heads, N, C / heads]."""
        content, rotary = self.content, self.rotary
        sizes = [self.heads * (content + rotary), self.kv_latent, rotary]
        queries, latent, shared = self.inputs(x).split_with_sizes(sizes, dim=-1)
        plain, turned = self._by_head(queries).split_with_sizes([content, rotary], dim=-1)
        queries = torch.cat((plain, rotate(turned, turns)), dim=-1)
        up = self._by_head(self.up(self.latent_norm(latent)))
        plain, values = up.split_with_sizes([content, content + rotary], dim=-1)
        shared = rotate(shared, turns)[:, None].expand(-1, self.heads, -1, -1)
        return queries, torch.cat((plain, shared), dim=-1), values

    def _by_head(self, x: Tensor) -> Tensor:
        """Reshape [B, N, heads * D] to [B, heads, N, D]."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class SwiGLU(nn.Module):
    """Feed-forward layer down(silu(gate(x)) * up(x)), without biases: [..., C] -> [..., C]."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = _linear(channels, 2 * hidden)  # both in one product
        self.down = _zero_linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class TransformerBlock(nn.Module):
    """Attention, then the feed-forward layer, each with a residual connection: [B, N, C] -> [B, N, C]."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        channels = settings.channels
        self.attention_norm = Norm(channels, NORM_EPS)
        self.attention = LatentAttention(channels, settings.heads, settings.latent_rank)
        self.ffn_norm = Norm(channels, NORM_EPS)
        self.ffn = SwiGLU(channels, settings.ffn_multiplier * channels)

    def forward(self, x: Tensor, turns: Turns) -> Tensor:
        x = x + self.attention(self.attention_norm(x), turns)
        out: Tensor = x + self.ffn(self.ffn_norm(x))
        return out


class TransformerTrunk(nn.Module):
    """The counterpart of `resnet.Trunk` with attention: planes [B, P, n+2, n+2] -> [B, C, n, n], channels last in
    memory.

    A valid 3x3 convolution makes the tokens, so that a token includes its neighbours and the edges beside it: that ring
    is the only positional input. ``plain`` makes the stem the plain convolution that it folds into.
    """

    def __init__(self, planes: int, settings: NetSettings, plain: bool) -> None:
        super().__init__()
        self.stem = make_conv(planes, settings.channels, 3, padding=0, gain=RELU_GAIN, plain=plain)
        self.blocks = nn.ModuleList(TransformerBlock(settings) for _ in range(settings.blocks))
        self.norm = Norm(settings.channels, NORM_EPS)
        self.rotary = settings.channels // settings.heads // 2

    def forward(self, planes: Tensor) -> Tensor:
        board: Tensor = self.stem(planes)
        turns = rotary_turns(board.shape[2], board.shape[3], self.rotary, board)
        x = board.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x, turns)
        normed: Tensor = self.norm(x)
        return normed.transpose(1, 2).reshape(board.shape)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer without bias, which preserves unit variance."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    return layer


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def make_trunk(settings: NetSettings, shapes: Shapes, plain: bool = False) -> Trunk | TransformerTrunk:
    """Return the trunk of ``settings.backbone``: planes [B, P, n+2, n+2] -> [B, channels, n, n]."""
    if settings.backbone == "transformer":
        return TransformerTrunk(shapes.num_planes, settings, plain)
    return Trunk(shapes.num_planes, settings.blocks, settings.channels, plain)
