"""Sequential halving's schedule for a Gumbel root (Danihelka et al. 2022, figure 1 and section 3.2)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def halving_schedule(num_considered: int, num_simulations: int) -> tuple[list[int], list[int]]:
    """For each simulation: the visit count that the chosen action must have, and the number of the halving round.

    ``num_considered`` actions take part. Each of the ceil(log2(m)) rounds visits the actions left over equally
    often, then drops the worse half; the last two share what remains.
    """
    if num_considered <= 1:
        return list(range(num_simulations)), [0] * num_simulations
    rounds = math.ceil(math.log2(num_considered))
    visits = [0] * num_considered
    counts: list[int] = []
    stages: list[int] = []
    left, stage = num_considered, 0
    while len(counts) < num_simulations:
        for _ in range(max(1, num_simulations // (rounds * left))):
            counts.extend(visits[:left])
            stages.extend([stage] * left)
            for i in range(left):
                visits[i] += 1
        left, stage = max(2, left // 2), stage + 1
    return counts[:num_simulations], stages[:num_simulations]


def halving_tables(max_considered: int, num_simulations: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`halving_schedule` for every number of actions from 0 to ``max_considered``: two int32[max + 1, simulations]."""
    schedules = [halving_schedule(m, num_simulations) for m in range(max_considered + 1)]
    return (
        np.array([counts for counts, _ in schedules], np.int32),
        np.array([stages for _, stages in schedules], np.int32),
    )
