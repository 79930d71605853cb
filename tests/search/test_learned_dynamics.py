"""The search over learned dynamics: where the model has learned the rules exactly, it is the search over the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.config import SearchSettings
from hexpipe.errors import InferenceError
from hexpipe.games.hex import Hex
from hexpipe.search.evaluator import Moves
from hexpipe.search.mcts import Mcts
from tests.refusals import refused
from tests.search import reference


class PerfectDynamics:
    """Latents that are states. A finished game is an absorbing state: its outcome came as the last move's reward."""

    def __init__(self, mcts: Mcts, evaluate: reference.Evaluate) -> None:
        self.mcts, self.evaluate, self.game = mcts, evaluate, mcts.game
        self.states = self.game.new_states(mcts.num_games * mcts.num_nodes)
        self.children = 0

    def answer(self, codes: np.ndarray, moves: Moves | None) -> Answers:
        assert moves is not None
        game, states, roots = self.game, self.states, len(codes)
        count = len(moves.rows)
        priors = np.zeros((count, game.num_actions), np.float32)
        values, rewards = (np.zeros((count, game.num_seats), np.float32) for _ in range(2))
        for i, row in enumerate(moves.rows.tolist()):
            if i < roots:
                for own, real in zip(states, self.mcts.states, strict=True):
                    own[row] = real[row // self.mcts.num_nodes]
                priors[i], values[i] = self.evaluate(codes[i])
                continue
            self.children += 1
            parent, action = int(moves.parents[i - roots]), int(moves.actions[i - roots])
            was_over = states.winner[parent] >= 0
            one = np.array([row], np.int32)
            absolute = int(np.flatnonzero(game.action_view[states.view[parent]] == action)[0])
            game.step(states, np.array([parent], np.int32), np.array([absolute], np.int32), one)
            if states.winner[row] >= 0:
                priors[i] = 1 / game.num_actions
                if not was_over:
                    outcome = np.zeros((1, game.num_seats), np.float32)
                    game.terminal_values(states, one, outcome)
                    rewards[i] = np.roll(outcome[0], -int(states.to_move[row]))
                continue
            code = np.zeros((1, game.shapes.code_length), np.int8)
            game.codes(states, one, code)
            priors[i], values[i] = self.evaluate(code[0])
        return Answers(priors, values, rewards)


def finish(mcts: Mcts, model: PerfectDynamics) -> None:
    while mcts.select():
        mcts.update(model.answer(*mcts.request))


def learned(size: int, seed: int, games: int = 2, **options: Any) -> tuple[Mcts, PerfectDynamics]:
    settings = SearchSettings(**{"early_stop": False, **options})
    mcts = Mcts(Hex(size), games, settings, np.random.default_rng(seed), learned=True)
    return mcts, PerfectDynamics(mcts, reference.hash_evaluator(mcts.game, seed))


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("moves", [[], [3], [24, 7, 11]])
def test_the_tree_is_that_of_the_rules(root: str, leaves: int, moves: list[int]) -> None:
    """Far from a game's end, where the rules know no more than the model."""
    options: dict[str, Any] = {"num_simulations": 40, "leaves_per_game": leaves, "root": root, "gumbel_scale": 0.0}
    mcts, model = learned(7, 1, **options)
    reference.begin_at(mcts, [0, 1], moves, noise=False)
    finish(mcts, model)
    rules = SearchSettings(**options, early_stop=False, solver=False)
    exact = Mcts(Hex(7), 2, rules, np.random.default_rng(1))
    reference.begin_at(exact, [0, 1], moves, noise=False)
    reference.finish(exact, model.evaluate)
    for g in (0, 1):
        assert reference.kernel_tree(mcts, g) == reference.kernel_tree(exact, g)
    assert model.children == 2 * 40


def test_a_reward_counts_for_the_move_that_earns_it() -> None:
    """Black to move wins at once with a3, and the search finds it from the reward alone."""
    game = Hex(3)
    mcts, model = learned(3, 5, games=1, num_simulations=60)
    moves = [game.parse_action(move) for move in ("a1", "b1", "a2", "b2")]
    reference.begin_at(mcts, [0], moves, noise=False)
    finish(mcts, model)
    results = mcts.results(np.zeros(1, np.int32))
    won = game.parse_action("a3")
    assert results.actions[0] == won
    assert results.q_values[0, won] == 1
    child = int(np.flatnonzero((mcts.tree.parent[0] == 0) & (mcts.tree.action[0] == won))[0])
    assert mcts.tree.reward[0, child].tolist() == [1, -1]
    assert mcts.tree.net_value[0, child].tolist() == [0, 0]
    assert np.abs(results.root_values).max() <= 1


def test_searches_follow_one_another_to_the_end_of_the_game() -> None:
    mcts, model = learned(3, 2, games=3, num_simulations=12)
    games = np.arange(3, dtype=np.int32)
    mcts.reset(games)
    while len(games):
        mcts.begin(games)
        finish(mcts, model)
        results = mcts.results(games)
        assert (results.visit_counts.sum(1) == 12).all()
        mcts.advance(games, results.actions)  # an illegal move would be played over a stone
        games = games[mcts.states.winner[games] < 0]
    assert (mcts.states.winner >= 0).all()
    assert ((mcts.states.cells != 0).sum(1) == mcts.states.ply).all()


def test_only_roots_are_described_by_codes() -> None:
    mcts, model = learned(4, 3, num_simulations=8, leaves_per_game=2)
    everyone = np.arange(2, dtype=np.int32)
    mcts.reset(everyone)
    mcts.begin(everyone)
    assert mcts.select() == 2
    codes, moves = mcts.request
    assert codes.shape == (2, 16)
    assert moves is not None
    assert (len(moves.parents), len(moves.actions)) == (0, 0)
    assert moves.rows.tolist() == [0, mcts.num_nodes]
    mcts.update(model.answer(codes, moves))
    assert mcts.select() == 4
    codes, moves = mcts.request
    assert moves is not None
    assert len(codes) == 0
    assert moves.parents.tolist() == [0, 0, mcts.num_nodes, mcts.num_nodes]
    assert len(set(moves.rows.tolist())) == 4


def test_a_reward_out_of_range_is_refused() -> None:
    mcts, model = learned(4, 3, num_simulations=8)
    mcts.reset(np.arange(2, dtype=np.int32))
    mcts.begin(np.arange(2, dtype=np.int32))
    mcts.select()
    answer = model.answer(*mcts.request)
    assert answer.rewards is not None
    answer.rewards[1, 0] = np.nan
    with refused(InferenceError, "leaf 1", kind="damaged"):
        mcts.update(answer)
