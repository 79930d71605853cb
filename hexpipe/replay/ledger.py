"""The writer's own list of each game's place in the ring, in order of arrival, rebuilt from the store's index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hexpipe.replay.writer_kernels import Index, find_number


class Ledger:
    """``numbers`` int64 [G], rising, and ``rings`` int64 [G], their ring numbers; the first ``count`` entries are used.

    An entry is live if its ring number is not before the tail and its slot is not dead. Other entries are dropped when
    the list is full. G is more than the games that can be live, so there is room then.
    """

    def __init__(self, index: Index, tail: int, head: int) -> None:
        self._index = index
        slots = len(index.dead)
        self.numbers = np.zeros(slots, np.int64)
        self.rings = np.zeros(slots, np.int64)
        rings = np.arange(tail, head)
        rings = rings[index.dead[rings % slots] == 0]
        numbers = index.numbers[rings % slots]
        order = np.argsort(numbers)
        self.count = len(rings)
        self.numbers[: self.count], self.rings[: self.count] = numbers[order], rings[order]
        self._first: dict[int, int] = {}  # by stage: no live game is before this entry

    @property
    def newest_number(self) -> int:
        """Last number that arrived, 0 if there is none."""
        return int(self.numbers[self.count - 1]) if self.count else 0

    def append(self, number: int, ring: int, tail: int) -> None:
        """Append the game ``number``, newer than all before, with its ring number."""
        if self.count == len(self.rings):
            rings = self.rings
            kept = (rings >= tail) & (self._index.dead[rings % len(rings)] == 0)
            self.count = int(kept.sum())
            self.numbers[: self.count] = self.numbers[kept]
            self.rings[: self.count] = rings[kept]
            self._first.clear()
        self.numbers[self.count], self.rings[self.count] = number, ring
        self.count += 1

    def find(self, number: int, tail: int) -> int:
        """Return the ring number of the game ``number``; -1 if it is not held."""
        entry = find_number(self.numbers, self.count, number)
        return int(self.rings[entry]) if entry >= 0 and self._is_live(entry, tail) else -1

    def move(self, number: int, ring: int) -> None:
        """Set the ring number of the game ``number``, which is held, to ``ring``."""
        self.rings[find_number(self.numbers, self.count, number)] = ring

    def leaving(self, held: list[int], tail: int) -> Iterator[int]:
        """Yield the ring numbers of all live games in the order of eviction; ``held`` has the count of each stage."""
        for stage in (stage for stage, games in enumerate(held) if games):
            found = False
            for entry in range(self._first.get(stage, 0), self.count):
                ring = int(self.rings[entry])
                if ring >= tail and self._is_of(ring, stage):
                    if not found:
                        self._first[stage] = entry
                    found = True
                    yield ring

    def _is_of(self, ring: int, stage: int) -> bool:
        slot = ring % len(self.rings)
        return not self._index.dead[slot] and self._index.stages[slot] == stage

    def _is_live(self, entry: int, tail: int) -> bool:
        ring = int(self.rings[entry])
        return ring >= tail and not self._index.dead[ring % len(self.rings)]
