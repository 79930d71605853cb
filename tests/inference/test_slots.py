"""Generators and a server as real processes, killed at any instant."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Semaphore

import numpy as np
import psutil
import pytest

from hexpipe.answers import Answers
from hexpipe.errors import InferenceError
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import InferenceServer, Station
from hexpipe.inference.latents import PoolShape
from hexpipe.inference.queue_repair import free_reader, free_writer
from hexpipe.inference.slots import SERVING, InferenceSlots, Request
from hexpipe.shm import Field, SharedSegment, set_parent_death_signal, spawn_context
from tests.inference.fakes import SHAPES, FakeBackend, expected, random_codes
from tests.refusals import refused

GROUPS, MAX_LEAVES = 2, 8
POOL = PoolShape(games=2, nodes=4)


class SlowBackend(FakeBackend):
    """As a net takes some time for its answers: the processor is left to those that start."""

    def infer(self, codes: np.ndarray, out: Answers) -> None:
        time.sleep(0.001)
        super().infer(codes, out)


def _serve(slots: InferenceSlots, number: int = 0) -> None:
    set_parent_death_signal()
    InferenceServer(Station(slots, number, max_batch=16), SlowBackend()).run()


def _generate(slots: InferenceSlots, worker: int, board: SharedSegment, seed: int) -> None:
    """Asks and checks for ever; a wrong answer ends the process with code 1."""
    set_parent_death_signal()
    client, rng = InferenceClient(slots, worker), np.random.default_rng(seed)
    sent = [random_codes(rng, 1 + group) for group in range(GROUPS)]
    for group in range(GROUPS):
        client.submit(group, sent[group])
    while True:
        for group in range(GROUPS):
            answer = client.collect(group).answers
            priors, values = expected(sent[group])
            assert np.array_equal(answer.priors, priors)
            assert np.array_equal(answer.values, values)
            board.arrays["answers"][worker] += 1
            sent[group] = random_codes(rng, int(rng.integers(1, MAX_LEAVES + 1)))
            client.submit(group, sent[group])


def _kill(process: object) -> None:
    os.kill(process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    process.join()  # type: ignore[attr-defined]


def _wait_for(condition: object, seconds: float = 250.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_region_has_one_server_where_servers_differ_and_a_worker_too_where_it_is_asked_for() -> None:
    for one_server, servers_of in ((False, [[0, 1], [2, 0], [1, 2]]), (True, [[0, 0], [1, 1], [2, 2]])):
        slots = InferenceSlots.create(
            SHAPES, workers=3, groups=2, max_leaves=2, servers=3, role="league", one_server=one_server, pool=POOL
        )
        assert not slots.by_load
        assert [[slots.server_of(slots.region(w, g)) for g in range(2)] for w in range(3)] == servers_of
        for worker, servers in enumerate(servers_of):
            assert {server for _, server in slots.for_worker(worker).queues} == set(servers)
        for server in range(3):
            answered = slots.for_server(server)._answers
            assert len(answered) == slots.regions_per_server == 2
            assert {slots.server_of(region) for region in answered} == {server}
            assert slots.for_server(server).server_of(3) == slots.server_of(3)
        assert slots.server_name(2) == "league-2"
        slots.close()
    uneven = InferenceSlots.create(SHAPES, workers=3, groups=2, max_leaves=2, servers=2, one_server=True)
    assert uneven.regions_per_server == len(uneven.for_server(0)._answers) == 4
    uneven.close()


@pytest.mark.parametrize(
    ("servers", "kills"), [(1, 2), (2, 2), *(pytest.param(n, 40, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_generators_killed_in_a_loop_never_disturb_the_others(servers: int, kills: int) -> None:
    workers, context = 2, spawn_context()
    slots = InferenceSlots.create(SHAPES, workers=workers, groups=GROUPS, max_leaves=MAX_LEAVES, servers=servers)
    board = SharedSegment.create("test-board", [Field("answers", "int64", (workers,))])
    answers = board.arrays["answers"]

    def start(worker: int, seed: int) -> object:
        process = context.Process(target=_generate, args=(slots.for_worker(worker), worker, board, seed))
        process.start()
        return process

    serving = [context.Process(target=_serve, args=(slots.for_server(n), n)) for n in range(servers)]
    for server in serving:
        server.start()
    steady, doomed = start(0, 0), start(1, 1)
    rng = np.random.default_rng(0)
    for kill in range(kills):
        before = answers.copy()
        _wait_for(lambda before=before: (answers > before + 20).all())
        time.sleep(float(rng.uniform(0, 0.003)))
        _kill(doomed)
        slots.repair_after_death(1)
        doomed = start(1, 2 + kill)
    before = answers.copy()
    _wait_for(lambda before=before: (answers > before + 20).all())
    assert all(server.is_alive() for server in serving)
    assert steady.is_alive()  # type: ignore[attr-defined]
    assert doomed.is_alive()  # type: ignore[attr-defined]
    _kill(steady)
    _kill(doomed)
    slots.request_stop()
    for server in serving:
        server.join(200)
        assert server.exitcode == 0
    slots.close()
    board.close()


def test_a_worker_that_died_holding_its_queue_is_replaced() -> None:
    slots = InferenceSlots.create(SHAPES, workers=1, groups=1, max_leaves=4, servers=1)
    client = InferenceClient(slots.for_worker(0), 0)
    queue = slots.queues[0, 0]
    queue._wlock.acquire()  # type: ignore[attr-defined]
    slots.repair_after_death(0)
    slots.repair_after_death(0)
    client.submit(0, random_codes(np.random.default_rng(0), 1))
    assert queue.get() == (0, 1, 1, 1)
    assert queue._wlock.acquire(False)  # type: ignore[attr-defined]
    assert not queue._wlock.acquire(False)  # type: ignore[attr-defined]
    slots.close()


def test_a_killed_server_surfaces_in_the_client_by_name() -> None:
    slots = InferenceSlots.create(SHAPES, workers=1, groups=1, max_leaves=4, servers=1)
    server = spawn_context().Process(target=_serve, args=(slots.for_server(0),))
    server.start()
    client = InferenceClient(slots.for_worker(0), 0, answer_timeout=10_000.0)
    rng = np.random.default_rng(0)
    client.submit(0, random_codes(rng, 4))
    client.collect(0)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)  # and not reaped: a zombie counts as dead
    client.submit(0, random_codes(rng, 4))
    # long before the time-out of its answers, which this test's own would not wait for
    with refused(InferenceError, f"inference-0 (process {server.pid})", kind="ended"):
        client.collect(0)
    server.join()
    slots.close()


def test_a_replaced_server_answers_what_its_predecessor_left() -> None:
    slots = InferenceSlots.create(SHAPES, workers=2, groups=2, max_leaves=4, servers=1)
    rng = np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(n), n, replace_timeout=250.0) for n in range(2)]
    codes = {(n, group): random_codes(rng, 1 + n + group) for n in range(2) for group in range(2)}
    for (n, group), rows in codes.items():
        clients[n].submit(group, rows)
    # the dead one: it had read one message and the head of another, holding the lock of that queue
    slots.queues[0, 0].get()
    queue = slots.queues[1, 0]
    queue._rlock.acquire()  # type: ignore[attr-defined]
    os.read(queue._reader.fileno(), 6)  # type: ignore[attr-defined]
    slots.announce_server(0)
    slots.arrays["server_pid"][0] = 2**30  # nobody's
    slots.set_server_state(0, 1)
    slots.repair_after_server_death(0)

    replaced = InferenceServer(Station(slots.for_server(0), 0), FakeBackend())
    turns = []
    replaced.run(lambda: turns.append(1) or len(turns) > 2)
    for (n, group), rows in codes.items():
        answer = clients[n].collect(group).answers
        np.testing.assert_array_equal(answer.priors, expected(rows)[0])
    assert replaced.evals == sum(map(len, codes.values())), "each once"
    slots.close()


@pytest.mark.parametrize(
    ("servers", "kills"), [(1, 6), (2, 4), *(pytest.param(n, 150, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_clients_go_on_while_their_servers_are_killed_in_a_loop(servers: int, kills: int) -> None:
    slots = InferenceSlots.create(SHAPES, workers=2, groups=2, max_leaves=8, servers=servers)
    clients = [InferenceClient(slots.for_worker(n), n, replace_timeout=250.0) for n in range(2)]
    context = spawn_context()
    rng = np.random.default_rng(0)
    answered, stop = [0, 0], threading.Event()
    wrong: list[str] = []

    def ask(n: int) -> None:
        own = np.random.default_rng(n)
        asked = {group: random_codes(own, int(own.integers(1, 9))) for group in range(2)}
        for group, rows in asked.items():
            clients[n].submit(group, rows)
        while not stop.is_set():
            for group in range(2):
                answer = clients[n].collect(group).answers
                if not np.array_equal(answer.priors, expected(asked[group])[0]):
                    wrong.append(f"client {n}, group {group}")
                answered[n] += 1
                asked[group] = random_codes(own, int(own.integers(1, 9)))
                clients[n].submit(group, asked[group])

    def start(number: int) -> object:
        process = context.Process(target=_serve, args=(slots.for_server(number), number))
        process.start()
        return process

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2)]
    running = [start(number) for number in range(servers)]
    for thread in threads:
        thread.start()
    for kill in range(kills):
        before = list(answered)
        _wait_for(lambda before=before: all(now > then + 20 for now, then in zip(answered, before, strict=True)))
        time.sleep(float(rng.uniform(0, 0.003)))
        doomed = kill % servers
        _kill(running[doomed])
        slots.repair_after_server_death(doomed)
        running[doomed] = start(doomed)
    before = list(answered)
    _wait_for(lambda: all(now > then + 20 for now, then in zip(answered, before, strict=True)))
    stop.set()
    for thread in threads:
        thread.join(250)
    slots.request_stop()
    for server in running:
        server.join(200)  # type: ignore[attr-defined]
    assert not wrong
    slots.close()


def test_an_idle_server_takes_next_to_no_cpu() -> None:
    slots = InferenceSlots.create(SHAPES, workers=4, groups=2, max_leaves=4, servers=1)
    server = spawn_context().Process(target=_serve, args=(slots.for_server(0),))
    server.start()
    _wait_for(lambda: slots.arrays["server_state"][0] == SERVING)
    watched = psutil.Process(server.pid)

    def used_in_a_second() -> float:
        before = watched.cpu_times()
        time.sleep(1.0)
        after = watched.cpu_times()
        return after.user + after.system - before.user - before.system

    # one that spins would use them all; a slow machine may still be busy with its start in the first of them
    assert any(used_in_a_second() < 0.2 for _ in range(10))
    slots.request_stop()
    server.join(200)
    assert server.exitcode == 0
    slots.close()


def test_messages_are_atomic() -> None:
    largest = Request(region=2**31, request_id=2**62, rows=2**20, roots=2**20)
    assert len(pickle.dumps(tuple(largest))) + 4 < 512  # POSIX's least PIPE_BUF


def test_parts_hold_only_their_own_ends() -> None:
    for pool, answers in ((POOL, [1, 3, 5]), (None, [0, 1, 2, 3, 4, 5])):
        slots = InferenceSlots.create(SHAPES, workers=3, groups=2, max_leaves=4, servers=2, pool=pool)
        assert sorted(slots.for_worker(1).queues) == [(1, 0), (1, 1)]
        assert sorted(slots.for_worker(1)._answers) == [2, 3]
        assert sorted(slots.for_server(1).queues) == [(0, 1), (1, 1), (2, 1)]
        assert sorted(slots.for_server(1)._answers) == answers
        slots.close()


def hold_lock_for_ever(queue: SimpleQueue[int], end: str, held: Semaphore) -> None:
    getattr(queue, end).acquire()
    held.release()
    time.sleep(1000)


@pytest.mark.parametrize(("end", "free"), [("_rlock", free_reader), ("_wlock", free_writer)])
def test_a_lock_whose_holder_was_killed_is_let_go(end: str, free: Callable[[SimpleQueue[int]], None]) -> None:
    """And the queues are the ones that torch.multiprocessing has."""
    context = spawn_context()
    queue, held = context.SimpleQueue(), context.Semaphore(0)
    from torch import multiprocessing as torch_multiprocessing  # not above: each child of these tests imports them anew

    assert type(queue) is type(torch_multiprocessing.get_context("spawn").SimpleQueue())
    holder = context.Process(target=hold_lock_for_ever, args=(queue, end, held), daemon=True)
    holder.start()
    assert held.acquire(timeout=100)
    _kill(holder)
    holder.join()
    assert not getattr(queue, end).acquire(False), "it died with the lock"
    free(queue)
    queue.put(7)
    assert queue.get() == 7
    queue.close()
