"""The batch at which bare forward passes are fastest, tried with every process at work.

Neighbouring cores share caches and units: one core's best batch need not be that of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

BATCHES = (16, 32, 64, 128, 256)
TUNING_SECONDS = 0.5  # at one batch, in one round: a pass of 256 boards takes a third of it
_ROUNDS = 2


def fastest_batch(batches: Sequence[int], rate: Callable[[int], float]) -> int:
    """The one of ``batches`` with the highest ``rate(batch)`` in any round; a single one is not tried."""
    if len(batches) == 1:
        return batches[0]
    rates = dict.fromkeys(batches, 0.0)
    for _ in range(_ROUNDS):
        for batch in batches:
            rates[batch] = max(rates[batch], rate(batch))
    return max(rates, key=lambda batch: rates[batch])
