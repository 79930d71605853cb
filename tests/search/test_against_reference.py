"""The kernels against `reference`: the same trees, node by node, for settings and positions that hypothesis chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hexpipe.config import SearchSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.search.mcts import Mcts
from tests.search import reference
from tests.search.toys import HalvesGame

GAMES: dict[str, Game] = {
    "hex3": Hex(3),
    "hex4": Hex(4),
    "hex4-swap": Hex(4, swap=True),
    "hex5": Hex(5),
    "three-seats": HalvesGame(num_seats=3, plies=7, num_actions=5),
}
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]

puct_settings = st.fixed_dictionaries(
    {
        "num_simulations": st.integers(2, 70),
        "leaves_per_game": st.sampled_from([1, 1, 2, 3, 8]),
        "c_puct_init": st.floats(0.3, 4),
        "c_puct_base": st.sampled_from([50.0, 19652.0]),
        "fpu_reduction": st.sampled_from([0.0, 0.25, 0.7]),
        "virtual_loss": st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        "solver": st.booleans(),
    }
)
gumbel_settings = st.fixed_dictionaries(
    {
        "root": st.just("gumbel"),
        "num_simulations": st.integers(2, 70),
        "leaves_per_game": st.sampled_from([1, 1, 2, 3, 8]),
        "virtual_loss": st.sampled_from([0.0, 0.5, 1.0]),
        "gumbel_considered": st.integers(2, 20),
        "gumbel_scale": st.sampled_from([0.0, 1.0]),
        "gumbel_c_visit": st.sampled_from([1.0, 10.0, 50.0]),
        "gumbel_c_scale": st.sampled_from([0.1, 1.0]),
        "solver": st.booleans(),
    }
)


def opening(game: Game, seed: int, plies: int) -> list[int]:
    """Random moves to a position where the game goes on."""
    rng, moves, row = np.random.default_rng(seed), [], np.zeros(1, np.int32)
    states, legal = game.new_states(1), np.zeros((1, game.num_actions), np.bool_)
    for _ in range(plies):
        game.legal_mask(states, row, legal)
        action = int(rng.choice(np.flatnonzero(legal[0])))
        game.step(states, row, np.array([action], np.int32), row)
        if states.winner[0] >= 0:
            break
        moves.append(action)
    return moves


def assert_same_trees(mcts: Mcts, g: int, expected: reference.ReferenceSearch) -> None:
    found, wanted = reference.kernel_tree(mcts, g), expected.tree()
    assert {path: visits for path, (visits, _) in found.items()} == {p: visits for p, (visits, _) in wanted.items()}
    for path, (_, values) in found.items():
        assert values == pytest.approx(wanted[path][1], abs=1e-5), path


@pytest.mark.parametrize("name", GAMES)
@given(chosen=puct_settings, seed=st.integers(0, 2**32 - 1), plies=st.integers(0, 4))
@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
def test_puct(name: str, chosen: dict[str, Any], seed: int, plies: int) -> None:
    game = GAMES[name]
    rules = SearchSettings(**chosen, early_stop=False)
    evaluate, moves = reference.hash_evaluator(game, seed), opening(game, seed, plies)
    try:
        expected = reference.ReferenceSearch(game, rules, evaluate, moves).run()
    except reference.CloseCallError:
        assume(False)
    mcts = Mcts(game, 2, rules, np.random.default_rng(0))
    reference.begin_at(mcts, [1], moves, noise=False)
    reference.finish(mcts, evaluate)
    assert_same_trees(mcts, 1, expected)

    results = mcts.results(np.array([1], np.int32))
    root, seat = expected.root, expected.root.seat
    visits = [root.children[a].visits if a in root.children else 0 for a in range(game.num_actions)]
    q = [root.children[a].q(seat, 0.0) if a in root.children else 0 for a in range(game.num_actions)]
    assert results.visit_counts[0].tolist() == visits
    assert sum(visits) == rules.num_simulations or (root.solved and sum(visits) < rules.num_simulations)
    assert results.q_values[0].tolist() == pytest.approx(q, abs=1e-5)
    assert results.root_values[0].tolist() == pytest.approx([total / root.visits for total in root.value_sum], abs=1e-5)
    policy = expected.policy()
    assert results.policy[0].tolist() == pytest.approx([policy.get(a, 0) for a in range(game.num_actions)])
    assert results.actions[0] == results.policy[0].argmax()


@pytest.mark.parametrize("name", GAMES)
@given(chosen=gumbel_settings, seed=st.integers(0, 2**32 - 1), plies=st.integers(0, 4))
@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
def test_gumbel(name: str, chosen: dict[str, Any], seed: int, plies: int) -> None:
    game = GAMES[name]
    rules = SearchSettings(**chosen, early_stop=False)
    evaluate, moves = reference.hash_evaluator(game, seed), opening(game, seed, plies)
    gumbel = rules.gumbel_scale * np.random.default_rng(seed).gumbel(size=(1, game.num_actions))[0]
    try:
        expected = reference.ReferenceSearch(game, rules, evaluate, moves, gumbel=gumbel).run()
        winner = expected.halving_winner()
    except reference.CloseCallError:
        assume(False)
    mcts = Mcts(game, 1, rules, np.random.default_rng(seed))
    reference.begin_at(mcts, [0], moves)
    reference.finish(mcts, evaluate)
    assert_same_trees(mcts, 0, expected)

    results = mcts.results(np.zeros(1, np.int32))
    policy = expected.improved_policy(expected.root)
    assert results.policy[0].tolist() == pytest.approx([policy.get(a, 0) for a in range(game.num_actions)], abs=1e-5)
    assert results.actions[0] == winner
    assert results.visit_counts[0].sum() == rules.num_simulations or expected.root.solved


@given(seed=st.integers(0, 2**32 - 1), leaves=st.sampled_from([1, 4]), alpha=st.sampled_from([0.0, 0.3]))
@settings(max_examples=10, deadline=None, suppress_health_check=SLOW)
def test_puct_with_noise(seed: int, leaves: int, alpha: float) -> None:
    """The search is that of the root's mixed priors, and those are a mixture with a point of the simplex."""
    game = GAMES["hex4"]
    rules = SearchSettings(num_simulations=40, leaves_per_game=leaves, dirichlet_alpha=alpha, dirichlet_fraction=0.4)
    evaluate, moves = reference.hash_evaluator(game, seed), opening(game, seed, 3)
    mcts = Mcts(game, 1, rules, np.random.default_rng(seed))
    reference.begin_at(mcts, [0], moves)
    reference.finish(mcts, evaluate)
    mixed = mcts.root_priors(np.zeros(1, np.int32))[0]
    try:
        expected = reference.ReferenceSearch(game, rules, evaluate, moves, root_priors=mixed).run()
    except reference.CloseCallError:
        assume(False)
    assert_same_trees(mcts, 0, expected)
    plain = reference.ReferenceSearch(game, rules, evaluate, moves).root.priors
    noise = {a: (mixed[a] - 0.6 * plain[a]) / 0.4 for a in plain}
    assert sum(noise.values()) == pytest.approx(1, abs=1e-4)
    assert min(noise.values()) > -1e-5
    assert max(noise.values()) > 0.05
    assert all(mixed[a] == -1 for a in moves)


@given(chosen=puct_settings, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
def test_early_stop_never_changes_the_most_visited_move(chosen: dict[str, Any], seed: int) -> None:
    game = GAMES["hex3"]
    rules = SearchSettings(**chosen, early_stop=True)
    evaluate = reference.hash_evaluator(game, seed, sharpness=2.0)
    mcts = Mcts(game, 2, rules, np.random.default_rng(0))
    both = np.arange(2, dtype=np.int32)
    mcts.reset(both)
    mcts.begin(both, noise=False, may_stop=np.array([False, True]))
    reference.finish(mcts, evaluate)
    whole, short = mcts.results(both).visit_counts
    assert whole.sum() == rules.num_simulations >= short.sum()
    assert (short <= whole).all()
    assert short.argmax() == whole.argmax()
    if short.sum() < whole.sum():
        top = np.sort(short)
        assert top[-1] - top[-2] > rules.num_simulations - short.sum()
    try:
        expected = reference.ReferenceSearch(game, rules, evaluate, may_stop=True).run()
    except reference.CloseCallError:
        assume(False)
    assert_same_trees(mcts, 1, expected)


def test_early_stop_does_stop() -> None:
    """A sharp policy decides a search long before its end."""
    game = GAMES["hex3"]
    mcts = Mcts(game, 1, SearchSettings(num_simulations=64, leaves_per_game=2), np.random.default_rng(0))
    reference.begin_at(mcts, [0], [], noise=False, may_stop=True)
    priors = np.full(9, 0.01 / 8, np.float32)
    priors[4] = 0.99
    flat = np.zeros(2, np.float32)
    reference.finish(mcts, lambda codes: (priors, flat))
    assert mcts.results(np.zeros(1, np.int32)).visit_counts.sum() < 50
