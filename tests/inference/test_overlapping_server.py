"""A server with two batches under way: what it does when, and that its answers are those of a plain one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.config import NetSettings
from hexpipe.inference import inference_server
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import InferenceServer, Station
from hexpipe.inference.overlapping_server import OverlappingServer, server_of_positions
from hexpipe.inference.request_reader import RequestReader
from hexpipe.inference.slots import SERVING, InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from hexpipe.nets.backend_cuda_graphs import CudaGraphsBackend
from tests.inference.fakes import LARGE, SHAPES, FakeBackend, expected, expected_focus, random_codes


class TwoAtOnce(FakeBackend):
    """Evaluates when it is started, by the weights of then, and tells what was asked of it in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self._results: dict[int, Answers] = {}

    def start(self, codes: np.ndarray) -> int:
        assert len(self._results) < 2
        ticket = min({0, 1} - self._results.keys())
        self.told.append(f"start {len(codes)}")
        self._results[ticket] = Answers(*expected(codes, self.shift), focus=expected_focus(codes, self.shift))
        return ticket

    def finish(self, ticket: int, out: Answers) -> None:
        answers = self._results.pop(ticket)
        self.told.append(f"finish {len(answers.priors)}")
        out.put(slice(None), answers)


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[InferenceSlots]:
    monkeypatch.setattr(inference_server, "IDLE_SECONDS", 0.0)
    made = InferenceSlots.create(SHAPES, workers=2, groups=2, max_leaves=8, servers=1)
    yield made
    made.close()


def ask(client: InferenceClient, group: int, rows: int) -> np.ndarray:
    codes = random_codes(np.random.default_rng(rows), rows)
    client.submit(group, codes)
    return codes


def check(client: InferenceClient, group: int, codes: np.ndarray, shift: float = 0.0) -> int:
    answers, version = client.collect(group)
    priors, values = expected(codes, shift)
    np.testing.assert_array_equal(answers.priors, priors)
    np.testing.assert_array_equal(answers.values, values)
    return version


def test_the_next_batch_is_started_before_the_last_is_waited_for(slots: InferenceSlots) -> None:
    client, other = (InferenceClient(slots.for_worker(worker), worker) for worker in range(2))
    backend = TwoAtOnce()
    server, reader = OverlappingServer(Station(slots.for_server(0), 0), backend), RequestReader(slots.for_server(0), 0)
    first = ask(client, 0, 3)
    server._turn(reader)
    assert backend.told == ["start 3"]
    second = ask(client, 1, 2), ask(other, 0, 1)
    server._turn(reader)
    assert backend.told[1:] == ["start 3", "finish 3"], "and all that has come is in one batch"
    check(client, 0, first)
    third = ask(client, 0, 5)
    server._turn(reader)
    assert backend.told[3:] == ["start 5", "finish 3"]
    check(client, 1, second[0])
    check(other, 0, second[1])
    server._turn(reader)
    assert backend.told[5:] == ["finish 5"], "nothing has come: what is under way is waited for"
    check(client, 0, third)
    server._turn(reader)
    assert len(backend.told) == 6
    assert (server.batches, server.requests, server.evals) == (3, 4, 11)
    assert server.forward_seconds > 0


def test_a_batch_is_of_the_weights_that_it_was_started_with(slots: InferenceSlots) -> None:
    board = WeightsBoard.create([("shift", (1,))], private=True)
    client = InferenceClient(slots.for_worker(0), 0)
    server = OverlappingServer(Station(slots.for_server(0), 0, board), TwoAtOnce())
    reader = RequestReader(slots.for_server(0), 0)
    codes = []
    for version in (1, 2):
        board.publish(version, {"shift": np.array([version], np.float32)})
        codes.append(ask(client, version - 1, 4))
        server._turn(reader)
    server._turn(reader)
    for version in (1, 2):
        assert check(client, version - 1, codes[version - 1], shift=version) == version


def test_more_rows_than_a_batch_has_go_in_pieces_after_what_is_under_way(slots: InferenceSlots) -> None:
    client, backend = InferenceClient(slots.for_worker(0), 0), TwoAtOnce()
    server = OverlappingServer(Station(slots.for_server(0), 0, max_batch=3), backend)
    reader = RequestReader(slots.for_server(0), 0)
    small = ask(client, 0, 2)
    server._turn(reader)
    large = ask(client, 1, 8)
    server._turn(reader)
    assert backend.told == ["start 2", "finish 2"]
    assert backend.batch_sizes == [3, 3, 2]
    check(client, 0, small)
    check(client, 1, large)
    assert (server.batches, server.evals) == (4, 10)


def test_focus_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_server, "IDLE_SECONDS", 0.0)
    slots = InferenceSlots.create(LARGE, workers=1, groups=2, max_leaves=8, servers=1)
    client, codes = InferenceClient(slots.for_worker(0), 0), random_codes(np.random.default_rng(0), 4, LARGE)
    client.submit(0, codes)
    server = OverlappingServer(Station(slots.for_server(0), 0), TwoAtOnce())
    server.run(lambda: server.requests >= 1)
    answer = client.collect(0).answers
    np.testing.assert_array_equal(answer.focus, expected_focus(codes))
    np.testing.assert_array_equal(answer.priors, expected(codes)[0])
    slots.close()


def test_graphs_serve_as_the_plain_net_does(slots: InferenceSlots) -> None:
    """The GPU's backend, whose graphs are plain passes here, behind the server that suits it."""
    net = NetSettings(blocks=1, channels=8, value_hidden=8)
    client = InferenceClient(slots.for_worker(0), 0)
    backend = CudaGraphsBackend(net, SHAPES, "float32", "cpu", max_batch=16)
    server = server_of_positions(Station(slots.for_server(0), 0), backend)
    assert isinstance(server, OverlappingServer)
    assert type(server_of_positions(Station(slots.for_server(0), 0), FakeBackend())) is InferenceServer
    slots.announce_server(0)
    slots.set_server_state(0, SERVING)
    reader = RequestReader(slots.for_server(0), 0)
    asked = [ask(client, 0, 3)]
    server._turn(reader)
    asked.append(ask(client, 1, 8))
    server._turn(reader)
    server._turn(reader)
    for group, codes in enumerate(asked):
        answers, wanted = client.collect(group).answers, Answers.allocate(len(codes), SHAPES)
        backend.infer(codes, wanted)
        np.testing.assert_allclose(answers.priors, wanted.priors, atol=1e-3)
        np.testing.assert_allclose(answers.values, wanted.values, atol=1e-6)
