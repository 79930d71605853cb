"""float16 conversions against numpy's own casts."""

from __future__ import annotations

import numpy as np

from hexpipe.inference.lru_kernels import float_to_half, gather_misses, half_to_float


def test_every_non_negative_half_becomes_its_float() -> None:
    bits = np.arange(0x7C00, dtype=np.uint16).reshape(31, -1)
    out = np.full(bits.shape, np.nan, np.float32)
    half_to_float(bits, out)
    np.testing.assert_array_equal(out, bits.view(np.float16).astype(np.float32))


def test_floats_round_to_nearest_even_half() -> None:
    rng = np.random.default_rng(0)
    halves = np.arange(0x7BFF, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = (halves + np.arange(1, 0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)) / 2  # exact ties
    near = np.nextafter(between, np.float32(0)), np.nextafter(between, np.float32(1e9))
    numbers = np.concatenate([halves, between, *near, rng.random(10000, np.float32), [1e-30, 2**-25, 0, 1]])
    values = numbers.astype(np.float32)[None]
    out = np.zeros(values.shape, np.uint16)
    float_to_half(values, out)
    np.testing.assert_array_equal(out, values.astype(np.float16).view(np.uint16))


def test_distinct_misses_are_gathered_once() -> None:
    rng = np.random.default_rng(1)
    for rows in (1, 5, 64):
        codes = rng.integers(0, 2, (rows, 4), dtype=np.int8)  # 16 kinds: many repeats
        hit = rng.random(rows) < 0.3
        source, misses = np.zeros(rows, np.int32), np.zeros_like(codes)
        table = np.zeros(1 << (2 * rows - 1).bit_length(), np.int32)
        count = gather_misses(codes, hit, table, source, misses)
        assert count == len({row.tobytes() for row in codes[~hit]})
        assert (source[hit] == -1).all()
        np.testing.assert_array_equal(misses[source[~hit]], codes[~hit])
