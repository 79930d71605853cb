"""Work goes to the server with the least of it: shares, deaths, and the same answers as from one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from hexpipe.config import NetSettings
from hexpipe.inference import inference_server
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import InferenceServer, Station
from hexpipe.inference.request_reader import RequestReader
from hexpipe.inference.slots import FAILED, SERVING, STARTING, InferenceSlots
from hexpipe.nets.backend_torch import EagerBackend
from tests.inference.fakes import SHAPES, FakeBackend, expected, random_codes

NOBODY = 2**30  # no process has this id
Asked = dict[tuple[int, int], np.ndarray]


@contextmanager
def slots_of(workers: int, servers: int, serving: bool = True) -> Iterator[InferenceSlots]:
    slots = InferenceSlots.create(SHAPES, workers=workers, groups=2, max_leaves=8, servers=servers)
    for server in range(servers if serving else 0):
        slots.announce_server(server)
        slots.set_server_state(server, SERVING)
    yield slots
    slots.close()


class Stepped:
    """A server of this process that does one turn when it is told to."""

    def __init__(self, slots: InferenceSlots, number: int, backend: object = None) -> None:
        part = slots.for_server(number)
        self.server = InferenceServer(Station(part, number), backend or FakeBackend())  # type: ignore[arg-type]
        self._reader = RequestReader(part, number)

    def turn(self) -> None:
        self.server._turn(self._reader)


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_server, "IDLE_SECONDS", 0.0)


def play(slots: InferenceSlots, turns_of: list[int], rounds: int) -> list[int]:
    """Rows that each server answers while four groups ask again as soon as they have an answer; server n does a turn in
    every ``turns_of[n]``-th round."""
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
    servers = [Stepped(slots, number) for number in range(len(turns_of))]
    rng = np.random.default_rng(0)
    asked: Asked = {}
    for number in range(rounds):
        for worker in range(2):
            for group in range(2):
                if (worker, group) not in asked:
                    asked[worker, group] = random_codes(rng, int(rng.integers(1, 9)))
                    clients[worker].submit(group, asked[worker, group])
        for server, every in zip(servers, turns_of, strict=True):
            if number % every == 0:
                server.turn()
        answered = slots.arrays["response_id"] == slots.arrays["request_id"]
        for worker, group in [place for place in asked if answered[slots.region(*place)]]:
            priors, _ = expected(asked.pop((worker, group)))
            np.testing.assert_array_equal(clients[worker].collect(group).answers.priors, priors)
    return [stepped.server.evals for stepped in servers]


def test_a_slow_server_gets_little() -> None:
    with slots_of(workers=2, servers=2) as slots:
        slow, fast = play(slots, [8, 1], rounds=200)
    assert 0 < 4 * slow < fast


def test_equal_servers_get_equal_shares() -> None:
    with slots_of(workers=2, servers=2) as slots:
        rows = play(slots, [1, 1], rounds=200)
    assert max(rows) < 1.1 * min(rows)
    with slots_of(workers=2, servers=3) as slots:
        assert slots.regions_per_server == 2
        rows = play(slots, [1, 1, 1], rounds=200)
    assert max(rows) < 1.6 * min(rows), "four groups for three servers"


def test_two_servers_answer_as_one_does() -> None:
    net = NetSettings(blocks=1, channels=8, value_hidden=8)
    rng = np.random.default_rng(0)
    asked = [[random_codes(rng, int(rng.integers(1, 9))) for _ in range(4)] for _ in range(5)]
    weights = EagerBackend(net, SHAPES)._net.net.state_dict()
    answers, evals = [], []
    for count in (1, 2):
        with slots_of(workers=2, servers=count) as slots:
            clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
            backends = [EagerBackend(net, SHAPES) for _ in range(count)]
            for backend in backends:
                backend._net.net.load_state_dict(weights)
            servers = [Stepped(slots, number, backend) for number, backend in enumerate(backends)]
            got = []
            for turn in asked:
                for place, codes in enumerate(turn):
                    clients[place // 2].submit(place % 2, codes)
                for server in servers:
                    server.turn()
                found = [clients[place // 2].collect(place % 2).answers for place in range(4)]
                got += [np.concatenate([answer.priors, answer.values], axis=1) for answer in found]
            answers.append(np.concatenate(got))
            evals.append([server.server.evals for server in servers])
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-3)  # priors travel as float16
    assert sum(evals[1]) == evals[0][0]
    assert min(evals[1]) > 0.3 * evals[0][0]


@pytest.mark.parametrize("state", [STARTING, FAILED, SERVING])
def test_a_dead_server_is_not_asked_while_another_serves(state: int) -> None:
    with slots_of(workers=2, servers=2) as slots:
        slots.arrays["server_state"][0] = state
        slots.arrays["server_pid"][0] = NOBODY if state == SERVING else 0
        slots.arrays["server_beat"][0] -= 60.0  # killed long ago, and nobody has noticed yet
        clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
        for client in clients:
            for group in range(2):
                client.submit(group, random_codes(np.random.default_rng(0), 4))
        assert slots.outstanding_rows() == [0, 16]


def test_a_silent_server_that_lives_is_asked() -> None:
    with slots_of(workers=1, servers=2) as slots:
        slots.arrays["server_beat"][:] -= 60.0  # at long batches, both
        client = InferenceClient(slots.for_worker(0), 0)
        for group in range(2):
            client.submit(group, random_codes(np.random.default_rng(0), 4))
        assert slots.outstanding_rows() == [4, 4]


def test_before_any_server_serves_the_work_is_spread() -> None:
    with slots_of(workers=2, servers=2, serving=False) as slots:
        clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
        for client in clients:
            for group in range(2):
                client.submit(group, random_codes(np.random.default_rng(0), 3))
        assert slots.outstanding_rows() == [6, 6]


def test_what_waits_at_a_dead_server_waits_for_its_replacement() -> None:
    """Also what it had read; and the load is right all the time, for it is no count that somebody keeps."""
    rng = np.random.default_rng(0)
    with slots_of(workers=2, servers=2) as slots:
        clients = [InferenceClient(slots.for_worker(worker), worker, replace_timeout=60.0) for worker in range(2)]
        asked = {(worker, group): random_codes(rng, 2) for worker in range(2) for group in range(2)}
        for (worker, group), codes in asked.items():
            clients[worker].submit(group, codes)
        assert slots.outstanding_rows() == [4, 4]
        slots.queues[0, 0].get()  # the dead one had read a message
        slots.arrays["server_pid"][0] = NOBODY
        slots.repair_after_server_death(0)
        living = Stepped(slots, 1)
        living.turn()
        assert slots.outstanding_rows() == [4, 0]
        for worker in range(2):
            clients[worker].collect(1)
            asked[worker, 1] = random_codes(rng, 5)
            clients[worker].submit(1, asked[worker, 1])
        assert slots.outstanding_rows() == [4, 10], "what does not serve yet is asked for nothing more"
        slots.announce_server(0)
        slots.set_server_state(0, SERVING)
        replacement = Stepped(slots, 0)
        replacement.turn()
        living.turn()
        assert (replacement.server.evals, living.server.evals) == (4, 4 + 10)
        for (worker, group), codes in asked.items():
            np.testing.assert_array_equal(clients[worker].collect(group).answers.priors, expected(codes)[0])
        assert slots.outstanding_rows() == [0, 0]


def test_the_successor_of_a_dead_client_asks_the_server_that_may_still_answer() -> None:
    """Else two servers could write into one region at once, the older answer last."""
    rng = np.random.default_rng(0)
    with slots_of(workers=1, servers=2) as slots:
        servers = [Stepped(slots, number) for number in range(2)]
        dead = InferenceClient(slots.for_worker(0), 0)
        dead.submit(0, random_codes(rng, 8))
        dead.submit(1, random_codes(rng, 1))
        assert [slots.server_of(region) for region in range(2)] == [0, 1]
        slots.repair_after_death(0)
        client, codes = InferenceClient(slots.for_worker(0), 0), random_codes(rng, 3)
        client.submit(0, codes)
        assert slots.outstanding_rows() == [3, 1]
        assert slots.server_of(0) == 0
        servers[0].turn()
        np.testing.assert_array_equal(client.collect(0).answers.priors, expected(codes)[0])
        assert servers[0].server.evals == 3, "what nobody waits for is not evaluated"
        client.submit(0, random_codes(rng, 3))
        assert slots.server_of(0) == 0
