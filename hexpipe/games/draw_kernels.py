"""Draws for random games in numba, by splitmix64 (Steele, Lea, Flood 2014)."""

from __future__ import annotations

import numpy as np
from numba import njit

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""What splitmix64's state grows by from one number to the next."""


@njit(cache=True, nogil=True, _nrt=False)
def drawn(state: np.uint64, limit: int) -> np.intp:
    """0 to limit - 1: the number of splitmix64's ``state``, its upper half scaled."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.intp(((z >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32))
