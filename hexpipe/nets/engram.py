"""Engram: an episodic memory beside a net, a ring buffer of keys and values for look-ups by pooled features.

A net with an engram queries it between its trunk and its heads, and writes training targets into it:

    pooled = global_pool(trunk(planes))          # [B, 2C]
    pooled = engram(pooled, sources)             # what was retrieved is added, through a gate; then come the heads
    ...
    engram.write(engram.queries, values, priorities, sources)   # after the step (`learner.remember`)

The memory is part of the module's state: it consists of buffers, so it moves with the net, is saved in its checkpoints
and published with its weights. Writing takes no gradient and reading gives none to the memory; key projection,
read-out, sharpness and gate are learned.

**Sources.** An entry must not leak its own target. Training sees a position several times, and all positions of a game
have one outcome: a query that finds an entry of its own game finds its own target, the gate learns to open for that,
and at play, where a game's outcome is not known yet, there is no such entry. So every entry has the number of its game,
and a query with a source reads no entry of that game. The distance of keys does not suffice for this: the position one
ply later has another key with the same target, and the same position in another game is the best entry to find. At play
queries have no source, and need none: their game is not over.

**Keys age.** A key was made by the weights of its step, a query by the present ones; in self-play those are the
averaged weights (``learner.ema_decay``), which trail the trained ones that made the keys. The ring turns over within
capacity / batch size steps, so that keys are at most that old; none is recomputed. At play queries therefore meet keys
of a slightly different space than in training.

Nearest keys, and their values mixed by weights that fall with the distance, are the differentiable neural dictionary of
Pritzel et al. 2017, "Neural episodic control" (arXiv 1703.01988), section 3.1; so is the kernel 1 / (d^2 + DELTA),
which has a learned exponent here. It distinguishes an entry of the same position from a similar one even if all cosines
are close to 1, as for pooled features; a softmax over cosines does not. Top-k retrieval without gradients into the
memory is from Wu et al. 2022, "Memorizing transformers" (arXiv 2203.08913), section 3.2; the tanh gate is from Alayrac
et al. 2022, "Flamingo" (arXiv 2204.14198), section 2.2. Theirs starts at zero, so that a trained net stays unchanged;
this one starts slightly open, because the value head behind it starts at zero: of two zero factors in a row neither has
a gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.net_template import DELTA, KEY_SIZE, NEIGHBOURS

MAX_CAPACITY = 2**24  # indices that float32, in which weights are published, represents exactly
START_SHARPNESS = 1.0  # the kernel's exponent
START_GATE = 0.2
NO_SOURCE = -1  # source of an entry that any query may read
_NEVER = -1e9  # a logit whose exp() is exactly 0


class Engram(nn.Module):
    """Episodic memory: pooled features [B, 2 * channels] -> the same shape, with retrieved values added.

    Keys float32 [capacity, key_size] of unit length, values float32 [capacity, value_size], priorities float32
    [capacity] and sources int64 [capacity] are allocated here, once. A slot of priority 0 is empty and never retrieved;
    other priorities weigh an entry against the others that were retrieved with it.

    A full memory overwrites its oldest entries, not those of lowest priority: keys and values were made by the weights
    of their time, so that the oldest fit the present queries least; and the slots to write are then known without
    reading the memory, a sort or a wait for the device.

    ValueError if a size is below 1, ``capacity`` is above MAX_CAPACITY, or ``k`` above ``capacity``.
    """

    keys: Tensor
    values: Tensor
    priorities: Tensor
    sources: Tensor
    cursor: Tensor

    def __init__(self, channels: int, capacity: int, key_size: int, value_size: int, k: int = NEIGHBOURS) -> None:
        super().__init__()
        sizes = {"channels": channels, "capacity": capacity, "key_size": key_size, "value_size": value_size, "k": k}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"an engram wants {name} of at least 1, not {size}")
        if capacity > MAX_CAPACITY:
            raise ValueError(f"an engram holds at most {MAX_CAPACITY} entries, not {capacity}")
        if k > capacity:
            raise ValueError(f"an engram of {capacity} entries cannot retrieve {k} at a time: lower k")
        self.capacity, self.k = capacity, k
        self.register_buffer("keys", torch.zeros(capacity, key_size))
        self.register_buffer("values", torch.zeros(capacity, value_size))
        self.register_buffer("priorities", torch.zeros(capacity))
        self.register_buffer("sources", torch.full((capacity,), NO_SOURCE))
        self.register_buffer("cursor", torch.zeros(1, dtype=torch.int64))  # the next slot to write
        self.project = nn.Linear(2 * channels, key_size, bias=False)
        self.log_sharpness = nn.Parameter(torch.tensor([math.log(START_SHARPNESS)]))
        self.read_out = nn.Linear(value_size, 2 * channels, bias=False)
        self.gate = nn.Parameter(torch.full((1,), START_GATE))
        self.queries: Tensor | None = None  # of the last call in training, detached: free to `write`

    @property
    def memory_bytes(self) -> int:
        """Bytes of the memory, fixed by its capacity."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @property
    def num_entries(self) -> int:
        """Number of entries that can be retrieved (waits for the device)."""
        return int((self.priorities > 0).sum())

    def key(self, pooled: Tensor) -> Tensor:
        """Compute keys (and queries) of unit length from ``pooled`` [B, 2 * channels]: [B, key_size]."""
        return F.normalize(self.project(pooled), dim=-1)

    @torch.no_grad()
    def write(self, keys: Tensor, values: Tensor, priorities: Tensor, sources: Tensor | None = None) -> None:
        """Write ``keys`` [B, key_size], ``values`` [B, value_size], ``priorities`` [B] and ``sources`` int64 [B],
        oldest first.

        ``sources`` are NO_SOURCE if not given. Keys are normalized to unit length, priorities below 0 set to 0. The
        rows go round the ring by one indexed copy into each tensor, without a wait for the device. Of more rows than
        the capacity only the last are kept. ValueError, with nothing written, if the shapes do not fit.
        """
        if sources is None:
            sources = self.sources.new_full((len(keys),), NO_SOURCE)
        wanted = [(len(keys), self.keys.shape[1]), (len(keys), self.values.shape[1]), (len(keys),), (len(keys),)]
        given = [tuple(rows.shape) for rows in (keys, values, priorities, sources)]
        if given != wanted:
            raise ValueError(f"keys, values, priorities and sources of shapes {given}: an engram wants {wanted}")
        keys, values, priorities, sources = (rows[-self.capacity :] for rows in (keys, values, priorities, sources))
        count = len(keys)
        places = torch.arange(count, device=self.cursor.device).add_(self.cursor).remainder_(self.capacity)
        self.keys.index_copy_(0, places, F.normalize(keys.to(self.keys), dim=-1))
        self.values.index_copy_(0, places, values.to(self.values))
        self.priorities.index_copy_(0, places, priorities.to(self.priorities).clamp(min=0))
        self.sources.index_copy_(0, places, sources.to(self.sources))
        self.cursor.add_(count).remainder_(self.capacity)

    @torch.no_grad()
    def clear(self) -> None:
        """Drop all entries; the learned parameters stay."""
        self.priorities.zero_()
        self.cursor.zero_()

    @torch.no_grad()
    def nearest(self, queries: Tensor, sources: Tensor | None = None) -> Tensor:
        """Return the slots int64 [B, k] of the entries of highest cosine with ``queries`` [B, key_size], nearest first.

        If fewer than k may be read, others fill up the rest: of priority 0, or of the query's own source.
        """
        hidden = torch.zeros_like(self.priorities).masked_fill_(self.priorities <= 0, -math.inf)
        cosines = F.linear(queries, self.keys, hidden)  # as a bias it costs no extra pass over [B, capacity]
        if sources is not None:
            cosines.masked_fill_(self.sources == sources[:, None], -math.inf)
        return torch.topk(cosines, self.k, dim=1).indices

    def forward(self, pooled: Tensor, sources: Tensor | None = None) -> Tensor:
        """Add retrieved values to ``pooled`` [B, 2 * channels]; rows with ``sources`` int64 [B] skip entries of these
        games."""
        queries = self.key(pooled)
        if self.training:
            self.queries = queries.detach()
        places = self.nearest(queries, sources)
        # copies of the few rows: a later write, before the backward pass, then changes nothing that it needs
        keys, values, priorities = self.keys[places], self.values[places], self.priorities[places]
        usable = priorities > 0
        if sources is not None:
            usable = usable & (self.sources[places] != sources[:, None])
        # float32: half precision can represent neither such small distances nor such a logit
        distances = (queries[:, None] - keys).float().square().sum(dim=2)
        logits = torch.where(usable, priorities, 1.0).log() - self.log_sharpness.exp() * (distances + DELTA).log()
        # all weights are 0 if there is nothing to read
        weights = torch.softmax(logits.masked_fill(~usable, _NEVER), dim=1) * usable
        remembered = torch.einsum("bk,bkv->bv", weights.to(values.dtype), values)
        out: Tensor = pooled + torch.tanh(self.gate) * self.read_out(remembered)
        return out


def make_engram(settings: NetSettings, shapes: Shapes) -> Engram | None:
    """Make the memory of a net with ``settings``, None if they have none.

    A value is the value target of a position in training, by seat from its mover on: float32 [S].
    """
    if not settings.engram:
        return None
    neighbours = min(NEIGHBOURS, settings.engram)
    return Engram(settings.channels, settings.engram, KEY_SIZE, shapes.num_seats, neighbours)
