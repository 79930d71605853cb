"""The net on a GPU: CUDA graphs for padded batch sizes, static buffers, weights copied in place, overlapped copies.

New weights are copied into the tensors that the graphs read (`cuda_graphs`), so no recapture is needed.

Two batches can be in flight (double buffering), each in a lane of its own: pinned buffers on the host, others on the
device. One stream copies codes in, one computes, one copies results out, so that copies of a batch overlap with the
computation of another. The compute stream works in order: a batch that was started before a load uses the older
weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import NetSettings, Shapes
from hexpipe.errors import InferenceError
from hexpipe.nets.backend_torch import placed
from hexpipe.nets.backends import write_outputs
from hexpipe.nets.cuda_graphs import (
    GraphMaker,
    host_twin,
    load_in_place,
    new_stream,
    padded_sizes,
    result_buffers,
    within,
)
from hexpipe.nets.factory import InferenceNet, folded_net

LANES = 2


class _Lane:
    """Buffers of one batch in flight, and the event of its results' arrival on the host."""

    def __init__(self, max_batch: int, shapes: Shapes, device: torch.device) -> None:
        self.codes = torch.zeros(max_batch, shapes.code_length, dtype=torch.int8, device=device)
        self.results = result_buffers(max_batch, shapes, device)
        self.codes_host = host_twin(self.codes)
        self.results_host = [host_twin(part) for part in self.results]
        self.answers = Answers.named((host.numpy() for host in self.results_host), shapes)  # views of the same memory
        # a blocking wait, not a spinning one: generators need the core
        self.done = torch.cuda.Event(blocking=True) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.rows = 0


class CudaGraphsBackend:
    """The net channels last, bfloat16 (or another dtype) on one GPU; batches over ``max_batch`` are split.

    It also runs on a CPU, for tests. Two batches at once: see `backends.OverlappingBackend`.
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
            torch.cuda.set_device(self._device)  # pinned memory and streams are made on the current device
        self._sizes = padded_sizes(max_batch)
        self._net = placed(InferenceNet(folded_net(settings, shapes)), self._device, dtype)
        self._codes = torch.zeros(max_batch, shapes.code_length, dtype=torch.int8, device=self._device)
        self._lanes = [_Lane(max_batch, shapes, self._device) for _ in range(LANES)]
        self._free = list(range(LANES))
        self._into, self._out = new_stream(self._device), new_stream(self._device)
        maker = GraphMaker(self._device)
        self._compute = maker.compute
        self._graphs = {size: maker.capture(partial(self._net, self._codes[:size])) for size in reversed(self._sizes)}

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        load_in_place(self._net.net, folded_net(self._settings, self._shapes, weights), self._compute)

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        limit = self._sizes[-1]
        for first in range(0, len(codes), limit):
            part = slice(first, first + limit)
            self.finish(self.start(codes[part]), out.at(part))

    def start(self, codes: NDArray[np.int8]) -> int:
        if not self._free:
            raise InferenceError(f"{LANES} batches are under way: finish one before the next is started", kind="busy")
        count = len(codes)
        graph = self._graphs[next(size for size in self._sizes if size >= count)]
        ticket = self._free.pop()
        lane = self._lanes[ticket]
        lane.rows = count
        lane.codes_host.numpy()[:count] = codes
        with torch.inference_mode():
            with within(self._into):
                lane.codes[:count].copy_(lane.codes_host[:count], non_blocking=True)
            with within(self._compute, after=self._into):
                self._codes[:count].copy_(lane.codes[:count])  # rows from count on are older ones: valid, and ignored
                graph.replay()
                for result, fresh in zip(lane.results, graph.results, strict=True):
                    result[:count].copy_(fresh[:count])
            with within(self._out, after=self._compute):
                for host, result in zip(lane.results_host, lane.results, strict=True):
                    host[:count].copy_(result[:count], non_blocking=True)
        if lane.done is not None:
            lane.done.record(self._out)
        return ticket

    def finish(self, ticket: int, out: Answers) -> None:
        if ticket in self._free:
            raise InferenceError(f"no batch of ticket {ticket} is under way: start one first", kind="missing")
        lane = self._lanes[ticket]
        if lane.done is not None:
            lane.done.synchronize()
        self._free.append(ticket)  # its buffers have been read, and nothing is started meanwhile
        write_outputs(lane.answers.at(slice(lane.rows)), out, self.name)
