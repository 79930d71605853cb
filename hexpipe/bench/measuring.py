"""Parts that several benchmarks measure with: rates of calls, medians with their intervals, the fastest batch."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hexpipe.errors import HexpipeError

BATCHES = (16, 32, 64, 128, 256)
TUNING_SECONDS = 0.5  # at one batch, in one round: a pass of 256 boards takes a third of it
_ROUNDS = 2


def calls_per_second(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    """Return how often a second of ``clock`` ``call`` is done, over ``seconds``, after a call that does not count."""
    call()
    calls, began = 0, clock()
    while calls == 0 or clock() < began + seconds:
        call()
        calls += 1
    return calls / (clock() - began)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the order statistics between which the median lies with at least 95 %, whatever the distribution.

    With fewer than six values no two of them reach that: the whole range is given.
    """
    ordered, n = sorted(values), len(values)
    outside, rank = 0.0, 0
    while rank < n // 2 and (outside := outside + 2 * math.comb(n, rank) / 2**n) <= 0.05:
        rank += 1
    low = max(0, rank - 1)
    return ordered[low], ordered[n - 1 - low]


def interleaved_ratio(name: str, rates: Sequence[float], bare: Sequence[float]) -> dict[str, float]:
    """Return ``name``: the median ratio of each rate to the mean of its two neighbours in ``bare``; name_low,
    name_high: its interval."""
    ratios = [2 * rate / (one + other) for rate, one, other in zip(rates, bare, bare[1:], strict=False)]
    low, high = median_interval(ratios)
    return {name: statistics.median(ratios), f"{name}_low": low, f"{name}_high": high}


def fastest_batch(batches: Sequence[int], rate: Callable[[int], float]) -> int:
    """Return the one of ``batches`` with the highest ``rate(batch)`` in any round; a single one is not tried.

    Have every process at work: neighbouring cores share caches and units, so that one core's best batch need not be
    that of all of them.
    """
    if len(batches) == 1:
        return batches[0]
    rates = dict.fromkeys(batches, 0.0)
    for _ in range(_ROUNDS):
        for batch in batches:
            rates[batch] = max(rates[batch], rate(batch))
    return max(rates, key=lambda batch: rates[batch])


def wait_until(
    condition: Callable[[], object], seconds: float, late: str, look: Callable[[], object] = lambda: None
) -> None:
    """Wait for ``condition()``, with a ``look`` that may raise between; HexpipeError ``late`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        look()
        if time.monotonic() > deadline:
            raise HexpipeError(late)
        time.sleep(0.01)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and numpy have one thread for the length of the block."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
