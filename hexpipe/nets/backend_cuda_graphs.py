"""A GPU: one CUDA graph a padded batch size, static buffers, weights copied in place.

A batch is padded to the next of a few sizes, so that each size is captured once (cudaGraph replay costs a few
microseconds, where the net's hundred kernel launches cost half a millisecond). New weights are copied into the tensors
that the graphs read, so nothing is captured again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.backend_torch import placed
from hexpipe.nets.backends import FloatArray, FocusArray, write_outputs
from hexpipe.nets.factory import InferenceNet, folded_net

WARM_UP_PASSES = 3  # cuDNN chooses its algorithms before the capture


def padded_sizes(max_batch: int) -> list[int]:
    """Batch sizes that are captured: 1, 8, 12, 16, 24, 32, 48, 64 ... up to ``max_batch``."""
    sizes = {1, max_batch}
    for power in range(3, max_batch.bit_length() + 1):
        sizes |= {2**power, 3 * 2 ** (power - 1)}
    return sorted(size for size in sizes if size <= max_batch)


@dataclass(frozen=True)
class _Graph:
    """One batch size: how to run it, and where its results (those of `InferenceNet`) lie on the device."""

    replay: Callable[[], None]
    results: tuple[Tensor, ...]


class CudaGraphsBackend:
    """Channels last, bfloat16 (or another dtype) on one GPU; batches over ``max_batch`` go in pieces.

    On a CPU, where there are no graphs, a "graph" is a plain pass over the same static buffers: the padding and copying
    are then the same code, which is how the tests reach it.
    """

    name = "cuda_graphs"

    def __init__(
        self,
        settings: NetSettings,
        shapes: Shapes,
        dtype: str = "bfloat16",
        device: str = "cuda",
        max_batch: int = 256,
    ) -> None:
        self.dtype = dtype
        self._settings, self._shapes = settings, shapes
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        if self._cuda:
            torch.cuda.set_device(self._device)  # pinned memory and streams are made on the current one
        self._sizes = padded_sizes(max_batch)
        self._net = placed(InferenceNet(folded_net(settings, shapes)), self._device, dtype)
        self._codes = torch.zeros(max_batch, shapes.code_length, dtype=torch.int8, device=self._device)
        self._codes_host = self._host(max_batch, shapes.code_length, torch.int8)
        self._results_host = [
            self._host(max_batch, shapes.num_actions, torch.float32),
            self._host(max_batch, shapes.num_seats, torch.float32),
        ]
        if shapes.thumbnail:
            self._results_host.append(self._host(max_batch, 1, torch.int16).flatten())
        self._stream: torch.cuda.Stream | None = None
        if self._cuda:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            torch.cuda.synchronize(self._device)  # what was made above was made on another stream
        self._pool = torch.cuda.graph_pool_handle() if self._cuda else None  # one pool: graphs never run side by side
        with torch.inference_mode():
            # the largest first: the smaller ones then fit into the memory pool that it made
            self._graphs = {size: self._capture(size) for size in reversed(self._sizes)}

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        fresh = folded_net(self._settings, self._shapes, weights).state_dict()
        with torch.no_grad(), torch.cuda.stream(self._stream):
            for name, tensor in self._net.net.state_dict().items():
                tensor.copy_(fresh[name])
            self._synchronise()

    def infer(
        self,
        codes: NDArray[np.int8],
        priors_out: FloatArray,
        values_out: FloatArray,
        focus_out: FocusArray | None = None,
    ) -> None:
        limit = self._sizes[-1]
        for first in range(0, len(codes), limit):
            part = slice(first, first + limit)
            focus_part = None if focus_out is None else focus_out[part]
            self._infer_piece(codes[part], priors_out[part], values_out[part], focus_part)

    def _infer_piece(
        self,
        codes: NDArray[np.int8],
        priors_out: FloatArray,
        values_out: FloatArray,
        focus_out: FocusArray | None,
    ) -> None:
        count = len(codes)
        size = next(size for size in self._sizes if size >= count)
        graph = self._graphs[size]
        self._codes_host.numpy()[:count] = codes  # rows from count on are those of an earlier batch: valid, and unread
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._codes[:count].copy_(self._codes_host[:count], non_blocking=True)
            graph.replay()
            for host, result in zip(self._results_host, graph.results, strict=True):
                host[:count].copy_(result[:count], non_blocking=True)
            self._synchronise()
        priors, values, *focus = (host.numpy()[:count] for host in self._results_host)
        write_outputs(priors, values, priors_out, values_out, self.name, focus, focus_out)

    def _capture(self, size: int) -> _Graph:
        codes = self._codes[:size]
        if self._stream is None:
            results = self._net(codes)
            return _Graph(partial(self._plain_pass, codes, results), results)
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_PASSES):
                self._net(codes)
        self._synchronise()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            results = self._net(codes)
        return _Graph(graph.replay, results)

    def _plain_pass(self, codes: Tensor, results: tuple[Tensor, ...]) -> None:
        for result, fresh in zip(results, self._net(codes), strict=True):
            result.copy_(fresh)

    def _host(self, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(rows, columns, dtype=dtype, pin_memory=self._cuda)

    def _synchronise(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()
