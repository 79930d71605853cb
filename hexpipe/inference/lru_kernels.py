"""Kernels of the generator's side: float16 in and out of float32, and the evaluation cache.

The cache is set-associative: a state's 64-bit hash names a set of W ways; within it the full codes decide, and the way
with the oldest stamp makes room. `find` and `place` say where a position is kept; what is kept of it is then copied,
part by part. Conversions work on integers: numpy's own float16 casts are 5 to 8 times slower.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_BIAS = np.uint32(112 << 23)  # float32's exponent bias above float16's, in float32's exponent field
_SMALLEST_NORMAL = np.uint32(113 << 23)  # bits of 2**-14
_TWO_TO_MINUS_14 = np.float32(2.0**-14)
_TWO_TO_24 = np.float32(2.0**24)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)  # of MurmurHash3's 64-bit finaliser (public domain)


class Index(NamedTuple):
    """Which positions a cache of N entries holds; W entries side by side make a set."""

    tags: NDArray[np.uint64]  # [N]   hash, 0: empty
    stamps: NDArray[np.int64]  # [N]  the clock of the last use
    codes: NDArray[np.int8]  # [N, C]
    ways: int  # W


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
def _copy_row(source: NDArray[np.generic], out: NDArray[np.generic]) -> None:
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
def _entry_of(codes: NDArray[np.int8], tag: np.uint64, index: Index, first: int) -> int:
    """The entry that holds ``codes`` in the set that begins with ``first``, or -1."""
    for entry in range(first, first + index.ways):
        if index.tags[entry] == tag and _same(codes, index.codes[entry]):
            return entry
    return -1


@njit(cache=True, nogil=True)
def hash_codes(codes: NDArray[np.int8], tags: NDArray[np.uint64]) -> None:
    """Write a hash of each of codes int8 [L, C], which is never 0, into ``tags`` uint64 [L]."""
    for row in range(codes.shape[0]):
        tags[row] = _hash(codes[row]) | np.uint64(1)


@njit(cache=True, nogil=True)
def find(
    codes: NDArray[np.int8], tags: NDArray[np.uint64], index: Index, clock: int, entries: NDArray[np.int32]
) -> int:
    """Write the entry of each of codes int8 [L, C], whose hashes are ``tags`` uint64 [L], into ``entries`` int32 [L],
    -1 where it is not kept; returns how many are. Row i is used at ``clock`` + i."""
    sets, found = index.tags.shape[0] // index.ways, 0
    for row in range(codes.shape[0]):
        tag = tags[row]
        first = int((tag >> np.uint64(16)) % np.uint64(sets)) * index.ways
        entry = _entry_of(codes[row], tag, index, first)
        entries[row] = entry
        if entry >= 0:
            found += 1
            index.stamps[entry] = clock + row
    return found


@njit(cache=True, nogil=True)
def place(
    codes: NDArray[np.int8], tags: NDArray[np.uint64], index: Index, clock: int, entries: NDArray[np.int32]
) -> None:
    """Keep each of codes int8 [L, C], whose hashes are ``tags`` uint64 [L], and write its entry into ``entries`` int32
    [L]; a new one takes that of its set's least recently used. Row i is used at ``clock`` + i."""
    sets = index.tags.shape[0] // index.ways
    for row in range(codes.shape[0]):
        tag = tags[row]
        first = int((tag >> np.uint64(16)) % np.uint64(sets)) * index.ways
        entry = _entry_of(codes[row], tag, index, first)
        if entry < 0:
            entry = first
            for other in range(first + 1, first + index.ways):
                if index.stamps[other] < index.stamps[entry]:
                    entry = other
            index.tags[entry] = tag
            _copy_row(codes[row], index.codes[entry])
        index.stamps[entry] = clock + row
        entries[row] = entry


@njit(cache=True, nogil=True)
def copy_rows(source: NDArray[np.generic], origin: NDArray[np.int32], out: NDArray[np.generic]) -> None:
    """Fill the rows of ``out`` [L, B] that ``origin`` int32 [L] names a row of ``source`` [N, B] for; -1 names none."""
    for row in range(origin.shape[0]):
        if origin[row] >= 0:
            _copy_row(source[origin[row]], out[row])


@njit(cache=True, nogil=True)
def copy_half_rows(source: NDArray[np.uint16], origin: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """As `copy_rows`, from the bits of float16 numbers (see `half_to_float`)."""
    for row in range(origin.shape[0]):
        if origin[row] >= 0:
            _half_row_to_float(source[origin[row]], out[row])


@njit(cache=True, nogil=True)
def put_rows(source: NDArray[np.generic], entries: NDArray[np.int32], out: NDArray[np.generic]) -> None:
    """Copy ``source`` [L, B] into the rows ``entries`` int32 [L] of ``out`` [N, B], in order."""
    for row in range(entries.shape[0]):
        _copy_row(source[row], out[entries[row]])


@njit(cache=True, nogil=True)
def put_half_rows(source: NDArray[np.float32], entries: NDArray[np.int32], out: NDArray[np.uint16]) -> None:
    """As `put_rows`, into the bits of float16 numbers (see `float_to_half`)."""
    for row in range(entries.shape[0]):
        _float_row_to_half(source[row], out[entries[row]])


@njit(cache=True, nogil=True)
def gather_misses(
    codes: NDArray[np.int8],
    tags: NDArray[np.uint64],
    source: NDArray[np.int32],
    table: NDArray[np.int32],
    misses: NDArray[np.int8],
) -> int:
    """Copy the distinct missing rows of codes [L, C] to the front of ``misses`` [L, C], and their hashes to the front
    of ``tags``; returns how many.

    ``source`` int32 [L]: what `find` wrote; after it, the row of ``misses`` that answers each missing row, -1 for the
    others. ``table`` int32: scratch, a power of two of at least 2 L.
    """
    mask = np.uint64(table.shape[0] - 1)
    table[:] = -1
    count = 0
    for row in range(codes.shape[0]):
        if source[row] >= 0:
            source[row] = -1
            continue
        slot = (tags[row] >> np.uint64(8)) & mask
        while table[slot] >= 0 and not _same(misses[table[slot]], codes[row]):
            slot = (slot + np.uint64(1)) & mask
        if table[slot] < 0:
            table[slot] = count
            _copy_row(codes[row], misses[count])
            tags[count] = tags[row]
            count += 1
        source[row] = table[slot]
    return count
