"""The server in this process: batching, splitting, weights, counters, and the one-process evaluator."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.errors import InferenceError
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import InferenceServer, LocalEvaluator, Station
from hexpipe.inference.slots import FAILED, STOPPED, InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from tests.inference.fakes import SHAPES, FakeBackend, expected, random_codes
from tests.refusals import refused


def _slots(workers: int = 1, groups: int = 2, max_leaves: int = 8, servers: int = 1) -> InferenceSlots:
    return InferenceSlots.create(SHAPES, workers=workers, groups=groups, max_leaves=max_leaves, servers=servers)


def _run_until(server: InferenceServer, requests: int) -> None:
    server.run(lambda: server.requests >= requests)


def _check(client: InferenceClient, group: int, codes: np.ndarray, shift: float = 0.0) -> int:
    answers, version = client.collect(group)
    priors, values = expected(codes, shift)
    np.testing.assert_array_equal(answers.priors, priors)
    np.testing.assert_array_equal(answers.values, values)
    return version


def test_all_that_has_arrived_goes_into_one_batch() -> None:
    slots, rng = _slots(workers=3), np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(3)]
    sent = {}
    for worker, client in enumerate(clients):
        for group in range(2):
            sent[worker, group] = random_codes(rng, 1 + worker + group)
            client.submit(group, sent[worker, group])
    backend = FakeBackend()
    server = InferenceServer(Station(slots.for_server(0), 0), backend)
    _run_until(server, 6)
    assert backend.batch_sizes == [sum(len(codes) for codes in sent.values())]
    assert (server.batches, server.requests, server.evals) == (1, 6, backend.batch_sizes[0])
    for (worker, group), codes in sent.items():
        _check(clients[worker], group, codes)
    slots.close()


def test_no_batch_is_above_the_cap_and_a_large_request_is_split() -> None:
    slots, rng = _slots(workers=2, max_leaves=8), np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
    sizes = {(0, 0): 8, (0, 1): 1, (1, 0): 2, (1, 1): 7}
    sent = {place: random_codes(rng, rows) for place, rows in sizes.items()}
    for (worker, group), codes in sent.items():
        clients[worker].submit(group, codes)
    backend = FakeBackend()
    server = InferenceServer(Station(slots.for_server(0), 0, max_batch=3), backend)
    _run_until(server, 4)
    assert max(backend.batch_sizes) == 3
    assert sum(backend.batch_sizes) == server.evals == 18
    for (worker, group), codes in sent.items():
        _check(clients[worker], group, codes)
    slots.close()


def test_each_server_answers_its_own_regions() -> None:
    slots, rng = _slots(workers=2, servers=2), np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
    sent = {(worker, group): random_codes(rng, 3) for worker in range(2) for group in range(2)}
    for (worker, group), codes in sent.items():
        clients[worker].submit(group, codes)
    for number in range(2):
        server = InferenceServer(Station(slots.for_server(number), number), FakeBackend())
        _run_until(server, 2)
        assert server.requests == 2
    for (worker, group), codes in sent.items():
        _check(clients[worker], group, codes)
    slots.close()


def test_newer_weights_are_taken_between_batches() -> None:
    slots, rng = _slots(), np.random.default_rng(0)
    board = WeightsBoard.create([("shift", (1,))], private=True)
    client = InferenceClient(slots.for_worker(0), 0)
    server = InferenceServer(Station(slots.for_server(0), 0, board), FakeBackend())
    for version in (1, 2, 5):
        board.publish(version, {"shift": np.array([version], np.float32)})
        codes = random_codes(rng, 4)
        client.submit(0, codes)
        _run_until(server, server.requests + 1)
        assert _check(client, 0, codes, shift=version) == version == server.weights_version
    slots.close()


def test_a_dead_workers_request_is_dropped_and_its_successor_answered() -> None:
    slots, rng = _slots(), np.random.default_rng(0)
    InferenceClient(slots.for_worker(0), 0).submit(0, random_codes(rng, 8))
    slots.repair_after_death(0)
    successor = InferenceClient(slots.for_worker(0), 0)
    codes = random_codes(rng, 3)
    successor.submit(0, codes)
    server = InferenceServer(Station(slots.for_server(0), 0), FakeBackend())
    _run_until(server, 1)
    _check(successor, 0, codes)
    assert server.evals == 3
    slots.close()


def test_a_stale_answer_is_not_taken_for_the_new_one() -> None:
    slots, rng = _slots(), np.random.default_rng(0)
    InferenceClient(slots.for_worker(0), 0).submit(0, random_codes(rng, 8))
    server = InferenceServer(Station(slots.for_server(0), 0), FakeBackend())
    _run_until(server, 1)  # its worker is dead by now: nobody collects
    successor = InferenceClient(slots.for_worker(0), 0)
    codes = random_codes(rng, 3)
    successor.submit(0, codes)
    _run_until(server, 2)
    _check(successor, 0, codes)
    slots.close()


def test_progress_is_told_and_stop_is_obeyed() -> None:
    slots = _slots()
    told: list[int] = []
    server = InferenceServer(Station(slots.for_server(0), 0, on_progress=lambda s: told.append(s.evals)), FakeBackend())
    slots.request_stop()
    server.run()
    assert told == [0]
    assert slots.arrays["server_state"][0] == STOPPED
    slots.close()


def test_an_error_of_the_backend_goes_up_and_reaches_the_client() -> None:
    class Broken(FakeBackend):
        def infer(self, codes: np.ndarray, out: Answers) -> None:
            raise InferenceError("not finite")

    slots = _slots()
    client = InferenceClient(slots.for_worker(0), 0)
    client.submit(1, random_codes(np.random.default_rng(0), 2))
    with pytest.raises(InferenceError, match="not finite"):
        InferenceServer(Station(slots.for_server(0), 0), Broken()).run()
    assert slots.arrays["server_state"][0] == FAILED
    with refused(InferenceError, "inference-0", kind="ended"):
        client.collect(1)
    slots.close()


def test_the_local_evaluator_answers_the_same() -> None:
    rng, backend = np.random.default_rng(0), FakeBackend()
    local = LocalEvaluator(backend, SHAPES, groups=2, max_batch=4)
    local.load(3, {"shift": np.array([0.5], np.float32)})
    first, second = random_codes(rng, 6), random_codes(rng, 3)
    local.submit(0, first)
    local.submit(1, second)
    assert _check(local, 0, first, 0.5) == 3
    _check(local, 1, second, 0.5)
    assert backend.batch_sizes == [4, 2, 3]
    assert (local.batches, local.evals) == (3, 9)
    with refused(InferenceError, "group 0", kind="missing"):
        local.collect(0)
