"""A net that never learned the swap rule, and the search over it, against the exact solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.config import SearchSettings
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from hexpipe.games.set_up import SetUp
from hexpipe.search.evaluator import Evaluation, Moves
from hexpipe.search.mcts import nodes_per_game, run_searches, search_positions, searches_at
from hexpipe.search.swap_by_value import LatentSwapByValue, SwapByValue

N = 4
CELLS = N * N
GAME, PLAIN = Hex(N, swap=True), Hex(N)
SOLVER = HexSolver(N)


def first_stone_wins(cell: int) -> bool:
    return SOLVER.value(PLAIN.play([cell]).cells[0], 1) < 0


class Knowing:
    """What a net trained without the rule might say: nearly the truth of every position, and nonsense of the swap."""

    def __init__(self, sharpness: float = 0.9) -> None:
        self.sharpness = sharpness
        self.asked: list[np.ndarray] = []

    def evaluate(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(codes.copy())
        assert not codes[CELLS], "the net has never seen this flag"
        value = self.sharpness * SOLVER.value(codes[:CELLS], 0)
        priors = np.append(np.where(codes[:CELLS] == 0, 1.0, 0.0), 0.0)
        return (priors / priors.sum()).astype(np.float32), np.array([value, -value], np.float32)

    def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
        answers = [self.evaluate(row) for row in codes]
        self.answer = Evaluation(Answers(np.stack([a for a, _ in answers]), np.stack([v for _, v in answers])), 0)

    def collect(self, group: int) -> Evaluation:
        return self.answer


class KnowingDynamics(Knowing):
    """The same behind learned dynamics of Hex without swap: latents are positions by row."""

    def __init__(self) -> None:
        super().__init__()
        self.latents: dict[int, np.ndarray] = {}

    def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
        if moves is None:
            moves = Moves(np.zeros(0, np.int32), np.zeros(0, np.int32), np.arange(len(codes), dtype=np.int32))
        assert len(moves.rows) == len(codes) + len(moves.actions)
        for row, code in zip(moves.rows, codes, strict=False):
            self.latents[int(row)] = code.copy()
        for row, parent, action in zip(moves.rows[len(codes) :], moves.parents, moves.actions, strict=True):
            assert action < CELLS, "the dynamics have never seen a swap"
            board = self.latents[int(parent)][:CELLS].copy()
            board[action] = board[action] or 1
            turned = np.where(board == 0, 0, 3 - board).reshape(N, N).T.ravel()
            self.latents[int(row)] = np.append(turned, 0).astype(np.int8)
        answers = [self.evaluate(self.latents[int(row)]) for row in moves.rows]
        values = np.stack([value for _, value in answers])
        priors = np.stack([priors for priors, _ in answers])
        self.answer = Evaluation(Answers(priors, values, np.ones_like(values) / 100), 0)


def search(**changes: Any) -> SearchSettings:
    return SearchSettings.model_validate({"num_simulations": 12, "early_stop": False, "leaves_per_game": 1, **changes})


def wrapped(learned: bool, simulations: int = 12) -> SwapByValue:
    if learned:
        return LatentSwapByValue(
            KnowingDynamics(), GAME.shapes, nodes_per_game(search(num_simulations=simulations), True)
        )
    return SwapByValue(Knowing(), GAME.shapes)


def test_the_answer_of_a_position_that_may_be_swapped() -> None:
    """Its value is the better one's, the swap's prior the other seat's chance, the rest the net's in proportion."""
    for cell in range(CELLS):
        states = GAME.play([cell])
        codes = np.zeros((1, GAME.shapes.code_length), np.int8)
        GAME.codes(states, np.zeros(1, np.int32), codes)
        evaluator = SwapByValue(Knowing(), GAME.shapes)
        evaluator.submit(0, codes)
        priors, values, *_ = evaluator.collect(0).answers
        assert values[0].tolist() == pytest.approx([0.9, -0.9])
        assert priors[0, CELLS] == pytest.approx(1 - 1 / CELLS if first_stone_wins(cell) else 1 / CELLS)
        assert priors[0].sum() == pytest.approx(1, abs=1e-5)
        others = priors[0, :CELLS][codes[0, :CELLS] == 0]
        assert others == pytest.approx(np.full(CELLS - 1, others[0]))
        assert codes[0, CELLS] == 1, "the caller's codes stay as they were"


def test_its_prior_is_never_less_than_one_of_the_legal_moves_nor_the_only_one() -> None:
    codes = np.zeros((1, GAME.shapes.code_length), np.int8)
    codes[0, [5, CELLS]] = 2, 1
    for sharpness in (1.0, -1.0, 0.0):
        evaluator = SwapByValue(Knowing(sharpness), GAME.shapes)
        evaluator.submit(0, codes)
        priors = evaluator.collect(0).answers.priors[0]
        assert 1 / CELLS <= priors[CELLS] <= 1 - 1 / CELLS
        assert (priors[:CELLS][codes[0, :CELLS] == 0] > 0).all()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_it_swaps_what_should_be_swapped(root: str, learned: bool) -> None:
    settings = search(root=root, gumbel_scale=0.0, gumbel_considered=8)
    for position in [[cell] for cell in range(CELLS)]:
        found = search_positions(GAME, [position], wrapped(learned), settings, 0, learned)
        assert (found.actions[0] == CELLS) == first_stone_wins(position[0])
        by_stones = search_positions(GAME, [SetUp((position[0],), (), 1)], wrapped(learned), settings, 0, learned)
        assert by_stones.visit_counts.tolist() == found.visit_counts.tolist()


@pytest.mark.parametrize("learned", [False, True])
def test_it_is_tried_first_whatever_its_prior(learned: bool) -> None:
    for cell in range(CELLS):
        found = search_positions(GAME, [[cell]], wrapped(learned), search(num_simulations=2), 0, learned)
        assert found.visit_counts[0, CELLS] >= 1


@pytest.mark.parametrize("learned", [False, True])
def test_a_swap_costs_nothing_and_nobody_swaps_again(learned: bool) -> None:
    """After it the same stones lie there, and the other seat, which moves, has their value."""
    for cell in range(CELLS):
        evaluator = wrapped(learned)
        (found,) = search_positions(GAME, [[cell, CELLS]], evaluator, search(), 0, learned)._asdict()["net_values"]
        truth = 0.9 * (-1 if first_stone_wins(cell) else 1)  # of white, who goes on: seat 0 now
        assert found.tolist() == pytest.approx([truth, -truth])
        mcts = searches_at(GAME, [[cell]], evaluator, search(), 0, learned)
        games = np.zeros(1, np.int32)
        mcts.begin(games, noise=False)
        run_searches(mcts, games, evaluator)
        swaps = int((mcts.tree.action[0, : mcts.tree.num_nodes[0]] == CELLS).sum())
        assert swaps == 1


@pytest.mark.parametrize("learned", [False, True])
def test_it_opens_what_is_nearest_to_even(learned: bool) -> None:
    """Of a net to which every first stone but three is decided."""

    class Doubtful(KnowingDynamics if learned else Knowing):  # type: ignore[misc]
        def evaluate(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            priors, values = super().evaluate(codes)
            stones = np.flatnonzero(codes[:CELLS])
            cell = int(stones[0]) % N * N + int(stones[0]) // N if len(stones) == 1 else -1
            even = {2: 0.1, 7: -0.05, 12: 0.2}.get(cell)
            return priors, values if even is None else np.array([even, -even], np.float32)

    net = Doubtful()
    nodes = nodes_per_game(search(), learned)
    evaluator = LatentSwapByValue(net, GAME.shapes, nodes) if learned else SwapByValue(net, GAME.shapes, at_once=5)
    found = search_positions(GAME, [[]], evaluator, search(num_simulations=2), 0, learned)
    assert found.actions[0] == 7
    assert found.net_values[0].tolist() == pytest.approx([-0.05, 0.05])
    assert int(found.net_priors[0].argmax()) == 7
    assert len(net.asked) >= CELLS
    before = len(net.asked)
    search_positions(GAME, [[]], evaluator, search(num_simulations=2), 0, learned)
    assert len(net.asked) - before <= 3, "the first stones are asked for once"


def test_openings_are_worth_what_a_swap_leaves_of_them() -> None:
    """The search sees through every first move: whoever replies may swap, so each of them loses."""
    for learned in (False, True):
        many = search(num_simulations=60)
        found = search_positions(GAME, [[]], wrapped(learned, 60), many, 0, learned)
        visited = found.visit_counts[0] > 0
        assert visited.sum() > 10
        assert (found.q_values[0][visited] < -0.3).all()
