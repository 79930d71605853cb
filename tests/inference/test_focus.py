"""Where the net looks travels wherever priors and values go; where there is no thumbnail nothing does."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.config import Shapes, load_settings
from hexpipe.games.factory import make_game
from hexpipe.inference.client import CachedEvaluator, InferenceClient
from hexpipe.inference.inference_server import InferenceServer, LocalEvaluator, Station
from hexpipe.inference.latent_server import LatentServer
from hexpipe.inference.latents import LocalLatentEvaluator, PoolShape
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.inference.slots import InferenceSlots
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.plan import GROUPS, Plan
from hexpipe.roles.segments import estimate, max_leaves
from hexpipe.search.evaluator import Evaluation, Moves
from tests.inference.fakes import LARGE, SHAPES, FakeBackend, expected, expected_focus, random_codes

POOL = PoolShape(games=3, nodes=5)


def check(evaluation: Evaluation, codes: np.ndarray, shift: float = 0.0) -> None:
    answer, (priors, values) = evaluation.answers, expected(codes, shift)
    np.testing.assert_array_equal(answer.priors, priors)
    np.testing.assert_array_equal(answer.values, values)
    assert answer.focus is not None
    np.testing.assert_array_equal(answer.focus, expected_focus(codes, shift))


def test_slots_have_two_bytes_more_a_leaf_and_hex_none() -> None:
    def leaf_bytes(shapes: Shapes) -> int:
        slots = InferenceSlots.create(shapes, workers=1, groups=1, max_leaves=3, servers=1)
        names = [name for name, array in slots.arrays.items() if array.ndim > 1 and array.size]
        size = sum(slots.arrays[name][0, 0].nbytes for name in names)
        slots.close()
        return size

    assert leaf_bytes(SHAPES) == 16 + 2 * 16 + 4 * 2
    assert leaf_bytes(LARGE) == 36 + 2 * 9 + 4 * 2 + 2
    settings = load_settings("quick", {"game.name": "inarow", "game.board_size": 7, "game.thumbnail": True})
    game, plan = make_game(settings.game), Plan(2, ("cpu",), ("cpu",), 1, 2)
    rows = 2 * GROUPS * max_leaves(settings)
    assert estimate(ROLES, settings, game, plan)["inference-slots"] == pytest.approx(
        rows * leaf_bytes(game.shapes), abs=20_000
    )


@pytest.mark.parametrize("max_batch", [64, 3])
def test_through_slots_and_server(max_batch: int) -> None:
    """Together in one batch, alone, and in parts."""
    slots = InferenceSlots.create(LARGE, workers=2, groups=2, max_leaves=8, servers=1)
    clients = [InferenceClient(slots.for_worker(worker), worker) for worker in range(2)]
    server = InferenceServer(Station(slots.for_server(0), 0, max_batch=max_batch), FakeBackend())
    rng = np.random.default_rng(0)
    for regions in ([(0, 0), (0, 1), (1, 0), (1, 1)], [(1, 0)]):
        sent = {place: random_codes(rng, 8 - place[0] - place[1], LARGE) for place in regions}
        for (worker, group), codes in sent.items():
            clients[worker].submit(group, codes)
        wanted = server.requests + len(regions)
        server.run(lambda wanted=wanted: server.requests >= wanted)
        for (worker, group), codes in sent.items():
            check(clients[worker].collect(group), codes)
    slots.close()


def test_in_one_process() -> None:
    local, rng = LocalEvaluator(FakeBackend(), LARGE, groups=2, max_batch=4), np.random.default_rng(0)
    local.load(1, {"shift": np.array([0.5], np.float32)})
    first, second = random_codes(rng, 6, LARGE), random_codes(rng, 3, LARGE)
    local.submit(0, first)
    local.submit(1, second)
    check(local.collect(0), first, 0.5)
    check(local.collect(1), second, 0.5)
    hexagons = LocalEvaluator(FakeBackend(), SHAPES)
    hexagons.submit(0, random_codes(rng, 2))
    assert hexagons.collect(0).answers.focus is None


def test_the_cache_keeps_it() -> None:
    backend, rng = FakeBackend(), np.random.default_rng(0)
    cached = CachedEvaluator(LocalEvaluator(backend, LARGE), LRUCache(64, LARGE), LARGE)
    pool = random_codes(rng, 12, LARGE)
    for turn in range(40):
        codes = pool[rng.integers(0, len(pool), rng.integers(1, 9))]
        cached.submit(turn % 2, codes)
        check(cached.collect(turn % 2), codes)
    assert sum(backend.batch_sizes) == 12
    assert cached.hits > 0
    assert cached.repeats > 0


def test_a_new_answer_of_a_kept_position_replaces_its_focus() -> None:
    cache, codes = LRUCache(8, LARGE), random_codes(np.random.default_rng(0), 2, LARGE)
    priors, values, focus = *expected(codes), np.full(2, -9, np.int16)
    outs = np.zeros_like(priors), np.zeros_like(values), focus
    for told in ([3, 8], [5, 0]):
        cache.insert(codes, priors, values, np.array(told, np.int16))
        assert cache.lookup(codes, *outs).all()
        assert focus.tolist() == told
    focus[:] = -9
    assert cache.lookup(codes, *outs[:2]).all()  # who does not ask is not told
    assert focus.tolist() == [-9, -9]
    more = LRUCache(1024, LARGE, half=True).nbytes - LRUCache(1024, SHAPES, half=True).nbytes
    assert more == 1024 * (36 + 18 + 2 - 16 - 32)


def test_of_an_evaluator_that_looks_nowhere_nothing_is_known() -> None:
    class Blind(LocalEvaluator):
        def collect(self, group: int) -> Evaluation:
            evaluation = super().collect(group)
            return evaluation._replace(answers=evaluation.answers._replace(focus=None))

    cached = CachedEvaluator(Blind(FakeBackend(), LARGE), LRUCache(64, LARGE), LARGE)
    codes = random_codes(np.random.default_rng(0), 3, LARGE)
    for _ in range(2):  # asked, then kept
        cached.submit(0, codes[[0, 1, 0, 2]])
        answer = cached.collect(0).answers
        assert answer.focus is not None
        assert answer.focus.tolist() == [-1] * 4
    blind = CachedEvaluator(LocalEvaluator(FakeBackend(), SHAPES), LRUCache(64, SHAPES), SHAPES)
    blind.submit(0, random_codes(np.random.default_rng(0), 3))
    assert blind.collect(0).answers.focus is None


class LookingNet:
    """A latent is one number; the focus is it, and how often its weights were loaded."""

    def __init__(self, rows: int) -> None:
        self.pool = np.zeros(rows, np.int64)
        self.shift = [0, 0]

    def load(self, weights: dict[str, np.ndarray], slot: int = 0) -> None:
        self.shift[slot] = int(weights["shift"][0])

    def initial(self, slot: int, codes: np.ndarray, rows: np.ndarray, out: Answers) -> None:
        self._answer(rows, codes.sum(1) + self.shift[slot], out)

    def recurrent(self, slot: int, parents: np.ndarray, actions: np.ndarray, rows: np.ndarray, out: Answers) -> None:
        self._answer(rows, self.pool[parents] + actions + self.shift[slot], out)

    def _answer(self, rows: np.ndarray, numbers: np.ndarray, out: Answers) -> None:
        self.pool[rows] = numbers
        for part in out.parts():
            part[...] = 0.25
        assert out.focus is not None
        out.focus[:] = numbers


def turns(rng: np.random.Generator) -> list[tuple[np.ndarray, Moves, list[int]]]:
    """Codes, moves and the focus to come: two roots, then a child of each and a new root that takes newer weights."""
    roots, later, nobody = random_codes(rng, 2, LARGE), random_codes(rng, 1, LARGE), np.zeros(0, np.int32)
    children = Moves(np.array([0, 5], np.int32), np.array([3, 8], np.int32), np.array([10, 1, 6], np.int32))
    sums = roots.sum(1).astype(int)
    grandchild = Moves(np.array([10, 1], np.int32), np.array([1, 2], np.int32), np.array([11, 2], np.int32))
    return [
        (roots, Moves(nobody, nobody, np.array([0, 5], np.int32)), (sums + 10).tolist()),
        (later, children, [int(later.sum()) + 20, sums[0] + 10 + 3 + 10, sums[1] + 10 + 8 + 10]),
        (later[:0], grandchild, [int(later.sum()) + 20 + 1 + 20, sums[0] + 10 + 3 + 10 + 2 + 10]),
    ]


def test_learned_dynamics_look_too_each_search_with_its_weights() -> None:
    local = LocalLatentEvaluator(LookingNet(POOL.rows), LARGE, POOL, groups=1)
    local.load(1, {"shift": np.array([10], np.float32)})
    for number, (codes, moves, focus) in enumerate(turns(np.random.default_rng(0))):
        if number == 1:
            local.load(2, {"shift": np.array([20], np.float32)})
        local.submit(0, codes, moves)
        answer = local.collect(0).answers
        assert answer.focus is not None
        assert answer.focus.tolist() == focus


def test_learned_dynamics_through_slots_and_server() -> None:
    slots = InferenceSlots.create(LARGE, workers=1, groups=2, max_leaves=4, servers=1, pool=POOL)
    client, net = InferenceClient(slots.for_worker(0), 0), LookingNet(2 * POOL.rows)
    server = LatentServer(Station(slots.for_server(0), 0), net)
    for number, (codes, moves, focus) in enumerate(turns(np.random.default_rng(0))):
        net.shift = [0, 0]  # no weights are loaded here
        for group in range(2):
            client.submit(group, codes, moves)
        server.run(lambda done=2 * number + 2: server.requests >= done)
        for group in range(2):
            answer = client.collect(group).answers
            assert answer.focus is not None
            wanted = np.array(focus) - np.array([[10, 10], [20, 20, 20], [40, 30]][number])
            assert answer.focus.tolist() == wanted.tolist()
    slots.close()
