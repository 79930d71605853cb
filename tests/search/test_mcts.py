"""The loop around the kernels: what is evaluated, counted and refused; and trees that must never change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_evaluate
from hexpipe.config import SearchSettings
from hexpipe.errors import InferenceError
from hexpipe.games.hex import Hex
from hexpipe.search.evaluator import Evaluation
from hexpipe.search.mcts import Mcts, search_positions
from tests.refusals import refused
from tests.search import reference

EVERYONE = np.arange(4, dtype=np.int32)


def integer_hash(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The benchmark's evaluator: integer arithmetic, the same on every machine."""
    priors, values = np.zeros((1, len(codes)), np.float32), np.zeros((1, 2), np.float32)
    hash_evaluate(codes[None], priors, values)
    return priors[0], values[0]


def started(size: int = 3, **options: Any) -> Mcts:
    """Four games, begun without noise."""
    mcts = Mcts(Hex(size), 4, SearchSettings(**options), np.random.default_rng(0))
    mcts.reset(EVERYONE)
    mcts.begin(EVERYONE, noise=False)
    return mcts


# Visits of a1, b1, ... after 64 simulations of the empty 4x4 board.
GOLDEN: dict[tuple[str, int], list[int]] = {
    ("puct", 1): [0, 1, 10, 8, 0, 0, 0, 0, 11, 7, 2, 23, 1, 0, 1, 0],
    ("puct", 8): [0, 8, 11, 9, 0, 0, 0, 0, 12, 9, 4, 9, 1, 0, 1, 0],
    ("gumbel", 1): [1, 1, 1, 3, 1, 1, 3, 7, 15, 1, 3, 15, 1, 3, 1, 7],
    ("gumbel", 8): [1, 1, 1, 3, 1, 1, 3, 7, 7, 1, 3, 15, 1, 3, 1, 15],
}


@pytest.mark.parametrize(("root", "leaves"), GOLDEN)
def test_golden_visit_counts(root: str, leaves: int) -> None:
    mcts = started(4, num_simulations=64, leaves_per_game=leaves, root=root, gumbel_scale=0.0, early_stop=False)
    reference.finish(mcts, integer_hash)
    for visits in mcts.results(EVERYONE).visit_counts:
        assert visits.tolist() == GOLDEN[root, leaves]


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("leaves", [1, 5])
def test_batches(root: str, leaves: int) -> None:
    """No node twice in a batch, all pending visits accounted for, none left; values add up at every node."""
    mcts = started(3, num_simulations=40, leaves_per_game=leaves, root=root, early_stop=False, solver=False)
    evaluate, tree = reference.hash_evaluator(mcts.game, 1), mcts.tree
    evaluations = 0
    while count := mcts.select():
        nodes = set(zip(mcts._leaves.game[:count].tolist(), mcts._leaves.node[:count].tolist(), strict=True))
        assert len(nodes) == count <= mcts.max_leaves
        assert max(np.bincount(mcts._leaves.game[:count])) <= leaves
        assert tree.pending[:, 0].sum() == count
        assert all(tree.pending[g, node] == 1 for g, node in nodes)
        evaluations += count
        mcts.update(reference.evaluate_batch(evaluate, mcts.codes[:count]))
        assert not tree.pending.any()
    assert evaluations == mcts.evaluations
    assert mcts.simulations == 4 * 40
    assert mcts.finished().tolist() == EVERYONE.tolist()
    assert mcts.select() == 0
    for g in EVERYONE:
        for node in range(tree.num_nodes[g]):
            children = np.flatnonzero(tree.parent[g] == node)
            children = children[children < tree.num_nodes[g]]
            own = tree.visits[g, node] - tree.visits[g, children].sum()
            # a finished game is visited again and again, any other position evaluated once
            assert own == 1 or (own > 1 and not len(children))
            total = own * tree.net_value[g, node] + tree.value_sum[g, children].sum(0)
            assert tree.value_sum[g, node].tolist() == pytest.approx(total.tolist(), abs=1e-4)


def test_games_go_at_their_own_pace() -> None:
    """A game's search is the same beside others that begin later, and stands still when it has ended."""
    evaluate = reference.hash_evaluator(Hex(3), 5)
    alone = started(3, num_simulations=30, leaves_per_game=2)
    reference.finish(alone, evaluate)
    mcts = Mcts(Hex(3), 4, SearchSettings(num_simulations=30, leaves_per_game=2), np.random.default_rng(0))
    mcts.reset(EVERYONE)
    for g in (2, 0, 3, 1):
        mcts.begin(np.array([g], np.int32), noise=False)
        for _ in range(6):
            count = mcts.select()
            mcts.update(reference.evaluate_batch(evaluate, mcts.codes[:count]))
    reference.finish(mcts, evaluate)
    for g in EVERYONE:
        assert reference.kernel_tree(mcts, g) == reference.kernel_tree(alone, 0)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_every_search_has_its_own_number_of_simulations(root: str) -> None:
    """Each is the search that it would be alone, with that number for all."""
    evaluate, options = reference.hash_evaluator(Hex(4), 5), {"leaves_per_game": 2, "root": root, "early_stop": False}
    settings = SearchSettings(num_simulations=40, gumbel_scale=0.0, **options)
    mcts = Mcts(Hex(4), 4, settings, np.random.default_rng(0))
    mcts.reset(EVERYONE)
    wanted = np.array([40, 7, 2, 23], np.int32)
    mcts.begin(EVERYONE, noise=False, simulations=wanted)
    reference.finish(mcts, evaluate)
    assert mcts.results(EVERYONE).visit_counts.sum(1).tolist() == wanted.tolist()
    for g, simulations in enumerate(wanted.tolist()):
        alone = started(4, num_simulations=simulations, gumbel_scale=0.0, **options)
        reference.finish(alone, evaluate)
        assert reference.kernel_tree(mcts, g) == reference.kernel_tree(alone, 0)
        assert mcts.results(EVERYONE).actions[g] == alone.results(EVERYONE).actions[0]

    # what comes next has the settings' number again, beside what the kept subtree has
    mcts.advance(EVERYONE, mcts.results(EVERYONE).actions)
    kept = mcts.tree.visits[EVERYONE, 0]
    mcts.begin(EVERYONE, noise=False)
    reference.finish(mcts, evaluate)
    visits = mcts.tree.visits[EVERYONE, 0]
    assert visits.tolist() == (np.maximum(kept, 1) + 40 if root == "gumbel" else np.maximum(41, kept + 10)).tolist()


@pytest.mark.parametrize("wanted", [0, 41, [40, 40, 41, 40]])
def test_more_simulations_than_the_tree_has_room_for_are_refused(wanted: Any) -> None:
    mcts = Mcts(Hex(3), 4, SearchSettings(num_simulations=40), np.random.default_rng(0))
    mcts.reset(EVERYONE)
    with pytest.raises(ValueError, match="1 to 40 simulations"):
        mcts.begin(EVERYONE, simulations=np.array(wanted, np.int32))
    assert mcts.finished().tolist() == EVERYONE.tolist()


@pytest.mark.parametrize(
    "bad", ["nan prior", "nan priors", "infinite prior", "no mass", "negative prior", "nan value", "large value"]
)
def test_unusable_answers_are_refused(bad: str) -> None:
    mcts = started(3, num_simulations=8)
    for turn in range(2):
        count = mcts.select()
        answers = reference.evaluate_batch(reference.hash_evaluator(mcts.game, 0), mcts.codes[:count])
        if turn == 0:
            mcts.update(answers)
    priors, values = answers.priors, answers.values
    free = int(np.flatnonzero(mcts.codes[3] == 0)[0])
    match bad:
        case "nan prior":
            priors[3, free] = np.nan
        case "nan priors":
            priors[3] = np.nan
        case "infinite prior":
            priors[3, free] = np.inf
        case "no mass":
            priors[3] = mcts.codes[3] != 0
        case "negative prior":
            priors[3, free] = -0.5
        case "nan value":
            values[3, 1] = np.nan
        case "large value":
            values[3, 0] = 1.5
    with refused(InferenceError, "leaf 3", kind="damaged"):
        mcts.update(answers)


def test_priors_are_made_to_sum_to_1_over_legal_moves() -> None:
    mcts = started(3, num_simulations=8)
    mcts.advance(EVERYONE, np.full(4, 4, np.int32))
    mcts.begin(EVERYONE, noise=False)
    count = mcts.select()
    # a net that knows no rules, and a value that rounding has left above 1
    flat = np.full((count, 9), 1 / 9, np.float32)
    mcts.update(Answers(flat, np.full((count, 2), 1 + 1e-6, np.float32)))
    wanted = [0.125] * 4 + [-1] + [0.125] * 4
    for priors in mcts.root_priors(EVERYONE):
        assert priors.tolist() == pytest.approx(wanted)
    assert mcts.results(EVERYONE).root_values.max() == 1


def test_a_prior_of_minus_zero_is_one_of_zero() -> None:
    """Priors are compared by their bits, where -0.0 would be below all that is legal."""
    mcts = started(3, num_simulations=20, leaves_per_game=1, dirichlet_fraction=0.0, early_stop=False, solver=False)

    def evaluate(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        priors = np.full(9, -0.0, np.float32)
        priors[np.flatnonzero(codes == 0)[-1]] = 1.0
        return priors, np.zeros(2, np.float32)

    reference.finish(mcts, evaluate)
    unvisited = mcts.tree.unvisited_prior[:, 0]
    assert (mcts.tree.unvisited_bits[:, 0] == unvisited.view(np.int32)).all()
    assert (mcts.tree.unvisited_bits[:, 0][unvisited >= 0] >= 0).all()
    assert (mcts.tree.next_action[:, 0] >= 0).all(), "what is legal is a choice"


def test_a_finished_game_is_not_searched() -> None:
    mcts = Mcts(Hex(3), 4, SearchSettings(num_simulations=4), np.random.default_rng(0))
    mcts.reset(EVERYONE)
    for action in (0, 1, 3, 2, 6):
        mcts.advance(EVERYONE, np.full(4, action, np.int32))
    with pytest.raises(ValueError, match="over"):
        mcts.begin(EVERYONE)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_a_root_searched_again_and_again_runs_out_of_room(root: str) -> None:
    mcts = started(4, num_simulations=8, root=root)

    def search_on() -> None:
        for _ in range(20):
            reference.finish(mcts, reference.hash_evaluator(mcts.game, 0))
            assert mcts.tree.num_nodes.max() <= mcts.num_nodes
            mcts.begin(EVERYONE)

    with pytest.raises(ValueError, match="no room"):
        search_on()


def test_noise_differs_between_games_and_seeds() -> None:
    def priors(seed: int, **options: Any) -> np.ndarray:
        mcts = Mcts(Hex(3), 4, SearchSettings(num_simulations=4, **options), np.random.default_rng(seed))
        mcts.reset(EVERYONE)
        mcts.begin(EVERYONE)
        mcts.select()
        flat = np.full((4, 9), 1 / 9, np.float32)
        mcts.update(Answers(flat, np.zeros((4, 2), np.float32)))
        return mcts.root_priors(EVERYONE)

    assert np.array_equal(priors(0), priors(0))
    assert len(np.unique(np.concatenate([priors(0), priors(1)]), axis=0)) == 8
    assert np.ptp(priors(0, dirichlet_fraction=0)) == 0
    # the larger alpha, the more even the noise
    assert priors(0, dirichlet_alpha=1e4).std() < 0.01 < priors(0, dirichlet_alpha=0.1).std()


class Answering:
    """An evaluator for `search_positions`."""

    def __init__(self, evaluate: reference.Evaluate) -> None:
        self.evaluate = evaluate
        self.codes = np.zeros((0, 0), np.int8)

    def submit(self, group: int, codes: np.ndarray, moves: None = None) -> None:
        assert group == 0
        self.codes = codes.copy()

    def collect(self, group: int) -> Evaluation:
        return Evaluation(reference.evaluate_batch(self.evaluate, self.codes), 7)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_search_positions(root: str) -> None:
    """Each position's search is the reference's, whatever it is searched beside."""
    game, seed = Hex(4, swap=True), 3
    rules = SearchSettings(root=root, num_simulations=30, leaves_per_game=1, gumbel_scale=0.0, early_stop=False)
    evaluate = reference.hash_evaluator(game, seed)
    positions = [[], [5], [5, 16], [0, 1, 2, 3, 4]]
    found = search_positions(game, positions, Answering(evaluate), rules, 0)
    for i, moves in enumerate(positions):
        root_node = reference.ReferenceSearch(game, rules, evaluate, moves).run().root
        visits = [root_node.children[a].visits if a in root_node.children else 0 for a in range(17)]
        assert found.visit_counts[i].tolist() == visits
        assert found.net_values[i].tolist() == pytest.approx(root_node.values)
        assert found.net_priors[i].tolist() == pytest.approx([root_node.priors.get(a, -1) for a in range(17)])
        assert found.root_values[i, 0] == pytest.approx(root_node.value_sum[0] / 31, abs=1e-5)
        assert visits[found.actions[i]] == max(visits)
