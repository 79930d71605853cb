"""LRUCache: evaluations of recent positions, in preallocated arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.config import Shapes
from hexpipe.errors import SettingsError
from hexpipe.inference import lru_kernels

WAYS = 8
NOTHING_SAID = np.zeros(0, np.int16)
"""The focus of an evaluator that says none."""


class LRUCache:
    """A set-associative cache from int8 codes [C] to priors, values and focus, least recently used first out.

    It holds ``entries`` positions, rounded up to whole sets of 8 ways; eviction is by last use within a set. Full codes
    are compared, so a hit is never false, and what comes out are the bits that went in; with ``half`` priors are kept
    as float16, which changes none that came through the inference slots. One 11x11 entry takes about 630 bytes, or 390,
    and pages are only touched once used.
    """

    def __init__(self, entries: int, shapes: Shapes, half: bool = False) -> None:
        if entries < 1:
            raise SettingsError(f"a cache needs at least 1 entry (got {entries}); to do without, make no cache")
        kernel_cache.need("cache")
        self._ways = min(WAYS, entries)
        self.entries = -(-entries // self._ways) * self._ways
        self._tags = np.zeros(self.entries, np.uint64)
        self._stamps = np.zeros(self.entries, np.int64)
        self._codes = np.zeros((self.entries, shapes.code_length), np.int8)
        self._priors = np.zeros((self.entries, shapes.num_actions * (1 if half else 2)), np.uint16)
        self._values = np.zeros((self.entries, shapes.num_seats), np.float32)
        self._focus = np.zeros(self.entries if shapes.thumbnail else 0, np.int16)
        self._clock = 1
        self.hits = 0
        self.misses = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, once every entry is in use."""
        arrays = (self._tags, self._stamps, self._codes, self._priors, self._values, self._focus)
        return sum(array.nbytes for array in arrays)

    @property
    def hit_rate(self) -> float:
        """Hits over lookups since the cache was made; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._tags))

    def lookup(
        self,
        codes: NDArray[np.int8],
        priors_out: NDArray[np.float32],
        values_out: NDArray[np.float32],
        focus_out: NDArray[np.int16] = NOTHING_SAID,
    ) -> NDArray[np.bool_]:
        """Fills rows of priors_out float32 [L, A], values_out float32 [L, S] and, where there is a thumbnail, focus_out
        int16 [L] that are known; bool [L] says which."""
        count = len(codes)
        hit = np.empty(count, np.bool_)
        hits = lru_kernels.lookup(
            codes,
            self._tags,
            self._codes,
            self._priors,
            self._values,
            self._focus,
            self._stamps,
            self._tick(count),
            self._ways,
            priors_out,
            values_out,
            focus_out,
            hit,
        )
        self.hits += hits
        self.misses += count - hits
        return hit

    def insert(
        self,
        codes: NDArray[np.int8],
        priors: NDArray[np.float32],
        values: NDArray[np.float32],
        focus: NDArray[np.int16] = NOTHING_SAID,
    ) -> None:
        """Keeps priors float32 [L, A] (non-negative), values float32 [L, S] and, where there is a thumbnail, focus
        int16 [L] of codes int8 [L, C]; -1 for `NOTHING_SAID`."""
        lru_kernels.insert(
            codes,
            self._tags,
            self._codes,
            self._priors,
            self._values,
            self._focus,
            self._stamps,
            self._tick(len(codes)),
            self._ways,
            priors,
            values,
            focus,
        )

    def clear(self) -> None:
        """Forgets every position; the statistics stay."""
        self._tags[:] = 0
        self._stamps[:] = 0

    def _tick(self, count: int) -> int:
        start = self._clock
        self._clock += count
        return start
