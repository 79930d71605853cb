"""CUDA graphs over static buffers, one a padded batch size, and the streams around them.

A batch is padded to the next of a few sizes, so that each size is captured once: cudaGraph replay costs a few
microseconds, where the net's hundred kernel launches cost half a millisecond. On a CPU, where there are no graphs, a
"graph" is a plain pass over the same static buffers: the padding and copying are then the same code, so that tests
cover it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hexpipe.answers import Answers
from hexpipe.config import Shapes

WARM_UP_PASSES = 3  # cuDNN chooses its algorithms before the capture


def padded_sizes(max_batch: int) -> list[int]:
    """Return the batch sizes to capture: 1, 8, 12, 16, 24, 32, 48, 64 ... up to ``max_batch``."""
    sizes = {1, max_batch}
    for power in range(3, max_batch.bit_length() + 1):
        sizes |= {2**power, 3 * 2 ** (power - 1)}
    return sorted(size for size in sizes if size <= max_batch)


@dataclass(frozen=True)
class Graph:
    """One pass over static buffers: the function to replay it, and its results on the device."""

    replay: Callable[[], None]
    results: tuple[Tensor, ...]


class GraphMaker:
    """Maker of one backend's graphs on ``device``, which share one pool of memory: they never run concurrently.

    ``compute`` is the stream that they are replayed on; None on a CPU. Allocate the buffers first.
    """

    def __init__(self, device: torch.device) -> None:
        self.compute = new_stream(device)
        self._pool: Any = None
        if self.compute is not None:
            self._pool = torch.cuda.graph_pool_handle()
            torch.cuda.synchronize(device)  # the buffers were made on another stream

    def capture(self, run: Callable[[], tuple[Tensor, ...]]) -> Graph:
        """Capture the graph of ``run``, which reads and writes static tensors only.

        Capture the largest batch first: the smaller ones then fit into its memory.
        """
        with torch.inference_mode():
            if self.compute is None:
                results = run()
                return Graph(partial(_plain_pass, run, results), results)
            with torch.cuda.stream(self.compute):
                for _ in range(WARM_UP_PASSES):
                    run()
            self.compute.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self.compute):
                results = run()
            return Graph(graph.replay, results)


def _plain_pass(run: Callable[[], tuple[Tensor, ...]], results: tuple[Tensor, ...]) -> None:
    for result, fresh in zip(results, run(), strict=True):
        result.copy_(fresh)


def new_stream(device: torch.device) -> torch.cuda.Stream | None:
    """Return a stream of a GPU; None on a CPU, where all work is synchronous."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def within(stream: torch.cuda.Stream | None, after: torch.cuda.Stream | None = None) -> AbstractContextManager[None]:
    """Run the block's work on ``stream``, after all work queued on ``after`` so far."""
    if stream is not None and after is not None:
        stream.wait_stream(after)
    return torch.cuda.stream(stream)


def host_twin(buffer: Tensor) -> Tensor:
    """Allocate host memory like ``buffer``, pinned if that is on a GPU: copies between them are asynchronous."""
    return torch.zeros_like(buffer, device="cpu", pin_memory=buffer.is_cuda)


def result_buffers(rows: int, shapes: Shapes, device: torch.device, learned: bool = False) -> list[Tensor]:
    """Allocate static buffers on ``device`` for a net's outputs about ``rows`` positions, in their order."""
    return [torch.from_numpy(part).to(device) for part in Answers.allocate(rows, shapes, learned).parts()]


@torch.no_grad()
def load_in_place(net: torch.nn.Module, fresh: torch.nn.Module, stream: torch.cuda.Stream | None) -> None:
    """Copy the weights and memory of ``fresh`` into the tensors of ``net``, which graphs read, by ``stream``; waits."""
    weights = fresh.state_dict()
    with within(stream):
        for name, tensor in net.state_dict().items():
            tensor.copy_(weights[name])
    if stream is not None:
        stream.synchronize()
