"""LRUCache against a slow obvious reference."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import Shapes
from hexpipe.errors import SettingsError
from hexpipe.inference.lru_cache import WAYS, LRUCache
from tests.refusals import refused

SHAPES = Shapes(board_size=3, num_actions=9, num_seats=2, code_length=9)


def _evaluation(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(np.frombuffer(codes.tobytes(), np.uint8))
    priors = rng.dirichlet(np.ones(SHAPES.num_actions)).astype(np.float16).astype(np.float32)
    return priors, rng.uniform(-1, 1, SHAPES.num_seats).astype(np.float32)


def _evaluations(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = [_evaluation(row) for row in codes]
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def _numbered(numbers: list[int]) -> np.ndarray:
    """A different int8 [9] row for each number."""
    return np.array([[number // 3**k % 3 for k in range(9)] for number in numbers], np.int8)


def _lookup(cache: LRUCache, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    priors = np.full((len(codes), SHAPES.num_actions), np.nan, np.float32)
    values = np.full((len(codes), SHAPES.num_seats), np.nan, np.float32)
    return cache.lookup(codes, priors, values), priors, values


@settings(max_examples=50, deadline=None)
@given(
    entries=st.integers(1, WAYS),
    steps=st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True)), max_size=30
    ),
)
def test_one_set_is_exactly_least_recently_used(entries: int, steps: list[tuple[bool, list[int]]]) -> None:
    cache, reference = LRUCache(entries, SHAPES), OrderedDict[int, None]()
    hits = misses = 0
    for is_insert, numbers in steps:
        codes = _numbered(numbers)
        expected_priors, expected_values = _evaluations(codes)
        if is_insert:
            cache.insert(codes, expected_priors, expected_values)
            for number in numbers:
                if number not in reference and len(reference) == entries:
                    reference.popitem(last=False)
                reference[number] = None
                reference.move_to_end(number)
        else:
            hit, priors, values = _lookup(cache, codes)
            assert hit.tolist() == [number in reference for number in numbers]
            np.testing.assert_array_equal(priors[hit], expected_priors[hit])
            np.testing.assert_array_equal(values[hit], expected_values[hit])
            assert np.isnan(priors[~hit]).all()
            for number in numbers:
                if number in reference:
                    reference.move_to_end(number)
            hits, misses = hits + int(hit.sum()), misses + int((~hit).sum())
        assert len(cache) == len(reference)
    assert (cache.hits, cache.misses) == (hits, misses)


def test_many_sets_keep_most_and_never_answer_falsely() -> None:
    cache = LRUCache(4096, SHAPES)
    codes = _numbered(list(range(6000)))
    priors, values = _evaluations(codes)
    cache.insert(codes[:2048], priors[:2048], values[:2048])
    hit, found_priors, found_values = _lookup(cache, codes)
    assert hit[:2048].mean() > 0.97  # half full: few sets overflow if the hash spreads well
    assert not hit[2048:].any()
    np.testing.assert_array_equal(found_priors[hit], priors[hit])
    np.testing.assert_array_equal(found_values[hit], values[hit])
    cache.insert(codes, priors, values)
    assert len(cache) > 0.7 * cache.entries
    assert cache.hit_rate == pytest.approx(hit.mean())


@pytest.mark.parametrize("half", [False, True])
def test_what_comes_out_are_the_bits_that_went_in(half: bool) -> None:
    """Of a cache for what the slots carry, that is of float16 numbers; the others come out rounded to those."""
    cache, codes = LRUCache(64, SHAPES, half), _numbered(list(range(20)))
    rng = np.random.default_rng(0)
    priors = rng.random((20, SHAPES.num_actions), np.float32) ** 8
    values = rng.normal(size=(20, SHAPES.num_seats)).astype(np.float32)
    cache.insert(codes, priors, values)
    hit, found, found_values = _lookup(cache, codes)
    assert hit.all()
    wanted = priors.astype(np.float16).astype(np.float32) if half else priors
    assert found.tobytes() == wanted.tobytes()
    assert found_values.tobytes() == values.tobytes()
    assert (wanted != priors).any() == half


def test_clear_forgets_and_a_new_answer_replaces_the_old() -> None:
    cache = LRUCache(64, SHAPES)
    codes = _numbered([1, 2])
    priors, values = _evaluations(codes)
    cache.insert(codes, priors, values)
    cache.insert(codes[:1], priors[1:], values[1:])
    hit, found, _values = _lookup(cache, codes)
    assert hit.all()
    np.testing.assert_array_equal(found[0], priors[1])
    cache.clear()
    assert not _lookup(cache, codes)[0].any()
    assert len(cache) == 0


def test_an_entry_is_small_and_an_empty_cache_is_refused() -> None:
    shapes = Shapes(board_size=11, num_actions=121, num_seats=2, code_length=121)
    assert LRUCache(1024, shapes, half=True).nbytes / 1024 < 400
    assert LRUCache(1024, shapes).nbytes / 1024 < 640
    with refused(SettingsError, kind="range", setting="selfplay.cache_entries", low=1):
        LRUCache(0, shapes)
