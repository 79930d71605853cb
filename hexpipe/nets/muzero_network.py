"""MuZero's network: representation, dynamics and prediction over one latent.

Schrittwieser et al. 2020 (arXiv:1911.08265), with the self-supervised consistency loss of EfficientZero (Ye et al.
2021, arXiv:2111.00210, section 4.1). A latent is float [B, channels, n, n], always in the frame of the seat that moves
next: where seats see the board transposed, or upside down, relative to each other, the dynamics turn their output, so
that one prediction head serves all seats. One set of weights serves every board size.

Values are the softmax over seats, as for the true-rules net (an outcome is a seat's win, so it is a distribution
already); rewards are one scalar for each seat, because they are 0 except for one known amount at a game's end: a
categorical support would only use two bins.

An episodic memory (``net.engram``) is queried at the root only, in training as in a search. Its keys come from latents
of real positions; imagined ones resemble them only as far as the consistency loss enforces. And a look-up among 4,096
entries would make an imagined step half as long again (5x5, 32 channels, one block of dynamics).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
from hexpipe.nets.net_template import (
    DENSE_ACTION_PLANES,
    DYNAMICS_POOL_EVERY,
    ILLEGAL_LOGIT,
    PROJECTION,
    action_planes,
    check_shapes,
    other_logits,
)
from hexpipe.nets.planes import edge_planes, expand_codes, illegal_mask
from hexpipe.nets.resnet import RELU_GAIN, global_pool, make_conv, residual_blocks
from hexpipe.nets.transformer_backbone import make_trunk


def scale_latent(x: Tensor) -> Tensor:
    """Divide ``x`` [B, C, n, n] by its root mean square, sample by sample, to keep the scale of latents constant.

    The papers scale to [0, 1] by minimum and maximum, whose gradient passes through two cells alone.
    """
    return x * x.square().mean(dim=(1, 2, 3), keepdim=True).add(1e-6).rsqrt()


class Dynamics(nn.Module):
    """The dynamics function: latent [B, C, h, w], ``planes`` of an action [B, planes, h, w] -> the next latent, still
    in the old frame."""

    def __init__(self, blocks: int, channels: int, planes: int, plain: bool) -> None:
        super().__init__()
        self.stem = make_conv(channels + planes, channels, 3, padding=1, gain=RELU_GAIN, plain=plain)
        self.blocks = residual_blocks(blocks, channels, DYNAMICS_POOL_EVERY, plain)

    def forward(self, latent: Tensor, planes: Tensor) -> Tensor:
        x = F.relu(latent + self.stem(torch.cat((latent, planes), dim=1)))
        for block in self.blocks:
            x = block(x)
        return x


class MuZeroNet(nn.Module):
    """MuZero's network. ``forward`` is the training unroll; `initial` and `recurrent` serve a search.

    ``plain`` makes the net of plain convolutions that `factory.fold` fills.
    """

    edges: Tensor

    def __init__(self, settings: NetSettings, shapes: Shapes, plain: bool = False) -> None:
        super().__init__()
        check_shapes(shapes)
        self.settings, self.shapes = settings, shapes
        channels = settings.channels
        self.trunk = make_trunk(settings, shapes, plain)
        # as one-hot planes thousands of actions would be most of the work
        self.actions = None if shapes.cell_actions else nn.Embedding(shapes.num_actions, DENSE_ACTION_PLANES)
        self.dynamics = Dynamics(settings.dynamics_blocks, channels, action_planes(shapes), plain)
        self.policy = make_policy_head(channels, plain, shapes)
        self.value = ValueHead(channels, settings.value_hidden, shapes.num_seats)
        self.reward = ValueHead(channels, settings.value_hidden, shapes.num_seats)
        self.projection = nn.Linear(2 * channels, PROJECTION)
        self.predictor = nn.Sequential(nn.Linear(PROJECTION, PROJECTION), nn.ReLU(), nn.Linear(PROJECTION, PROJECTION))
        self.side = SideHeads(settings, shapes, plain)
        self.engram = make_engram(settings, shapes)
        self.register_buffer("edges", edge_planes(shapes), persistent=False)

    def represent(self, codes: Tensor) -> Tensor:
        """Compute the latents float [B, channels, n, n] of codes int8 [B, C]."""
        return scale_latent(self.trunk(expand_codes(codes, self.shapes, self.edges)))

    def predict(self, latent: Tensor, pooled: Tensor | None = None) -> tuple[Tensor, Tensor, *tuple[SideLogits, ...]]:
        """Compute policy logits [B, A] of all actions, value logits [B, S] relative to the mover, and any `SideLogits`.

        ``pooled``: features for the heads in place of the latent's own.
        """
        if pooled is None:
            pooled = global_pool(latent)
        logits = self.policy(latent, pooled)[:, : self.shapes.num_actions].float()
        return logits, self.value(pooled).float(), *self.side(latent, pooled)

    def imagine(self, latent: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the latent after ``actions`` int [B] (in the mover's frame), and the rewards [B, S] of the move.

        Both are relative to the next mover.
        """
        x = self._advance(latent, actions)
        return x, self._rewards(x)

    def _rewards(self, latent: Tensor) -> Tensor:
        return torch.tanh(self.reward(global_pool(latent)).float())

    def _advance(self, latent: Tensor, actions: Tensor) -> Tensor:
        x = self.dynamics(latent, self._action_planes(actions, latent))
        if self.shapes.turns_frame:
            turned = x.transpose(2, 3)
            if self.shapes.num_others:
                stays = (actions >= self.shapes.view_cells)[:, None, None, None]
                turned = torch.where(stays, x, turned)
            x = turned
        if self.shapes.flips_frame:
            x = x.flip(2)
        return scale_latent(x)

    def initial(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Evaluate codes int8 [B, C]: (latent, priors float [B, A] over legal actions, values float [B, S]).

        With a thumbnail also focus int16 [B], the bucket where the net looks.
        """
        latent, logits, value_logits, *side = self._root(codes)
        values = value_from_logits(value_logits, self.shapes.num_seats)
        return latent, torch.softmax(logits, dim=1), values, *highest_focus(side)

    def root_logits(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute policy logits [B, A], illegal ones ILLEGAL_LOGIT, and value logits [B, S] of codes int8 [B, C]."""
        return self._root(codes)[1:3]

    def recurrent(self, latent: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """Evaluate ``actions`` [B]: (next latent, priors [B, A] over all actions, values [B, S], rewards [B, S]).

        With a thumbnail also focus int16 [B]: where the next mover should look.
        """
        following, rewards = self.imagine(latent, actions)
        logits, value_logits, *side = self.predict(following)
        values = value_from_logits(value_logits, self.shapes.num_seats)
        return following, torch.softmax(logits, dim=1), values, rewards, *highest_focus(side)

    def forward(
        self, codes: Tensor, actions: Tensor, next_codes: Tensor | None = None, games: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, *tuple[SideLogits, ...]]:
        """Unroll ``actions`` int [B, U] from ``codes`` int8 [B, C].

        Returns policy logits [B, U+1, A] (those of the start masked by legality), value logits [B, U+1, S], rewards [B,
        U, S], and with ``next_codes`` int8 [B, U, C] the consistency [B, U] in [-1, 1] of each imagined latent with
        that of the real position (cosine; 0 without); then any `SideLogits` of the start and every step. The gradient
        into each latent is halved, as in the paper's appendix G.
        """
        latents = [self.represent(codes)]
        for step in range(actions.shape[1]):
            latents.append(self._advance(0.5 * latents[-1] + 0.5 * latents[-1].detach(), actions[:, step]))
        # one call of the heads for all steps: many small ones would be mostly overhead
        count, steps = actions.shape
        every, later = torch.cat(latents), torch.cat(latents[1:])
        pooled = global_pool(every)
        if self.engram is not None:
            pooled = torch.cat((self.engram(pooled[:count], games), pooled[count:]))
        logits, value_logits, *side = self.predict(every, pooled)
        logits, value_logits = _by_sample(logits, count), _by_sample(value_logits, count)
        sides = [SideLogits(*(None if part is None else _by_sample(part, count) for part in own)) for own in side]
        rewards = _by_sample(self._rewards(later), count)
        at_start = torch.arange(steps + 1, device=codes.device)[:, None] == 0
        logits = logits.masked_fill(illegal_mask(codes, self.shapes)[:, None] & at_start, ILLEGAL_LOGIT)
        if next_codes is None:
            return logits, value_logits, rewards, rewards.new_zeros(count, steps), *sides
        real = next_codes.transpose(0, 1).flatten(0, 1)
        return logits, value_logits, rewards, _by_sample(self._consistency(later, real), count), *sides

    def _root(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor, *tuple[SideLogits, ...]]:
        latent = self.represent(codes)
        pooled = global_pool(latent)
        logits, value_logits, *side = self.predict(latent, pooled if self.engram is None else self.engram(pooled))
        return latent, logits.masked_fill(illegal_mask(codes, self.shapes), ILLEGAL_LOGIT), value_logits, *side

    def _consistency(self, imagined: Tensor, codes: Tensor) -> Tensor:
        with torch.no_grad():
            real = self.projection(global_pool(self.represent(codes)))
        own = self.predictor(self.projection(global_pool(imagined)))
        return F.cosine_similarity(own.float(), real.float(), dim=1)

    def _action_planes(self, actions: Tensor, latent: Tensor) -> Tensor:
        """Return `net_template.action_planes` of ``actions`` [B]."""
        shapes = self.shapes
        rows, columns = shapes.view_size, shapes.view_width
        if self.actions is not None:
            known: Tensor = self.actions(actions)
            return known.to(latent.dtype)[:, :, None, None].expand(-1, -1, rows, columns)
        cells = shapes.cell_actions * shapes.view_cells
        every = torch.arange(cells, device=actions.device)
        cell = (actions[:, None] == every).to(latent.dtype).reshape(-1, shapes.cell_actions, rows, columns)
        others = torch.arange(cells, cells + other_logits(shapes), device=actions.device)
        other = (actions[:, None] == others).to(latent.dtype)[:, :, None, None].expand(-1, -1, rows, columns)
        return torch.cat((cell, other), dim=1)


def _by_sample(x: Tensor, count: int) -> Tensor:
    """Reorder [K * B, ...], step by step, to [B, K, ...]."""
    return x.reshape(-1, count, *x.shape[1:]).transpose(0, 1)
