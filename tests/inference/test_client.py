"""The client's checks and the cached evaluator."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from hexpipe.errors import InferenceError
from hexpipe.inference.client import CachedEvaluator, InferenceClient
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.inference.slots import InferenceSlots
from tests.inference.fakes import SHAPES, FakeBackend, expected, random_codes
from tests.refusals import refused


def test_generator_side_modules_need_no_torch() -> None:
    code = """
import sys
import hexpipe.shm, hexpipe.inference.client, hexpipe.inference.lru_cache, hexpipe.inference.slots
import hexpipe.inference.weights, hexpipe.search.evaluator
heavy = [name for name in ("torch", "openvino") if name in sys.modules]
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=280)


def test_misuse_is_refused() -> None:
    slots = InferenceSlots.create(SHAPES, workers=1, groups=2, max_leaves=4, servers=1)
    client = InferenceClient(slots.for_worker(0), 0)
    codes = random_codes(np.random.default_rng(0), 5)
    with refused(InferenceError, "5", kind="range", low=1, high=4):
        client.submit(0, codes)
    with refused(InferenceError, "0", kind="range", low=1, high=4):
        client.submit(0, codes[:0])
    with refused(InferenceError, "group 0", kind="missing"):
        client.collect(0)
    client.submit(0, codes[:4])
    with refused(InferenceError, "group 0", kind="busy"):
        client.submit(0, codes[:1])
    slots.close()


def test_a_server_that_never_comes_or_falls_silent_is_named() -> None:
    slots = InferenceSlots.create(SHAPES, workers=1, groups=2, max_leaves=4, servers=2)
    client = InferenceClient(slots.for_worker(0), 0, start_timeout=0.2, answer_timeout=0.0)
    client.submit(1, random_codes(np.random.default_rng(0), 1))
    with refused(InferenceError, "inference-1", "started", kind="missing"):
        client.collect(1)
    slots.announce_server(1)
    slots.set_server_state(1, 1)
    with refused(InferenceError, "inference-1 (process", kind="missing"):
        client.collect(1)
    slots.request_stop()
    with refused(InferenceError, "inference-1", kind="ended"):
        client.collect(1)
    slots.close()


def _cached(entries: int = 256) -> tuple[CachedEvaluator, LocalEvaluator, FakeBackend]:
    backend = FakeBackend()
    local = LocalEvaluator(backend, SHAPES)
    return CachedEvaluator(local, LRUCache(entries, SHAPES), SHAPES), local, backend


def test_known_positions_are_not_asked_for_again() -> None:
    cached, _local, backend = _cached()
    rng = np.random.default_rng(0)
    pool = random_codes(rng, 40)
    total = 0
    for turn in range(60):
        group = turn % 2
        codes = pool[rng.integers(0, len(pool), rng.integers(1, 12))]
        cached.submit(group, codes)
        answer = cached.collect(group).answers
        priors, values = expected(codes)
        np.testing.assert_array_equal(answer.priors, priors)
        np.testing.assert_array_equal(answer.values, values)
        total += len(codes)
    assert sum(backend.batch_sizes) == 40
    assert cached.evals == total
    assert cached.hits + cached.repeats + 40 == total
    assert cached.repeats > 0


def test_two_groups_under_way_keep_their_own_rows() -> None:
    cached, _local, _backend = _cached()
    rng = np.random.default_rng(0)
    first, second = random_codes(rng, 5), random_codes(rng, 9)
    cached.submit(0, first)
    cached.submit(1, np.concatenate([first, second]))
    np.testing.assert_array_equal(cached.collect(0).answers.priors, expected(first)[0])
    np.testing.assert_array_equal(cached.collect(1).answers.priors, expected(np.concatenate([first, second]))[0])


def test_newer_weights_empty_the_cache_and_older_answers_are_not_kept() -> None:
    cached, local, backend = _cached()
    codes = random_codes(np.random.default_rng(0), 3)

    def ask(rows: np.ndarray) -> tuple[np.ndarray, int]:
        cached.submit(0, rows)
        answers, version = cached.collect(0)
        return answers.values.copy(), version

    local.load(4, {"shift": np.array([0.25], np.float32)})
    ask(codes)
    local.load(5, {"shift": np.array([0.5], np.float32)})
    other = random_codes(np.random.default_rng(1), 1)
    assert ask(other)[1] == 5
    np.testing.assert_array_equal(ask(codes)[0], expected(codes, 0.5)[1])  # not the old answers

    local.load(4, {"shift": np.array([0.25], np.float32)})  # a second server that lags behind
    late = random_codes(np.random.default_rng(2), 1)
    np.testing.assert_array_equal(ask(late)[0], expected(late, 0.25)[1])
    local.load(5, {"shift": np.array([0.5], np.float32)})
    before = len(backend.batch_sizes)
    np.testing.assert_array_equal(ask(np.concatenate([codes, late]))[0][-1:], expected(late, 0.5)[1])
    assert backend.batch_sizes[before:] == [1]  # codes were still known
