"""The interval of a median that no distribution is assumed for."""

from __future__ import annotations

import math
from collections.abc import Sequence


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The order statistics between which the median lies with at least 95 %, whatever the distribution.

    With fewer than six values no two of them reach that: the whole range is given.
    """
    ordered, n = sorted(values), len(values)
    outside, rank = 0.0, 0
    while rank < n // 2 and (outside := outside + 2 * math.comb(n, rank) / 2**n) <= 0.05:
        rank += 1
    low = max(0, rank - 1)
    return ordered[low], ordered[n - 1 - low]
