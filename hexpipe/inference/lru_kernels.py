"""Kernels of the generator's side: float16 in and out of float32, and the evaluation cache.

The cache is set-associative: a state's 64-bit hash names a set of W ways; within it the full codes decide, and the way
with the oldest stamp makes room. Conversions work on integers: numpy's own float16 casts are 5 to 8 times slower.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_BIAS = np.uint32(112 << 23)  # float32's exponent bias above float16's, in float32's exponent field
_SMALLEST_NORMAL = np.uint32(113 << 23)  # bits of 2**-14
_TWO_TO_MINUS_14 = np.float32(2.0**-14)
_TWO_TO_24 = np.float32(2.0**24)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)  # of MurmurHash3's 64-bit finaliser (public domain)


@njit(cache=True, nogil=True, inline="always")
def _half_row_to_float(bits: NDArray[np.uint16], out: NDArray[np.float32]) -> None:
    out_bits = out.view(np.uint32)
    for i in range(bits.shape[0]):
        shifted = np.uint32(bits[i]) << np.uint32(13)
        out_bits[i] = shifted + (_BIAS if bits[i] >= 0x400 else _SMALLEST_NORMAL)
    for i in range(bits.shape[0]):
        # a subnormal half was given the exponent of 2**-14: taking that off again leaves its value exactly
        out[i] -= np.float32(0.0) if bits[i] >= 0x400 else _TWO_TO_MINUS_14


@njit(cache=True, nogil=True, inline="always")
def _float_row_to_half(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
    bits = values.view(np.uint32)
    for i in range(values.shape[0]):
        word = bits[i]
        normal = (word + np.uint32(0xFFF) + ((word >> np.uint32(13)) & np.uint32(1)) - _BIAS) >> np.uint32(13)
        small = np.uint32(np.rint(values[i] * _TWO_TO_24)) if word < _SMALLEST_NORMAL else np.uint32(0)
        out[i] = small if word < _SMALLEST_NORMAL else normal


@njit(cache=True, nogil=True, inline="always")
def _copy_bits(source: NDArray[np.uint16], out: NDArray[np.uint16]) -> None:
    for i in range(source.shape[0]):
        out[i] = source[i]


@njit(cache=True, nogil=True)
def half_to_float(bits: NDArray[np.uint16], out: NDArray[np.float32]) -> None:
    """``out`` float32 [L, A] from the bits uint16 [L, A] of non-negative finite float16 numbers; exact."""
    for row in range(bits.shape[0]):
        _half_row_to_float(bits[row], out[row])


@njit(cache=True, nogil=True)
def float_to_half(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
    """Bits uint16 [L, A] of ``values`` float32 [L, A] in [0, 65504], rounded to nearest even as IEEE 754 asks."""
    for row in range(values.shape[0]):
        _float_row_to_half(values[row], out[row])


@njit(cache=True, nogil=True, inline="always")
def _hash(codes: NDArray[np.int8]) -> np.uint64:
    """64 bits of codes int8 [C], eight at a time."""
    length = codes.shape[0]
    whole = length - length % 8
    state = _SEED ^ np.uint64(length)
    for start in range(0, whole, 8):
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(np.uint8(codes[start + k])) << np.uint64(8 * k)
        state = (state ^ word) * _MULTIPLIER
        state ^= state >> np.uint64(32)
    word = np.uint64(0)
    for k in range(whole, length):
        word |= np.uint64(np.uint8(codes[k])) << np.uint64(8 * (k - whole))
    state = (state ^ word) * _MULTIPLIER
    return state ^ (state >> np.uint64(29))


@njit(cache=True, nogil=True, inline="always")
def _same(left: NDArray[np.int8], right: NDArray[np.int8]) -> bool:
    difference = np.int8(0)
    for i in range(left.shape[0]):  # no early exit: it vectorises
        difference |= left[i] ^ right[i]
    return bool(difference == 0)


@njit(cache=True, nogil=True, inline="always")
def _find(
    codes: NDArray[np.int8], tag: np.uint64, tags: NDArray[np.uint64], kept: NDArray[np.int8], first: int, ways: int
) -> int:
    """The entry that holds ``codes``, or -1."""
    for entry in range(first, first + ways):
        if tags[entry] == tag and _same(codes, kept[entry]):
            return entry
    return -1


@njit(cache=True, nogil=True)
def lookup(
    codes: NDArray[np.int8],
    tags: NDArray[np.uint64],
    kept: NDArray[np.int8],
    kept_priors: NDArray[np.uint16],
    kept_values: NDArray[np.float32],
    kept_focus: NDArray[np.int16],
    stamps: NDArray[np.int64],
    clock: int,
    ways: int,
    priors: NDArray[np.float32],
    values: NDArray[np.float32],
    focus: NDArray[np.int16],
    hit: NDArray[np.bool_],
) -> int:
    """Fills priors [L, A], values [L, S] and focus [L] where codes [L, C] are kept; ``hit`` bool [L]; returns the hits.

    ``tags`` uint64 [entries] (0: empty), ``stamps`` int64 [entries]: the clock of the last use, ``kept_priors`` uint16
    [entries, A or 2 A]: float16, or float32 as it is. Here and below arrays
    of focus have length 0 where there is none to keep, or none is given.
    """
    sets = tags.shape[0] // ways
    hits = 0
    for row in range(codes.shape[0]):
        tag = _hash(codes[row]) | np.uint64(1)
        first = int((tag >> np.uint64(16)) % np.uint64(sets)) * ways
        entry = _find(codes[row], tag, tags, kept, first, ways)
        hit[row] = entry >= 0
        if entry >= 0:
            hits += 1
            stamps[entry] = clock + row
            if kept_priors.shape[1] == priors.shape[1]:
                _half_row_to_float(kept_priors[entry], priors[row])
            else:
                _copy_bits(kept_priors[entry], priors[row].view(np.uint16))
            for seat in range(values.shape[1]):
                values[row, seat] = kept_values[entry, seat]
            if kept_focus.shape[0] > 0 and focus.shape[0] > 0:
                focus[row] = kept_focus[entry]
    return hits


@njit(cache=True, nogil=True)
def insert(
    codes: NDArray[np.int8],
    tags: NDArray[np.uint64],
    kept: NDArray[np.int8],
    kept_priors: NDArray[np.uint16],
    kept_values: NDArray[np.float32],
    kept_focus: NDArray[np.int16],
    stamps: NDArray[np.int64],
    clock: int,
    ways: int,
    priors: NDArray[np.float32],
    values: NDArray[np.float32],
    focus: NDArray[np.int16],
) -> None:
    """Keeps priors [L, A], values [L, S] and focus [L] of codes [L, C], each in place of its set's least recently used
    entry."""
    sets = tags.shape[0] // ways
    for row in range(codes.shape[0]):
        tag = _hash(codes[row]) | np.uint64(1)
        first = int((tag >> np.uint64(16)) % np.uint64(sets)) * ways
        entry = _find(codes[row], tag, tags, kept, first, ways)
        if entry < 0:
            entry = first
            for other in range(first + 1, first + ways):
                if stamps[other] < stamps[entry]:
                    entry = other
            tags[entry] = tag
            kept[entry] = codes[row]
        stamps[entry] = clock + row
        if kept_priors.shape[1] == priors.shape[1]:
            _float_row_to_half(priors[row], kept_priors[entry])
        else:
            _copy_bits(priors[row].view(np.uint16), kept_priors[entry])
        for seat in range(values.shape[1]):
            kept_values[entry, seat] = values[row, seat]
        if kept_focus.shape[0] > 0:
            kept_focus[entry] = focus[row] if focus.shape[0] > 0 else np.int16(-1)


@njit(cache=True, nogil=True)
def gather_misses(
    codes: NDArray[np.int8],
    hit: NDArray[np.bool_],
    table: NDArray[np.int32],
    source: NDArray[np.int32],
    misses: NDArray[np.int8],
) -> int:
    """Copies the distinct missing rows of codes [L, C] to the front of ``misses`` [L, C]; returns how many.

    ``source`` int32 [L]: the row of ``misses`` that answers each row, -1 for hits. ``table`` int32: scratch, a power
    of two of at least 2 L.
    """
    mask = np.uint64(table.shape[0] - 1)
    table[:] = -1
    count = 0
    for row in range(codes.shape[0]):
        source[row] = -1
        if hit[row]:
            continue
        place = (_hash(codes[row]) >> np.uint64(8)) & mask
        while table[place] >= 0 and not _same(misses[table[place]], codes[row]):
            place = (place + np.uint64(1)) & mask
        if table[place] < 0:
            table[place] = count
            misses[count] = codes[row]
            count += 1
        source[row] = table[place]
    return count


@njit(cache=True, nogil=True)
def scatter_misses(
    source: NDArray[np.int32],
    miss_priors: NDArray[np.float32],
    miss_values: NDArray[np.float32],
    miss_focus: NDArray[np.int16],
    priors: NDArray[np.float32],
    values: NDArray[np.float32],
    focus: NDArray[np.int16],
) -> None:
    """Fills the rows of priors [L, A], values [L, S] and focus [L] that ``source`` int32 [L] says were evaluated."""
    for row in range(source.shape[0]):
        origin = source[row]
        if origin >= 0:
            for action in range(priors.shape[1]):
                priors[row, action] = miss_priors[origin, action]
            for seat in range(values.shape[1]):
                values[row, seat] = miss_values[origin, seat]
            if focus.shape[0] > 0:
                focus[row] = miss_focus[origin] if miss_focus.shape[0] > 0 else np.int16(-1)
