"""MuZero's network for a search on a GPU: as `backend_latent`, with CUDA graphs over the pool of latents.

Each of the two sets of weights has its own graphs, of roots and of children, one a padded batch size. A graph reads the
parents' latents from the pool and writes the children's into it; padding goes to a spare row that no search uses.
Indices are copied through pinned buffers, and a call waits once, for its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hexpipe.answers import Answers
from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.backend_latent import WEIGHT_SLOTS
from hexpipe.nets.backend_torch import DTYPES
from hexpipe.nets.backends import write_outputs
from hexpipe.nets.cuda_graphs import (
    Graph,
    GraphMaker,
    host_twin,
    load_in_place,
    padded_sizes,
    result_buffers,
    within,
)
from hexpipe.nets.factory import folded_muzero_net
from hexpipe.nets.muzero_network import MuZeroNet


class _Input(NamedTuple):
    """An input of the graphs, [max_batch, ...]: device buffer, pinned host buffer, and the value of padding rows (None:
    any)."""

    device: Tensor
    host: Tensor
    padding: int | None

    @classmethod
    def make(cls, buffer: Tensor, padding: int | None = None) -> _Input:
        """Make the input of ``buffer``, which is on the device."""
        return cls(buffer, host_twin(buffer), padding)

    def put(self, array: NDArray[np.generic], size: int) -> None:
        """Copy ``array`` and its padding up to ``size`` rows to the device, on the current stream."""
        count = len(array)
        self.host.numpy()[:count] = array
        if self.padding is not None:
            self.host[count:size] = self.padding
        self.device[:size].copy_(self.host[:size], non_blocking=True)


class LatentGraphsBackend:
    """Two folded nets over a pool [rows + 1, channels, n, n], with the methods of `LatentBackend`.

    Not thread-safe. Calls of more than ``max_batch`` rows are split. It also runs on a CPU, for tests.
    """

    name = "cuda_graphs"

    def __init__(
        self,
        settings: NetSettings,
        shapes: Shapes,
        rows: int,
        dtype: str = "bfloat16",
        device: str = "cuda",
        max_batch: int = 256,
    ) -> None:
        self.dtype = dtype
        self._settings, self._shapes = settings, shapes
        self._device = torch.device(device)
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        self._sizes = padded_sizes(max_batch)
        board = settings.channels, shapes.view_size, shapes.view_width
        self.pool = torch.zeros(rows + 1, *board, dtype=DTYPES[dtype], device=self._device)
        spare = torch.full((max_batch,), rows, dtype=torch.int64, device=self._device)
        self._parents, self._rows = _Input.make(spare, rows), _Input.make(spare.clone(), rows)
        self._actions = _Input.make(torch.zeros_like(spare))
        self._codes = _Input.make(spare.new_zeros((max_batch, shapes.code_length), dtype=torch.int8))
        results = result_buffers(max_batch, shapes, self._device, learned=True)
        self._results_host = [host_twin(part) for part in results]
        self._answers = Answers.named((host.numpy() for host in self._results_host), shapes, learned=True)
        self._nets = [self._prepared() for _ in range(WEIGHT_SLOTS)]
        maker = GraphMaker(self._device)
        self._compute = maker.compute
        sizes = list(reversed(self._sizes))
        self._initial = [{n: maker.capture(partial(self._roots, net, n)) for n in sizes} for net in self._nets]
        self._recurrent = [{n: maker.capture(partial(self._children, net, n)) for n in sizes} for net in self._nets]

    @property
    def pool_bytes(self) -> int:
        """Bytes of the latents."""
        return self.pool.numel() * self.pool.element_size()

    def load(self, weights: Mapping[str, NDArray[np.float32]], slot: int = 0) -> None:
        """Copy new weights into ``slot``. CheckpointError if they do not fit."""
        load_in_place(self._nets[slot], folded_muzero_net(self._settings, self._shapes, weights), self._compute)

    def initial(self, slot: int, codes: NDArray[np.int8], rows: NDArray[np.integer], out: Answers) -> None:
        """Evaluate roots as `LatentBackend.initial`."""
        self._run(self._initial[slot], [(self._codes, codes), (self._rows, rows)], out)

    def recurrent(
        self,
        slot: int,
        parents: NDArray[np.integer],
        actions: NDArray[np.integer],
        rows: NDArray[np.integer],
        out: Answers,
    ) -> None:
        """Evaluate children as `LatentBackend.recurrent`."""
        inputs = [(self._parents, parents), (self._actions, actions), (self._rows, rows)]
        self._run(self._recurrent[slot], inputs, out)

    def _run(
        self, graphs: Mapping[int, Graph], inputs: Sequence[tuple[_Input, NDArray[np.generic]]], out: Answers
    ) -> None:
        limit, total = self._sizes[-1], len(out.priors)
        for first in range(0, total, limit):
            part = slice(first, min(first + limit, total))
            pieces = [(buffer, array[part]) for buffer, array in inputs]
            write_outputs(self._replayed(graphs, pieces, part.stop - first), out.at(part), self.name)

    def _replayed(
        self, graphs: Mapping[int, Graph], inputs: Sequence[tuple[_Input, NDArray[np.generic]]], count: int
    ) -> Answers:
        """Replay a graph for ``count`` rows; its answers are valid until the next call."""
        size = next(size for size in self._sizes if size >= count)
        graph = graphs[size]
        with torch.inference_mode(), within(self._compute):
            for buffer, array in inputs:
                buffer.put(array, size)
            graph.replay()
            for own, result in zip(self._results_host, graph.results, strict=True):
                own[:count].copy_(result[:count], non_blocking=True)
        if self._compute is not None:
            self._compute.synchronize()
        return self._answers.at(slice(count))

    def _roots(self, net: MuZeroNet, size: int) -> tuple[Tensor, ...]:
        latent, priors, values, *focus = net.initial(self._codes.device[:size])
        self.pool.index_copy_(0, self._rows.device[:size], latent)
        return priors.float(), values.float(), torch.zeros_like(values, dtype=torch.float32), *focus

    def _children(self, net: MuZeroNet, size: int) -> tuple[Tensor, ...]:
        latents = self.pool.index_select(0, self._parents.device[:size])
        following, priors, values, rewards, *focus = net.recurrent(latents, self._actions.device[:size])
        self.pool.index_copy_(0, self._rows.device[:size], following)
        return priors.float(), values.float(), rewards.float(), *focus

    def _prepared(self) -> MuZeroNet:
        net: MuZeroNet = folded_muzero_net(self._settings, self._shapes).eval()
        return net.to(self._device, DTYPES[self.dtype])
