from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
import pytest
import torch

from hexpipe.errors import ArchiveError, HexpipeError
from hexpipe.learner import prefetch
from hexpipe.learner.prefetch import Prefetcher, batch_rng, prepare_batch

CPU = torch.device("cpu")


def _numbers(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"codes": rng.integers(0, 100, 4).astype(np.int8)}


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_are_those_of_the_synchronous_loop(threads: int) -> None:
    with Prefetcher(_numbers, threads, CPU, seed=5, first_index=2) as batches:
        got = [batches.next()["codes"].numpy() for _ in range(10)]
    expected = [_numbers(batch_rng(5, index))["codes"] for index in range(2, 12)]
    np.testing.assert_array_equal(got, expected)


def test_sampling_goes_on_while_the_caller_computes() -> None:
    made = threading.Semaphore(0)

    def sample(rng: np.random.Generator) -> dict[str, np.ndarray]:
        made.release()
        return _numbers(rng)

    with Prefetcher(sample, 2, CPU, seed=0) as batches:
        batches.next()
        # double-buffered: twice the threads are made without another call
        for _ in range(5):
            assert made.acquire(timeout=100)


def test_only_what_is_waited_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def waits(futures: list[Future[Any]], timeout: float) -> object:
        now[0] += 0.0 if futures[0].done() else 3.0
        return wait(futures, timeout)

    monkeypatch.setattr(prefetch.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(prefetch, "wait", waits)
    release = threading.Event()

    def sample(rng: np.random.Generator) -> dict[str, np.ndarray]:
        release.wait(100)
        return _numbers(rng)

    with Prefetcher(sample, 1, CPU, seed=0) as batches:
        threading.Timer(0.05, release.set).start()
        batches.next()
        assert batches.wait_seconds == 3
        now[0] += 5.0
        wait(list(batches._pending))  # ready before they are asked for
        batches.next()
        assert batches.wait_seconds == 3


def test_nothing_is_sampled_before_the_first_next() -> None:
    calls: list[int] = []

    def sample(rng: np.random.Generator) -> dict[str, np.ndarray]:
        calls.append(1)
        return _numbers(rng)

    Prefetcher(sample, 1, CPU, seed=0).stop()
    assert not calls


def test_errors_surface_in_order() -> None:
    def sample(rng: np.random.Generator) -> dict[str, np.ndarray]:
        if rng.bit_generator.state == third:
            raise ArchiveError("torn")
        return _numbers(rng)

    third = batch_rng(0, 2).bit_generator.state
    with Prefetcher(sample, 2, CPU, seed=0) as batches:
        batches.next()
        batches.next()
        with pytest.raises(ArchiveError, match="torn"):
            batches.next()


def test_a_silent_sampler_is_an_error_and_stop_ends_its_threads() -> None:
    release = threading.Event()

    def sample(rng: np.random.Generator) -> dict[str, np.ndarray]:
        release.wait(100)
        return _numbers(rng)

    batches = Prefetcher(sample, 1, CPU, seed=0, timeout_seconds=0.05)
    with pytest.raises(HexpipeError, match="no batch was sampled"):
        batches.next()
    release.set()
    batches.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
    with pytest.raises(HexpipeError, match="stopped"):
        batches.next()


def test_pinned_only_for_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Any] = []
    monkeypatch.setattr(prefetch.torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    array = np.zeros(3, np.float32)
    on_cpu = prepare_batch({"mask": array}, CPU)
    assert not pinned
    array[1] = 7
    assert on_cpu["mask"][1] == 7  # the same memory
    prepare_batch({"mask": array}, torch.device("cuda"))
    assert len(pinned) == 1
