"""LRUCache: evaluations of recent positions, in preallocated arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.answers import FIELDS, Answers
from hexpipe.config import Shapes
from hexpipe.errors import SettingsError
from hexpipe.inference import lru_kernels

WAYS = 8


class LRUCache:
    """A set-associative cache from int8 codes [C] to answers, least recently used first out.

    It holds ``entries`` positions, rounded up to whole sets of 8 ways; eviction is by last use within a set. Full codes
    are compared, so a hit is never false, and what comes out are the bits that went in; with ``half`` answers are kept
    as they are sent, priors as float16, which changes none that came through the inference slots. One 11x11 entry takes
    about 630 bytes, or 390, and pages are only touched once used.
    """

    def __init__(self, entries: int, shapes: Shapes, half: bool = False) -> None:
        if entries < 1:
            words = f"a cache needs at least 1 entry (got {entries}); to do without, make no cache"
            raise SettingsError(words, kind="range", setting="selfplay.cache_entries", low=1)
        kernel_cache.need("cache")
        ways = min(WAYS, entries)
        self.entries = -(-entries // ways) * ways
        self._index = lru_kernels.Index(
            tags=np.zeros(self.entries, np.uint64),
            stamps=np.zeros(self.entries, np.int64),
            codes=np.zeros((self.entries, shapes.code_length), np.int8),
            ways=ways,
        )
        self._answers = Answers.allocate(self.entries, shapes, sent=half)
        self._clock = 1
        self.hits = 0
        self.misses = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, once every entry is in use."""
        index: list[NDArray[Any]] = [self._index.tags, self._index.stamps, self._index.codes]
        return sum(array.nbytes for array in index + self._answers.parts())

    @property
    def hit_rate(self) -> float:
        """Hits over lookups since the cache was made; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._index.tags))

    def fill(self, codes: NDArray[np.int8], tags: NDArray[np.uint64], entries: NDArray[np.int32], out: Answers) -> int:
        """Fill the rows of ``out`` whose positions are known, write -1 into the others' ``entries`` int32 [L]; return
        the hits.

        ``codes`` int8 [L, C]; ``tags`` uint64 [L] are their hashes (`lru_kernels.hash_codes`).
        """
        hits: int = lru_kernels.find(codes, tags, self._index, self._tick(len(codes)), entries)
        self.hits += hits
        self.misses += len(codes) - hits
        copy_answers(self._answers, entries, out)
        return hits

    def keep(self, codes: NDArray[np.int8], tags: NDArray[np.uint64], answers: Answers) -> None:
        """Cache ``answers`` (priors are non-negative) about codes int8 [L, C], whose hashes are ``tags`` uint64 [L]."""
        entries = np.empty(len(codes), np.int32)
        lru_kernels.place(codes, tags, self._index, self._tick(len(codes)), entries)
        for field, part, kept in zip(FIELDS, answers, self._answers, strict=True):
            if kept is None:
                continue
            if part is None:
                kept[entries] = field.unsaid
            elif kept.dtype == part.dtype:
                lru_kernels.put_rows(_rows(part), entries, _rows(kept))
            else:
                lru_kernels.put_half_rows(part, entries, kept.view(np.uint16))

    def lookup(
        self,
        codes: NDArray[np.int8],
        priors_out: NDArray[np.float32],
        values_out: NDArray[np.float32],
        focus_out: NDArray[np.int16] | None = None,
    ) -> NDArray[np.bool_]:
        """Fill the known rows of priors_out float32 [L, A], values_out float32 [L, S] and, with a thumbnail, focus_out
        int16 [L].

        Returns bool [L], True for the known rows. `fill` does it for all parts of answers.
        """
        entries = np.empty(len(codes), np.int32)
        self.fill(codes, _tags(codes), entries, Answers(priors_out, values_out, focus=focus_out))
        hit: NDArray[np.bool_] = entries >= 0
        return hit

    def insert(
        self,
        codes: NDArray[np.int8],
        priors: NDArray[np.float32],
        values: NDArray[np.float32],
        focus: NDArray[np.int16] | None = None,
    ) -> None:
        """Cache priors float32 [L, A] (non-negative), values float32 [L, S] and, with a thumbnail, focus int16 [L], of
        codes.

        ``codes`` is int8 [L, C]; focus is -1 where unknown. `keep` does it for all parts of answers.
        """
        self.keep(codes, _tags(codes), Answers(priors, values, focus=focus))

    def clear(self) -> None:
        """Forget every position; the statistics stay."""
        self._index.tags[:] = 0
        self._index.stamps[:] = 0

    def _tick(self, count: int) -> int:
        start = self._clock
        self._clock += count
        return start


def copy_answers(source: Answers, origin: NDArray[np.int32], out: Answers) -> None:
    """Fill the rows of ``out`` for which ``origin`` int32 [L] names a row of ``source``; -1 names none."""
    for field, part, room in zip(FIELDS, source, out, strict=True):
        if room is None:
            continue
        if part is None:
            room[origin >= 0] = field.unsaid
        elif part.dtype == room.dtype:
            lru_kernels.copy_rows(_rows(part), origin, _rows(room))
        else:
            lru_kernels.copy_half_rows(part.view(np.uint16), origin, room)


def _tags(codes: NDArray[np.int8]) -> NDArray[np.uint64]:
    tags = np.empty(len(codes), np.uint64)
    lru_kernels.hash_codes(codes, tags)
    return tags


def _rows(part: NDArray[Any]) -> NDArray[Any]:
    return part if part.ndim == 2 else part[:, None]
