"""Batches sampled ahead on background threads, so that a step never waits for the replay buffer.

Batch i is sampled with its own generator, seeded by seed and i, and batches come in that order for any number of
threads. The kernels of the sampler release the interpreter lock, so sampling and a step run side by side. Tensors are
pinned (page-locked, for asynchronous copies) on the thread, and only for an accelerator: without one pinning starts
CUDA's machinery or fails, and an ordinary tensor that shares the sampler's array is free.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hexpipe.errors import HexpipeError
from hexpipe.learner.train_step import as_tensors
from hexpipe.random_streams import Stream, generator

Sample = Callable[[np.random.Generator], Mapping[str, Any]]


def default_threads(device: torch.device) -> int:
    """Return the number of threads that keep up with ``device``. A CPU shares its cores with them: each wake-up slows
    its step."""
    return 1 if device.type == "cpu" else 2


def batch_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of batch ``index``: the same in the synchronous loop and on every thread."""
    return generator(Stream.BATCH, seed, index)


def prepare_batch(batch: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    """Convert the arrays of ``batch`` to tensors: pinned copies for an accelerator, the same memory for a CPU."""
    tensors = as_tensors(batch)
    if device.type == "cpu":
        return tensors
    return {name: part.pin_memory() for name, part in tensors.items()}


class Prefetcher:
    """Batches of ``sample`` in order, ``threads`` of them in progress and as many ready (double buffering).

    An error on a thread is raised by the `next` call that would have returned its batch. Sampling starts with the first
    `next`, so a Prefetcher may be made before the buffer has games.
    """

    def __init__(
        self,
        sample: Sample,
        threads: int,
        device: torch.device,
        seed: int,
        *,
        first_index: int = 0,
        timeout_seconds: float = 120.0,
    ) -> None:
        self._sample = sample
        self._device = device
        self._seed = seed
        self._next_index = first_index
        self._timeout = timeout_seconds
        self._depth = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
        self._pending: deque[Future[dict[str, Tensor]]] = deque()
        self._stopped = False
        self.wait_seconds = 0.0
        """Total seconds spent in `next`: over wall time, the data wait fraction."""

    def ready(self, timeout: float) -> bool:
        """Return whether `next` returns its batch, or its error, at once; waits up to ``timeout`` seconds for it."""
        start = time.perf_counter()
        self._fill()
        done, _ = wait([self._pending[0]], timeout)
        self.wait_seconds += time.perf_counter() - start
        return bool(done)

    def next(self) -> dict[str, Tensor]:
        """Return the next batch as tensors; raises its sampling's error, HexpipeError on a timeout."""
        if self._stopped:
            raise HexpipeError("the prefetcher was stopped: make a new one to go on")
        start = time.perf_counter()
        self._fill()
        future = self._pending.popleft()
        done, _ = wait([future], self._timeout)
        if not done:
            raise HexpipeError(
                f"no batch was sampled in {self._timeout:.0f} s: the replay buffer does not answer; "
                "stop the run and resume it"
            )
        self._fill()
        self.wait_seconds += time.perf_counter() - start
        return future.result()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while not self._stopped:
            yield self.next()

    def stop(self) -> None:
        """Cancel pending batches, wait for those in progress (milliseconds) and end the threads."""
        self._stopped = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pending.clear()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _fill(self) -> None:
        while len(self._pending) < self._depth:
            self._pending.append(self._pool.submit(self._make, self._next_index))
            self._next_index += 1

    def _make(self, index: int) -> dict[str, Tensor]:
        return prepare_batch(self._sample(batch_rng(self._seed, index)), self._device)
