"""The sequential halving schedule for a Gumbel root (Danihelka et al. 2022, figure 1 and section 3.2)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def halving_schedule(num_considered: int, num_simulations: int) -> tuple[list[int], list[int]]:
    """Return for each simulation the visit count that its action must have, and the number of the halving round.

    ``num_considered`` actions take part. Each of the ceil(log2(m)) rounds visits the remaining actions equally often,
    then drops the worse half; the last two share what remains.
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


class HalvingTables:
    """`halving_schedule` for 0 to ``max_considered`` actions and every requested number of simulations.

    ``num_simulations`` is the maximum. ``counts`` and ``rounds`` are int32[K * (max_considered + 1), num_simulations];
    `first_rows` tells where a number of simulations begins. Entries behind a schedule's end are 0 and never read.
    """

    def __init__(self, max_considered: int, num_simulations: int) -> None:
        self.max_considered = max_considered
        self._parts = {num_simulations: 0}
        self._fill()

    def first_rows(self, simulations: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the row int32[k] for 0 actions of each number of ``simulations`` int[k]; m actions are m rows
        further."""
        wanted = simulations.tolist()
        new = sorted(set(wanted) - self._parts.keys())
        if new:
            self._parts |= {number: len(self._parts) + i for i, number in enumerate(new)}
            self._fill()
        return np.array([self._parts[number] for number in wanted], np.int32) * (self.max_considered + 1)

    def _fill(self) -> None:
        schedules = [halving_schedule(m, n) for n in self._parts for m in range(self.max_considered + 1)]
        self.counts, self.rounds = np.zeros((2, len(schedules), max(self._parts)), np.int32)
        for row, (counts, rounds) in enumerate(schedules):
            self.counts[row, : len(counts)] = counts
            self.rounds[row, : len(rounds)] = rounds
