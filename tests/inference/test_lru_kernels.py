"""float16 conversions against numpy's own casts."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.inference.lru_kernels import (
    copy_half_rows,
    copy_rows,
    float_to_half,
    gather_misses,
    half_to_float,
    hash_codes,
    put_half_rows,
    put_rows,
)


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
        source, misses = np.where(hit, 7, -1).astype(np.int32), np.zeros_like(codes)
        tags, table = np.zeros(rows, np.uint64), np.zeros(1 << (2 * rows - 1).bit_length(), np.int32)
        hash_codes(codes, tags)
        own_tags = dict(zip((row.tobytes() for row in codes), tags.tolist(), strict=True))
        count = gather_misses(codes, tags, source, table, misses)
        assert count == len({row.tobytes() for row in codes[~hit]})
        assert (source[hit] == -1).all()
        np.testing.assert_array_equal(misses[source[~hit]], codes[~hit])
        assert tags[:count].tolist() == [own_tags[row.tobytes()] for row in misses[:count]]


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("width", [1, 2, 37])
def test_rows_are_copied_from_and_put_to_their_places(dtype: type, width: int) -> None:
    rng = np.random.default_rng(width)
    source, out = (rng.integers(0, 100, (rows, width)).astype(dtype) for rows in (9, 6))
    origin, wanted = np.array([3, -1, 0, 8, 3, -1], np.int32), out.copy()
    wanted[origin >= 0] = source[origin[origin >= 0]]
    copy_rows(source, origin, out)
    np.testing.assert_array_equal(out, wanted)
    places, wanted = np.array([5, 2, 2, 8, 0, 1], np.int32), source.copy()
    for row, place in enumerate(places):  # of two that go to one place the later one stays
        wanted[place] = out[row]
    put_rows(out, places, source)
    np.testing.assert_array_equal(source, wanted)


def test_rows_become_halves_and_floats_on_their_way() -> None:
    rng = np.random.default_rng(0)
    numbers, places = rng.random((4, 33), np.float32) ** 8, np.array([6, 0, 3, 6], np.int32)
    kept, out = np.zeros((7, 33), np.float16), np.full((4, 33), -1, np.float32)
    put_half_rows(numbers, places, kept.view(np.uint16))
    np.testing.assert_array_equal(kept[[0, 3, 6]], numbers[[1, 2, 3]].astype(np.float16))
    copy_half_rows(kept.view(np.uint16), np.array([0, -1, 6, 3], np.int32), out)
    np.testing.assert_array_equal(out[[0, 2, 3]], numbers[[1, 3, 2]].astype(np.float16).astype(np.float32))
    assert (out[1] == -1).all()
