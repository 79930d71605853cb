"""A GPU: one CUDA graph a padded batch size, static buffers, weights copied in place, copies while it computes.

A batch is padded to the next of a few sizes, so that each size is captured once (cudaGraph replay costs a few
microseconds, where the net's hundred kernel launches cost half a millisecond). New weights are copied into the tensors
that the graphs read, so nothing is captured again.

Two batches can be under way, each in a lane of its own: pinned buffers on the host, others on the device. One stream
copies codes in, one computes, one copies results out, so that a batch travels while another computes. The compute
stream does its work in the order in which it was told: a batch that was started before a load is of the older weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hexpipe.config import NetSettings, Shapes
from hexpipe.errors import InferenceError
from hexpipe.nets.backend_torch import placed
from hexpipe.nets.backends import FloatArray, FocusArray, write_outputs
from hexpipe.nets.factory import InferenceNet, folded_net

WARM_UP_PASSES = 3  # cuDNN chooses its algorithms before the capture
LANES = 2


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


@dataclass(frozen=True)
class _Streams:
    """Of a GPU; on a CPU all are None, and everything happens at once."""

    into: torch.cuda.Stream | None = None
    compute: torch.cuda.Stream | None = None
    out: torch.cuda.Stream | None = None

    @classmethod
    def on(cls, device: torch.device) -> _Streams:
        """Three streams of ``device`` where it has any."""
        if device.type != "cuda":
            return cls()
        return cls(*(torch.cuda.Stream(device) for _ in range(3)))  # type: ignore[no-untyped-call]


class _Lane:
    """Buffers of one batch that is under way, and the event that its results are on the host."""

    def __init__(self, max_batch: int, shapes: Shapes, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self.codes = torch.zeros(max_batch, shapes.code_length, dtype=torch.int8, device=device)
        self.results = [
            torch.zeros(max_batch, shapes.num_actions, device=device),
            torch.zeros(max_batch, shapes.num_seats, device=device),
        ]
        if shapes.thumbnail:
            self.results.append(torch.zeros(max_batch, dtype=torch.int16, device=device))
        self.codes_host = torch.zeros_like(self.codes, device="cpu", pin_memory=cuda)
        self.results_host = [torch.zeros_like(part, device="cpu", pin_memory=cuda) for part in self.results]
        # a wait that sleeps: generators want the core
        self.done = torch.cuda.Event(blocking=True) if cuda else None  # type: ignore[no-untyped-call]
        self.rows = 0


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
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)  # pinned memory and streams are made on the current one
        self._sizes = padded_sizes(max_batch)
        self._net = placed(InferenceNet(folded_net(settings, shapes)), self._device, dtype)
        self._codes = torch.zeros(max_batch, shapes.code_length, dtype=torch.int8, device=self._device)
        self._lanes = [_Lane(max_batch, shapes, self._device) for _ in range(LANES)]
        self._free = list(range(LANES))
        self._streams = _Streams.on(self._device)
        self._pool: Any = None
        if self._streams.compute is not None:
            self._pool = torch.cuda.graph_pool_handle()  # one for all: graphs never run side by side
            torch.cuda.synchronize(self._device)  # what was made above was made on another stream
        with torch.inference_mode():
            # the largest first: the smaller ones then fit into the memory pool that it made
            self._graphs = {size: self._capture(size) for size in reversed(self._sizes)}

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        fresh = folded_net(self._settings, self._shapes, weights).state_dict()
        with torch.no_grad(), _within(self._streams.compute):
            for name, tensor in self._net.net.state_dict().items():
                tensor.copy_(fresh[name])
        if self._streams.compute is not None:
            self._streams.compute.synchronize()

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
            self.finish(self.start(codes[part]), priors_out[part], values_out[part], focus_part)

    def start(self, codes: NDArray[np.int8]) -> int:
        if not self._free:
            raise InferenceError(f"{LANES} batches are under way: finish one before the next is started")
        count = len(codes)
        graph = self._graphs[next(size for size in self._sizes if size >= count)]
        ticket = self._free.pop()
        lane, streams = self._lanes[ticket], self._streams
        lane.rows = count
        lane.codes_host.numpy()[:count] = codes
        with torch.inference_mode():
            with _within(streams.into):
                lane.codes[:count].copy_(lane.codes_host[:count], non_blocking=True)
            with _within(streams.compute, after=streams.into):
                self._codes[:count].copy_(lane.codes[:count])  # rows from count on are older ones: valid, and unread
                graph.replay()
                for result, fresh in zip(lane.results, graph.results, strict=True):
                    result[:count].copy_(fresh[:count])
            with _within(streams.out, after=streams.compute):
                for host, result in zip(lane.results_host, lane.results, strict=True):
                    host[:count].copy_(result[:count], non_blocking=True)
        if lane.done is not None:
            lane.done.record(streams.out)
        return ticket

    def finish(
        self, ticket: int, priors_out: FloatArray, values_out: FloatArray, focus_out: FocusArray | None = None
    ) -> None:
        if ticket in self._free:
            raise InferenceError(f"no batch of ticket {ticket} is under way: start one first")
        lane = self._lanes[ticket]
        if lane.done is not None:
            lane.done.synchronize()
        self._free.append(ticket)  # its buffers are read now, and nothing is started meanwhile
        priors, values, *focus = (host.numpy()[: lane.rows] for host in lane.results_host)
        write_outputs(priors, values, priors_out, values_out, self.name, focus, focus_out)

    def _capture(self, size: int) -> _Graph:
        codes, stream = self._codes[:size], self._streams.compute
        if stream is None:
            results = self._net(codes)
            return _Graph(partial(self._plain_pass, codes, results), results)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_PASSES):
                self._net(codes)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream):
            results = self._net(codes)
        return _Graph(graph.replay, results)

    def _plain_pass(self, codes: Tensor, results: tuple[Tensor, ...]) -> None:
        for result, fresh in zip(results, self._net(codes), strict=True):
            result.copy_(fresh)


def _within(stream: torch.cuda.Stream | None, after: torch.cuda.Stream | None = None) -> AbstractContextManager[None]:
    """What is done in the block is done by ``stream``, after all that ``after`` has been told until now."""
    if stream is not None and after is not None:
        stream.wait_stream(after)
    return torch.cuda.stream(stream)
