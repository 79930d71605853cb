"""Learned dynamics behind the slots: the right latents and weights, whoever dies and whatever is published."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hexpipe.answers import Answers
from hexpipe.errors import InferenceError, SearchesLostError
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import Station
from hexpipe.inference.latent_server import LatentServer
from hexpipe.inference.latents import Latents, LocalLatentEvaluator, PoolShape
from hexpipe.inference.slots import InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from hexpipe.search.evaluator import Evaluation, Moves
from tests.inference.fakes import SHAPES, random_codes
from tests.refusals import refused

POOL = PoolShape(games=3, nodes=5)


class FakeNet:
    """A latent is one number: that of the codes, or three times its parent's plus the action plus the weights."""

    def __init__(self, rows: int) -> None:
        self.pool = np.full(rows, -1, np.int64)
        self.shift = [0, 0]
        self.calls: list[tuple[str, int, int]] = []

    def load(self, weights: Mapping[str, np.ndarray], slot: int = 0) -> None:
        self.shift[slot] = int(weights["shift"][0])

    def initial(self, slot: int, codes: np.ndarray, rows: np.ndarray, out: Answers) -> None:
        self.calls.append(("initial", slot, len(codes)))
        self.pool[rows] = [root_number(code, self.shift[slot]) for code in codes]
        assert out.rewards is None
        out.put(slice(None), answers(self.pool[rows]))

    def recurrent(self, slot: int, parents: np.ndarray, actions: np.ndarray, rows: np.ndarray, out: Answers) -> None:
        self.calls.append(("recurrent", slot, len(rows)))
        self.pool[rows] = 3 * self.pool[parents] + actions + self.shift[slot]
        out.put(slice(None), answers(self.pool[rows]))


def root_number(code: np.ndarray, shift: int) -> int:
    return int(code.astype(np.int64) @ (np.arange(SHAPES.code_length) + 1)) % 100 + shift


def answers(numbers: np.ndarray) -> Answers:
    """Exact in float16."""
    priors = ((numbers[:, None] + 7 * np.arange(SHAPES.num_actions)) % 64) / 256
    values = np.stack([numbers % 1024, -(numbers % 1024)], axis=1) / 1024
    return Answers(priors, values, values / 2)


class Search:
    """What the games of one group ask: numbers of their nodes as they should be, by (game, node)."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, int], int] = {}

    def request(
        self, rng: np.random.Generator, roots: list[int], children: list[tuple[int, int, int]], shift: int
    ) -> tuple[np.ndarray, Moves]:
        """Roots of these games, and children (game, parent, node)."""
        codes = random_codes(rng, len(roots))
        actions = rng.integers(0, SHAPES.num_actions, len(children)).astype(np.int32)
        for game, code in zip(roots, codes, strict=True):
            self.numbers[game, 0] = root_number(code, shift)
        for (game, parent, node), action in zip(children, actions.tolist(), strict=True):
            self.numbers[game, node] = 3 * self.numbers[game, parent] + action + shift
        rows = [game * POOL.nodes for game in roots] + [game * POOL.nodes + node for game, _, node in children]
        parents = [game * POOL.nodes + parent for game, parent, _ in children]
        return codes, Moves(np.array(parents, np.int32), actions, np.array(rows, np.int32))

    def check(self, evaluation: Evaluation, roots: list[int], children: list[tuple[int, int, int]]) -> None:
        nodes = [(game, 0) for game in roots] + [(game, node) for game, _, node in children]
        wanted = answers(np.array([self.numbers[node] for node in nodes]))
        wanted.rewards[: len(roots)] = 0
        for own, part in zip(evaluation.answers.parts(), wanted.parts(), strict=True):
            np.testing.assert_array_equal(own, part)


def slots_for(workers: int, servers: int = 1, max_leaves: int = 8) -> InferenceSlots:
    return InferenceSlots.create(SHAPES, workers=workers, groups=2, max_leaves=max_leaves, servers=servers, pool=POOL)


def serve(server: LatentServer, requests: int) -> None:
    before = server.requests
    server.run(lambda: server.requests >= before + requests)


def test_roots_and_children_of_all_workers_in_two_passes() -> None:
    slots, rng = slots_for(workers=2), np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
    net = FakeNet(4 * POOL.rows)
    server = LatentServer(Station(slots.for_server(0), 0), net)
    searches = {(worker, group): Search() for worker in range(2) for group in range(2)}
    turns: list[tuple[list[int], list[tuple[int, int, int]]]] = [
        ([0, 1, 2], []),
        ([], [(0, 0, 1), (2, 0, 1), (1, 0, 1)]),
        ([1], [(0, 1, 2), (2, 0, 2)]),
    ]
    for roots, children in turns:
        for (worker, group), search in searches.items():
            clients[worker].submit(group, *search.request(rng, roots, children, 0))
        net.calls.clear()
        serve(server, 4)
        assert net.calls == [
            (name, 0, 4 * count) for name, count in (("initial", len(roots)), ("recurrent", len(children))) if count
        ]
        for (worker, group), search in searches.items():
            search.check(clients[worker].collect(group), roots, children)
    assert server.evals == 4 * 9
    slots.close()


def test_a_request_larger_than_the_cap_is_answered() -> None:
    slots, rng = slots_for(workers=1, max_leaves=8), np.random.default_rng(0)
    client, search = InferenceClient(slots.for_worker(0), 0), Search()
    server = LatentServer(Station(slots.for_server(0), 0, max_batch=2), FakeNet(2 * POOL.rows))
    client.submit(1, *search.request(rng, [0, 1, 2], [], 0))
    serve(server, 1)
    search.check(client.collect(1), [0, 1, 2], [])
    slots.close()


def test_every_server_has_the_pool_of_its_own_regions() -> None:
    slots, rng = slots_for(workers=2, servers=2), np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
    searches = {(worker, group): Search() for worker in range(2) for group in range(2)}
    for (worker, group), search in searches.items():
        clients[worker].submit(group, *search.request(rng, [2], [], 0))
    for number in range(2):
        net = FakeNet(2 * POOL.rows)
        serve(LatentServer(Station(slots.for_server(number), number), net), 2)
        assert np.flatnonzero(net.pool >= 0).tolist() == [2 * POOL.nodes, POOL.rows + 2 * POOL.nodes]
    for (worker, group), search in searches.items():
        search.check(clients[worker].collect(group), [2], [])
    slots.close()


def test_a_search_keeps_the_weights_of_its_root() -> None:
    """And the older weights go only when their last search has ended."""
    slots, rng = slots_for(workers=1), np.random.default_rng(0)
    board = WeightsBoard.create([("shift", (1,))], private=True)
    board.publish(1, {"shift": np.array([10], np.float32)})
    client, net = InferenceClient(slots.for_worker(0), 0), FakeNet(2 * POOL.rows)
    server = LatentServer(Station(slots.for_server(0), 0, board), net)
    search = Search()

    def turn(roots: list[int], children: list[tuple[int, int, int]], shifts: list[int]) -> int:
        """``shifts``: of which weights each root and child must be."""
        codes, moves = search.request(rng, roots, children, 0)
        for node, shift in zip([(g, 0) for g in roots] + [(g, n) for g, _, n in children], shifts, strict=True):
            search.numbers[node] += shift
        client.submit(0, codes, moves)
        serve(server, 1)
        answer = client.collect(0)
        search.check(answer, roots, children)
        return answer.version

    assert turn([0, 1], [], [10, 10]) == 1
    board.publish(2, {"shift": np.array([20], np.float32)})
    assert turn([], [(0, 0, 1), (1, 0, 1)], [10, 10]) == 2  # both searches go on with what they began with
    assert turn([2], [(0, 1, 2)], [20, 10]) == 2
    board.publish(3, {"shift": np.array([30], np.float32)})
    assert turn([1], [(0, 0, 3), (2, 0, 1)], [20, 10, 20]) == 2  # game 0 still holds the first weights
    assert turn([0], [], [20]) == 2
    assert turn([2], [(0, 0, 1)], [30, 20]) == 3  # nobody held them any more
    slots.close()
    board.close()


def test_the_rows_of_a_dead_client_come_back() -> None:
    """It died in mid-search; its replacement's searches, and new weights, are not held up by it."""
    slots, rng = slots_for(workers=2), np.random.default_rng(0)
    board = WeightsBoard.create([("shift", (1,))], private=True)
    board.publish(1, {"shift": np.array([10], np.float32)})
    dying, living = (InferenceClient(slots.for_worker(worker), worker) for worker in range(2))
    server = LatentServer(Station(slots.for_server(0), 0, board), FakeNet(4 * POOL.rows))
    for client in (dying, living):
        client.submit(0, *Search().request(rng, [0, 1, 2], [], 0))
    serve(server, 2)
    living.collect(0)
    board.publish(2, {"shift": np.array([20], np.float32)})
    living.submit(0, *Search().request(rng, [0, 1, 2], [], 0))
    serve(server, 1)
    living.collect(0)
    board.publish(3, {"shift": np.array([30], np.float32)})
    living.submit(0, *Search().request(rng, [0], [], 0))
    serve(server, 1)
    assert living.collect(0).version == 2  # the dead client's searches seem to be under way
    slots.repair_after_death(0)
    replacement, search = InferenceClient(slots.for_worker(0), 0), Search()
    codes, moves = search.request(rng, [0, 1, 2], [], 30)
    replacement.submit(0, codes, moves)
    serve(server, 1)
    answer = replacement.collect(0)
    assert answer.version == 3
    search.check(answer, [0, 1, 2], [])
    slots.close()
    board.close()


def test_searches_of_a_replaced_server_begin_again() -> None:
    """Their latents died with the other: no answer made of what lies in the new pool reaches them."""
    slots, rng = slots_for(workers=2), np.random.default_rng(0)
    clients = [InferenceClient(slots.for_worker(worker), worker, replace_timeout=10.0) for worker in range(2)]
    old = LatentServer(Station(slots.for_server(0), 0), FakeNet(4 * POOL.rows))
    searches = [Search(), Search()]
    clients[0].submit(0, *searches[0].request(rng, [0, 1, 2], [], 0))
    serve(old, 1)
    clients[0].collect(0)
    clients[0].submit(0, *searches[0].request(rng, [1], [(0, 0, 1), (2, 0, 1)], 0))
    clients[1].submit(1, *searches[1].request(rng, [0, 2], [], 0))
    slots.arrays["server_pid"][0] = 2**30  # killed
    slots.repair_after_server_death(0)
    new = LatentServer(Station(slots.for_server(0), 0), FakeNet(4 * POOL.rows))
    serve(new, 2)
    with refused(SearchesLostError, kind="missing"):
        clients[0].collect(0)
    searches[1].check(clients[1].collect(1), [0, 2], [])
    again = Search()
    for roots, children in (([0, 1, 2], []), ([], [(0, 0, 1), (1, 0, 1)])):
        clients[0].submit(0, *again.request(rng, roots, children, 0))
        serve(new, 1)
        again.check(clients[0].collect(0), roots, children)
    slots.close()


def test_a_search_that_has_no_leaf_in_its_groups_request_has_ended() -> None:
    """It holds no weights back; nor does any search of a group whose client says that all have ended."""
    slots, rng = slots_for(workers=1), np.random.default_rng(0)
    board = WeightsBoard.create([("shift", (1,))], private=True)
    board.publish(1, {"shift": np.array([10], np.float32)})
    client = InferenceClient(slots.for_worker(0), 0)
    server = LatentServer(Station(slots.for_server(0), 0, board), FakeNet(2 * POOL.rows))

    def ask(group: int, roots: list[int]) -> int:
        client.submit(group, *Search().request(rng, roots, [], 0))
        serve(server, 1)
        return client.collect(group).version

    assert ask(0, [0, 1]) == 1
    board.publish(2, {"shift": np.array([20], np.float32)})
    assert ask(1, [0]) == 2
    board.publish(3, {"shift": np.array([30], np.float32)})
    assert ask(1, [0]) == 2  # group 0 has two searches with version 1
    assert ask(0, [2]) == 2  # games 0 and 1 of it have ended
    assert ask(1, [1]) == 3
    board.publish(4, {"shift": np.array([40], np.float32)})
    assert ask(1, [1]) == 3  # group 0 has a search with version 2
    client.release(0)
    assert ask(1, [1]) == 4
    slots.close()
    board.close()


def test_the_local_evaluator_is_told_that_searches_have_ended() -> None:
    local, rng = LocalLatentEvaluator(FakeNet(2 * POOL.rows), SHAPES, POOL, groups=2), np.random.default_rng(0)
    for version in (1, 2, 3):
        local.load(version, {"shift": np.array([version], np.float32)})
        local.submit(0, *Search().request(rng, [0], [], 0))
        assert local.collect(0).version == version
        if version == 1:
            local.submit(1, *Search().request(rng, [0], [], 0))
            local.collect(1)
        if version == 2:
            local.release(1)  # else version 3 would wait for it


def test_weights_in_use_are_never_overwritten() -> None:
    latents = Latents(FakeNet(POOL.rows), 1, POOL)
    local = LocalLatentEvaluator(FakeNet(POOL.rows), SHAPES, POOL, groups=1)
    rng = np.random.default_rng(0)
    local.load(1, {"shift": np.array([1], np.float32)})
    local.submit(0, *Search().request(rng, [0, 1], [], 0))
    local.collect(0)
    local.load(2, {"shift": np.array([2], np.float32)})
    local.load(3, {"shift": np.array([3], np.float32)})
    assert local.version == 2  # version 3 waits: the searches under way hold version 1
    local.submit(0, *Search().request(rng, [0, 1], [], 0))
    local.collect(0)
    local.submit(0, *Search().request(rng, [0], [], 0))
    assert local.collect(0).version == 3
    latents._slot_of[0, 0] = 1
    with refused(InferenceError, "version 0", kind="busy"):
        latents.load(1, {"shift": np.array([1], np.float32)})
