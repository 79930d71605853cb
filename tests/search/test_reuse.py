"""Going on to a child: its subtree keeps every figure, its states, and a search goes on from them as it should."""

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
from hexpipe.search.tree import EXPANDED
from tests.search import reference
from tests.search.toys import HalvesGame

GAMES: dict[str, Game] = {"hex3": Hex(3), "hex4-swap": Hex(4, swap=True), "three-seats": HalvesGame(3, 6, 4)}
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
PER_NODE = (
    "status",
    "to_move",
    "visits",
    "pending",
    "prior",
    "net_value",
    "value_sum",
    "unvisited_prior",
    "next_action",
)

search_settings = st.fixed_dictionaries(
    {
        "root": st.sampled_from(["puct", "gumbel"]),
        "num_simulations": st.integers(2, 40),
        "leaves_per_game": st.sampled_from([1, 3]),
        "gumbel_considered": st.integers(2, 9),
        "gumbel_c_visit": st.sampled_from([1.0, 50.0]),
    }
)


def node_moves(mcts: Mcts, g: int) -> list[tuple[int, ...]]:
    """The moves from the root to each node."""
    tree, moves = mcts.tree, [()]
    for node in range(1, int(tree.num_nodes[g])):
        moves.append((*moves[tree.parent[g, node]], int(tree.action[g, node])))
    return moves


def everything(mcts: Mcts, g: int) -> dict[tuple[int, ...], dict[str, Any]]:
    """All that the tree knows of each node."""
    arrays = {name: getattr(mcts.tree, name) for name in PER_NODE}
    return {
        moves: {name: np.array(array[g, node]).tolist() for name, array in arrays.items()}
        for node, moves in enumerate(node_moves(mcts, g))
    }


def assert_sound(mcts: Mcts, g: int, history: list[int]) -> None:
    """Handles are a permutation of the game's rows, each node's row holds its state, and the links agree."""
    tree, rows = mcts.tree, mcts.num_nodes
    count = int(tree.num_nodes[g])
    assert 1 <= count <= rows
    assert sorted(tree.handle[g].tolist()) == list(range(g * rows, (g + 1) * rows))
    for node, moves in enumerate(node_moves(mcts, g)):
        wanted = reference.states_after(mcts.game, [*history, *moves])
        row = tree.handle[g, node]
        for name in ("cells", "to_move", "view", "winner", "ply"):
            assert np.array_equal(getattr(mcts.states, name)[row], getattr(wanted, name)[0]), (moves, name)
        child, children = tree.first_child[g, node], []
        while child >= 0:
            assert node < child < count
            assert tree.parent[g, child] == node
            children.append(int(tree.action[g, child]))
            child = tree.next_sibling[g, child]
        assert len(set(children)) == len(children)
        if tree.status[g, node] == EXPANDED:
            legal = np.zeros((1, mcts.game.num_actions), np.bool_)
            mcts.game.legal_mask(wanted, np.zeros(1, np.int32), legal)
            unvisited = tree.unvisited_prior[g, node]
            assert set(np.flatnonzero(unvisited >= 0)) | set(children) == set(np.flatnonzero(legal[0]))
            assert not set(np.flatnonzero(unvisited >= 0)) & set(children)
            assert tree.next_action[g, node] == (unvisited.argmax() if (unvisited >= 0).any() else -1)
    assert sum(tree.parent[g, 1:count] >= 0) == count - 1


def random_legal(mcts: Mcts, g: int, rng: np.random.Generator) -> int:
    """Any legal move of the root: often one that the search has visited, sometimes another."""
    legal = np.zeros((1, mcts.game.num_actions), np.bool_)
    game = np.array([g], np.int32)
    mcts.game.legal_mask(mcts.states, mcts.root_rows(game), legal)
    visits = mcts.results(game).visit_counts[0]
    choices = np.flatnonzero(visits) if rng.random() < 0.8 else np.flatnonzero(legal[0])
    return int(visits.argmax()) if rng.random() < 0.5 else int(rng.choice(choices))


@pytest.mark.parametrize("name", GAMES)
@given(chosen=search_settings, reuse=st.booleans(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
def test_whole_games(name: str, chosen: dict[str, Any], reuse: bool, seed: int) -> None:
    """Search and move to the end of a game: nothing is lost, nothing runs over, nothing stays pending."""
    game = GAMES[name]
    rng = np.random.default_rng(seed)
    rules = SearchSettings(**chosen, reuse_tree=reuse)
    mcts, evaluate = Mcts(game, 2, rules, rng), reference.hash_evaluator(game, seed)
    one, history = np.array([1], np.int32), []
    mcts.reset(np.arange(2, dtype=np.int32))
    while mcts.states.winner[mcts.root_rows(one)[0]] < 0:
        may_stop = bool(rng.random() < 0.5)
        mcts.begin(one, may_stop=may_stop)
        before = int(mcts.tree.visits[1, 0])
        reference.finish(mcts, evaluate)
        assert not mcts.tree.pending.any()
        assert mcts.tree.visits[1, 0] >= before + (not may_stop)  # what is kept may decide it already
        assert_sound(mcts, 1, history)
        action = random_legal(mcts, 1, rng)
        old = {moves[1:]: node for moves, node in everything(mcts, 1).items() if moves[:1] == (action,)}
        mcts.advance(one, np.array([action], np.int32))
        history.append(action)
        assert_sound(mcts, 1, history)
        new = everything(mcts, 1)
        if reuse and old and old[()]["status"] == EXPANDED and len(old) <= rules.num_simulations + 1:
            assert new == old
        else:
            assert list(new) == [()]
            assert new[()]["visits"] == 0
    assert mcts.tree.num_nodes[0] == 1  # the other game stood still
    assert mcts.states.ply[mcts.tree.handle[0, 0]] == 0


@pytest.mark.parametrize("name", GAMES)
@given(chosen=search_settings, seed=st.integers(0, 2**32 - 1), reuse=st.sampled_from([True, True, False]))
@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
def test_searches_of_a_game_against_the_reference(name: str, chosen: dict[str, Any], seed: int, reuse: bool) -> None:
    """Three searches in a row, without noise: what is kept counts in the next search as the reference says."""
    game = GAMES[name]
    rules = SearchSettings(**chosen, reuse_tree=reuse, dirichlet_fraction=0, gumbel_scale=0)
    mcts, evaluate = Mcts(game, 1, rules, np.random.default_rng(0)), reference.hash_evaluator(game, seed)
    rng, one = np.random.default_rng(seed), np.zeros(1, np.int32)
    mcts.reset(one)
    expected = reference.ReferenceSearch(game, rules, evaluate)
    for _ in range(3):
        mcts.begin(one)
        reference.finish(mcts, evaluate)
        try:
            expected.run()
            winner = expected.halving_winner() if rules.root == "gumbel" else None
        except reference.CloseCallError:
            assume(False)
        found, wanted = reference.kernel_tree(mcts, 0), expected.tree()
        assert {path: visits for path, (visits, _) in found.items()} == {p: v for p, (v, _) in wanted.items()}
        for path, (_, values) in found.items():
            assert values == pytest.approx(wanted[path][1], abs=1e-5)
        if winner is not None:
            assert mcts.results(one).actions[0] == winner
        action = random_legal(mcts, 0, rng)
        mcts.advance(one, np.array([action], np.int32))
        if mcts.states.winner[mcts.root_rows(one)[0]] >= 0:
            break
        expected.advance(action, keep=reuse)
