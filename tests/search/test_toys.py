"""Games whose values are known: the search must find them, for every seat, whatever the net says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.config import SearchSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from hexpipe.search.mcts import Mcts, RootResults
from hexpipe.search.tree import SOLVED
from tests.search import reference
from tests.search.toys import Bandit, KingMaker, Trap

ONE = np.zeros(1, np.int32)


def flat(game: Game) -> reference.Evaluate:
    """A net that knows nothing."""
    priors = np.full(game.num_actions, 1 / game.num_actions, np.float32)
    return lambda codes: (priors, np.zeros(game.num_seats, np.float32))


def searched(game: Game, moves: list[int], evaluate: reference.Evaluate, **options: Any) -> RootResults:
    defaults = {"early_stop": False, "dirichlet_fraction": 0.0, "gumbel_scale": 0.0, "solver": False}
    mcts = Mcts(game, 1, SearchSettings(**{**defaults, **options}), np.random.default_rng(0))
    reference.begin_at(mcts, [0], moves)
    reference.finish(mcts, evaluate)
    return mcts.results(ONE)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 4])
@pytest.mark.parametrize("winning", [0, 3, 5])
def test_bandit(root: str, leaves: int, winning: int) -> None:
    game = Bandit(6, winning)
    found = searched(game, [], flat(game), root=root, leaves_per_game=leaves, num_simulations=60)
    assert found.actions[0] == winning
    assert found.policy[0].argmax() == winning
    assert found.policy[0, winning] > 0.6
    assert found.q_values[0, winning] == 1
    assert (np.delete(found.q_values[0], winning) <= 0).all()
    assert found.root_values[0].sum() == pytest.approx(0)


def test_bandit_with_misleading_priors() -> None:
    game = Bandit(6, 1)
    priors = np.array([0.9, 0.01, 0.0225, 0.0225, 0.0225, 0.0225], np.float32)
    found = searched(game, [], lambda codes: (priors, np.zeros(2, np.float32)), num_simulations=3000)
    assert found.actions[0] == 1
    assert found.root_values[0, 0] > 0.5


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 3])
def test_trap(root: str, leaves: int) -> None:
    """What wins against three of four replies loses; the draw is best."""
    game = Trap()
    found = searched(game, [], flat(game), root=root, leaves_per_game=leaves, num_simulations=400)
    assert found.actions[0] == 1
    assert found.q_values[0, 1] == 0
    assert found.q_values[0, [0, 2, 3]].max() < -0.2
    after = searched(game, [0], flat(game), root=root, leaves_per_game=leaves, num_simulations=60)
    assert after.actions[0] == 3
    assert after.q_values[0].tolist() == [-1, -1, -1, 1]
    assert after.root_values[0, 1] == -after.root_values[0, 0]  # by absolute seat
    # 60 simulations of sequential halving: 7 for each of 4, then 16 for each of 2; 23 of them win
    wanted = 0.85 if root == "puct" else (23 - 37) / 61
    assert after.root_values[0, 1] == pytest.approx(wanted, abs=0.15 if root == "puct" else 1e-6)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 3])
def test_each_seat_plays_for_itself(root: str, leaves: int) -> None:
    game = KingMaker()

    def values(moves: list[int]) -> RootResults:
        return searched(game, moves, flat(game), root=root, leaves_per_game=leaves, num_simulations=300)

    seat_1, seat_2 = values([0]), values([1, 0])
    assert (seat_1.actions[0], seat_2.actions[0]) == (1, 0)
    # the mover's values: it wins, or lets seat 0 win
    assert seat_1.q_values[0].tolist() == pytest.approx([-0.5, 1], abs=0.2)
    assert seat_2.q_values[0].tolist() == pytest.approx([1, -0.5], abs=0.2)
    if root == "puct":  # Gumbel's sequential halving spends half of the visits on the worse of two
        assert seat_1.root_values[0].tolist() == pytest.approx([-0.5, 1, -0.5], abs=0.2)
        assert seat_2.root_values[0].tolist() == pytest.approx([-0.5, -0.5, 1], abs=0.2)
    for moves, winner in (([], None), ([1], 2)):
        found = values(moves)
        assert found.q_values[0].tolist() == pytest.approx([-0.5, -0.5], abs=0.2)
        assert found.root_values[0].sum() == pytest.approx(0, abs=1e-5)
        assert winner is None or found.root_values[0].argmax() == winner


@pytest.mark.parametrize("first", [None, *range(9)])
def test_hex_values_approach_the_truth(first: int | None) -> None:
    """With a net that knows nothing the search still learns who wins every 3x3 position after one stone."""
    game, moves = Hex(3), [] if first is None else [first]
    states = game.play(moves)
    solver, colour = HexSolver(3), len(moves) % 2
    truth = solver.value(states.cells[0], colour)
    found = searched(game, moves, flat(game), num_simulations=20_000, leaves_per_game=16, c_puct_init=0.6)
    assert found.root_values[0, colour] * truth > 0.8
    assert found.root_values[0, 1 - colour] == -found.root_values[0, colour]
    if truth > 0:
        assert found.actions[0] in solver.winning_moves(states.cells[0], colour)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 8])
@pytest.mark.parametrize(
    ("size", "moves"), [(3, [0]), (3, [4, 1]), (4, [5, 10, 6, 9, 0, 15]), (4, [0, 5, 3, 10, 15, 12])]
)
def test_what_is_proven_is_true(root: str, leaves: int, size: int, moves: list[int]) -> None:
    """Each node that the search has solved has the value that the exact solver finds there."""
    game, solver = Hex(size), HexSolver(size)
    settings = SearchSettings(
        root=root, num_simulations=4000, leaves_per_game=leaves, early_stop=False, dirichlet_fraction=0.0
    )
    mcts = Mcts(game, 1, settings, np.random.default_rng(0))
    reference.begin_at(mcts, [0], moves)
    reference.finish(mcts, flat(game))
    tree, found = mcts.tree, mcts.results(ONE)
    solved = np.flatnonzero(tree.status[0, : tree.num_nodes[0]] == SOLVED)
    finished = mcts.states.winner[tree.handle[0, solved]] >= 0
    assert len(solved) > finished.sum() > 0
    if size == 3:
        assert tree.status[0, 0] == SOLVED
        assert found.visit_counts.sum() < 4000
    for node in solved.tolist():
        row, seat = tree.handle[0, node], int(tree.to_move[0, node])
        truth = solver.value(mcts.states.cells[row], seat)
        assert tree.net_value[0, node, seat] == truth
        assert tree.value_sum[0, node].tolist() == (tree.visits[0, node] * tree.net_value[0, node]).tolist()
    colour = len(moves) % 2
    if size == 3 and tree.net_value[0, 0, colour] > 0:
        winning = solver.winning_moves(game.play(moves).cells[0], colour)
        assert set(np.flatnonzero(found.policy[0] > 0.01)) <= set(winning)
        assert found.actions[0] in winning
