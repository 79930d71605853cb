"""Engram: an episodic memory beside a net, a ring of keys and values that pooled features are looked up in.

How it is meant to be used, by a net that owns one (none does yet):

    pooled = global_pool(trunk(planes))          # [B, 2C]
    pooled = engram(pooled)                      # what was retrieved is added, through a gate; then come the heads
    ...
    engram.write(engram.key(pooled), values, priorities)   # after the step: what proved true of these positions

The memory is part of the module's state: it lies in buffers, so it moves with the net, is saved in its checkpoints and
published with its weights. Writing takes no gradient and reading gives none to the memory; key projection, read-out,
sharpness and gate are learned.

Nearest keys by cosine and values mixed by a softmax over them are the differentiable neural dictionary of Pritzel et
al. 2017, "Neural episodic control" (arXiv 1703.01988), sections 3.1 and 3.2; top-k retrieval without gradients into the
memory is from Wu et al. 2022, "Memorizing transformers" (arXiv 2203.08913), section 3.2; the tanh gate that starts at
zero is from Alayrac et al. 2022, "Flamingo" (arXiv 2204.14198), section 2.2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_CAPACITY = 2**24  # places that float32, in which weights are published, can number exactly
START_SHARPNESS = 10.0  # cosines differ by tenths where keys differ
_NEVER = -1e9  # a logit whose exp() is exactly 0


class Engram(nn.Module):
    """Pooled features [B, 2 * channels] -> the same shape, with what was remembered of their like.

    Keys float32 [capacity, key_size] of unit length, values float32 [capacity, value_size] and priorities float32
    [capacity] are allocated here, once. A place of priority 0 is empty and never retrieved; other priorities weigh a
    memory against the others that were retrieved with it.

    A full memory overwrites its oldest entries, not those of lowest priority: keys and values were made by the weights
    of their time, so that the oldest fit the present queries least; and the places to write are then known without a
    look at the memory, a sort or a wait for the device.

    ValueError if a size is below 1, ``capacity`` is above MAX_CAPACITY, or ``k`` above ``capacity``.
    """

    keys: Tensor
    values: Tensor
    priorities: Tensor
    cursor: Tensor

    def __init__(self, channels: int, capacity: int, key_size: int, value_size: int, k: int = 8) -> None:
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
        self.register_buffer("cursor", torch.zeros(1, dtype=torch.int64))  # the place that is written next
        self.project = nn.Linear(2 * channels, key_size, bias=False)
        self.log_sharpness = nn.Parameter(torch.tensor([math.log(START_SHARPNESS)]))
        self.read_out = nn.Linear(value_size, 2 * channels, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    @property
    def memory_bytes(self) -> int:
        """Bytes of the memory, which its capacity fixes for good."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @property
    def num_entries(self) -> int:
        """Entries that can be retrieved (waits for the device)."""
        return int((self.priorities > 0).sum())

    def key(self, pooled: Tensor) -> Tensor:
        """Keys (and queries) of unit length of ``pooled`` [B, 2 * channels]: [B, key_size]."""
        return F.normalize(self.project(pooled), dim=-1)

    @torch.no_grad()
    def write(self, keys: Tensor, values: Tensor, priorities: Tensor) -> None:
        """Remember ``keys`` [B, key_size], ``values`` [B, value_size] and ``priorities`` [B], the oldest row first.

        Keys are brought to unit length, priorities below 0 to 0. The rows go round the ring by one indexed copy into
        each tensor, without a wait for the device. Of more rows than the capacity only the last are kept. ValueError,
        and nothing is written, if the shapes do not fit.
        """
        wanted = [(len(keys), self.keys.shape[1]), (len(keys), self.values.shape[1]), (len(keys),)]
        given = [tuple(rows.shape) for rows in (keys, values, priorities)]
        if given != wanted:
            raise ValueError(f"keys, values and priorities of shapes {given} do not fit: an engram wants {wanted}")
        keys, values, priorities = (rows[-self.capacity :] for rows in (keys, values, priorities))
        count = len(keys)
        places = torch.arange(count, device=self.cursor.device).add_(self.cursor).remainder_(self.capacity)
        self.keys.index_copy_(0, places, F.normalize(keys.to(self.keys), dim=-1))
        self.values.index_copy_(0, places, values.to(self.values))
        self.priorities.index_copy_(0, places, priorities.to(self.priorities).clamp(min=0))
        self.cursor.add_(count).remainder_(self.capacity)

    @torch.no_grad()
    def clear(self) -> None:
        """Forget everything; the learned parameters stay."""
        self.priorities.zero_()
        self.cursor.zero_()

    @torch.no_grad()
    def nearest(self, queries: Tensor) -> Tensor:
        """Places int64 [B, k] of the entries of highest cosine with ``queries`` [B, key_size], the nearest first.

        Where there are fewer than k, places of priority 0 fill up the rest.
        """
        cosines = F.linear(queries, self.keys).masked_fill_(self.priorities <= 0, -math.inf)
        return torch.topk(cosines, self.k, dim=1).indices

    def forward(self, pooled: Tensor) -> Tensor:
        queries = self.key(pooled)
        places = self.nearest(queries)
        # copies of the few rows: a write before the backward pass then changes nothing that it needs
        keys, values, priorities = self.keys[places], self.values[places], self.priorities[places]
        cosines = torch.einsum("bd,bkd->bk", queries, keys)
        stored = priorities > 0
        logits = self.log_sharpness.exp() * cosines + torch.where(stored, priorities, 1.0).log()
        weights = torch.softmax(logits.masked_fill(~stored, _NEVER), dim=1) * stored  # all 0 of an empty memory
        remembered = torch.einsum("bk,bkv->bv", weights, values)
        out: Tensor = pooled + torch.tanh(self.gate) * self.read_out(remembered)
        return out
