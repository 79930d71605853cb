"""Searches of a board that is larger than the view: where the net looks, what a moved view leaves of a tree."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.config import SearchSettings
from hexpipe.games.board_moves import after_moves, moves_of_actions
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.search.evaluator import Evaluation, Moves
from hexpipe.search.mcts import Mcts, search_positions
from hexpipe.search.tree import EXPANDED, SOLVED
from tests.games.reference_inarow import game_settings
from tests.search import reference
from tests.search.test_learned_dynamics import PerfectDynamics
from tests.search.test_reuse import everything, node_moves

GAME = InARow(game_settings(15, 3, view_size=7))
ONE = np.zeros(1, np.int32)
EVALUATE = reference.hash_evaluator(GAME, 1)


def look(codes: np.ndarray) -> int:
    """Any bucket, by a hash of the codes int8 [C]."""
    return zlib.crc32(codes.tobytes()) % GAME.num_actions


def search(mcts: Mcts, asked: dict[bytes, int] | None = None) -> None:
    while count := mcts.select():
        codes = mcts.codes[:count]
        focus = np.array([look(code) for code in codes], np.int16)
        mcts.update(reference.evaluate_batch(EVALUATE, codes)._replace(focus=focus))
        if asked is not None:
            asked.update((code.tobytes(), int(said)) for code, said in zip(codes, focus, strict=True))


def begun(games: int = 1, **options: Any) -> Mcts:
    settings = SearchSettings.model_validate({"num_simulations": 60, "early_stop": False, **options})
    mcts = Mcts(GAME, games, settings, np.random.default_rng(0))
    everyone = np.arange(games, dtype=np.int32)
    mcts.reset(everyone)
    mcts.begin(everyone)
    return mcts


def codes_after(mcts: Mcts, g: int, actions: tuple[int, ...]) -> bytes:
    states = GAME.new_states(1)
    for array, own in zip(states, mcts.states, strict=True):
        array[0] = own[mcts.tree.handle[g, 0]]
    for action in actions:
        GAME.step(states, ONE, np.array([action], np.int32), ONE)
    codes = np.zeros((1, GAME.shapes.code_length), np.int8)
    GAME.codes(states, ONE, codes)
    return codes.tobytes()


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_the_tree_knows_where_the_net_looked(root: str) -> None:
    """At every node that was evaluated, through all moves of two games; elsewhere it knows nothing."""
    mcts, asked = begun(2, root=root, leaves_per_game=3), dict[bytes, int]()
    everyone = np.arange(2, dtype=np.int32)
    for _ in range(6):
        search(mcts, asked)
        answered = set()
        for g in range(2):
            for node, actions in enumerate(node_moves(mcts, g)):
                terminal = mcts.states.winner[mcts.tree.handle[g, node]] >= 0
                if g == 0 and len(actions) == 1 and not terminal:
                    answered.add(actions[0])
                wanted = -1 if terminal else asked[codes_after(mcts, g, actions)]
                assert mcts.tree.focus[g, node] == wanted
        every = np.arange(GAME.num_actions, dtype=np.int32)
        focus = mcts.focus_after(np.zeros_like(every), every)
        assert set(np.flatnonzero(focus >= 0).tolist()) == answered
        for action in answered:
            assert focus[action] == asked[codes_after(mcts, 0, (action,))]
        mcts.advance(everyone, mcts.results(everyone).policy.argmax(1).astype(np.int32))
        if (mcts.states.winner[mcts.root_rows(everyone)] >= 0).any():
            break
        mcts.begin(everyone)


def test_hex_pays_nothing() -> None:
    mcts = Mcts(Hex(4), 3, SearchSettings(num_simulations=10), np.random.default_rng(0))
    assert mcts.tree.focus.shape == (3, 0)
    games = np.arange(3, dtype=np.int32)
    mcts.reset(games)
    mcts.begin(games)
    while count := mcts.select():
        mcts.update(Answers(np.full((count, 16), 1 / 16, np.float32), np.zeros((count, 2), np.float32)))
    assert mcts.focus_after(games, games).tolist() == [-1] * 3


def test_a_view_that_stays_keeps_the_subtree_and_one_that_moves_does_not() -> None:
    mcts = begun(3)
    games = np.arange(3, dtype=np.int32)
    search(mcts)
    moves = mcts.results(games).visit_counts.argmax(1).astype(np.int32)
    cells = np.array([GAME.cell_of_action(int(move)) for move in moves], np.int32)
    mcts.advance(games, moves)
    before = [everything(mcts, g) for g in range(3)]
    assert all(len(nodes) > 1 for nodes in before)
    middle = 7 * 15 + 7
    states = mcts.states
    old = {name: getattr(states, name)[mcts.root_rows(games)].copy() for name in states._fields}
    mcts.place_views(games, np.array([middle, 0, 14 * 15 + 14], np.int32))
    for name in states._fields:
        if name != "origin":  # the position is the same
            np.testing.assert_array_equal(getattr(states, name)[mcts.root_rows(games)], old[name])
    assert states.origin[mcts.root_rows(games)].tolist() == [[4, 4], [0, 0], [8, 8]]
    assert everything(mcts, 0) == before[0]
    for g in (1, 2):
        (root,) = everything(mcts, g).values()
        assert (root["status"], root["visits"]) == (0, 0)
    mcts.begin(games, noise=False)
    search(mcts)
    # what is found there is what a search finds that never saw another view
    for g, centre in ((1, 0), (2, 14 * 15 + 14)):
        fresh = begun()
        fresh.reset(ONE)
        row = fresh.root_rows(ONE)
        GAME.step(fresh.states, row, moves[g : g + 1], row)
        fresh.place_views(ONE, np.array([centre], np.int32))
        fresh.begin(ONE, noise=False)
        search(fresh)
        assert reference.kernel_tree(fresh, 0) == reference.kernel_tree(mcts, g)
        shown = np.flatnonzero(mcts.results(games).visit_counts[g])
        assert len(shown) > 1
        there = {GAME.cell_of_action(int(a), states.origin[mcts.root_rows(games)[g]]) for a in shown}
        assert cells[g] not in there


def test_around_the_last_stone_and_back_is_a_moved_view_too() -> None:
    mcts = begun()
    search(mcts)
    corner = GAME.action_of_cell(4 * 15 + 4)
    mcts.advance(ONE, np.array([corner], np.int32))
    mcts.place_views(ONE, np.array([-1], np.int32))
    assert mcts.states.origin[mcts.root_rows(ONE)[0]].tolist() == [1, 1]
    assert mcts.tree.num_nodes[0] == 1
    assert mcts.tree.status[0, 0] not in (EXPANDED, SOLVED)


def test_learned_dynamics_place_the_real_view() -> None:
    """Only the real positions have views; a latent's focus is read all the same."""
    settings = SearchSettings(num_simulations=20, early_stop=False, leaves_per_game=1)
    mcts = Mcts(GAME, 1, settings, np.random.default_rng(0), learned=True)
    model = PerfectDynamics(mcts, EVALUATE)
    mcts.reset(ONE)
    for centre in (0, -1):
        mcts.begin(ONE)
        while mcts.select():
            answer = model.answer(*mcts.request)
            focus = np.arange(len(answer.priors), dtype=np.int16) + np.int16(mcts.tree.num_nodes[0])
            mcts.update(answer._replace(focus=focus))
        move = mcts.results(ONE).actions
        child = mcts.tree.first_child[0, 0]
        while mcts.tree.action[0, child] != move[0]:
            child = mcts.tree.next_sibling[0, child]
        assert mcts.focus_after(ONE, move).tolist() == [child + 1]  # one leaf at a time: it was the newest then
        mcts.advance(ONE, move)
        mcts.place_views(ONE, np.array([centre], np.int32))
        around = divmod(int(mcts.states.last[0]) if centre < 0 else centre, 15)
        assert mcts.states.origin[0].tolist() == [min(max(at - 3, 0), 8) for at in around]


class Looking:
    """An evaluator of even priors that looks at one bucket, -1 for none, and remembers what it was asked."""

    def __init__(self, bucket: int | None) -> None:
        self.bucket = bucket
        self.asked: list[np.ndarray] = []

    def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
        self.rows = len(codes) if moves is None else len(moves.rows)
        self.learned = moves is not None
        self.asked.append(codes.copy())

    def collect(self, group: int) -> Evaluation:
        priors = np.full((self.rows, GAME.num_actions), 1 / GAME.num_actions, np.float32)
        values = np.zeros((self.rows, 2), np.float32)
        focus = None if self.bucket is None else np.full(self.rows, self.bucket, np.int16)
        return Evaluation(Answers(priors, values, values if self.learned else None, focus), 0)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("bucket", "origin"), [(0, [0, 0]), (6, [0, 8]), (24, [4, 4]), (-1, None), (None, None)])
def test_positions_are_searched_where_the_net_looks(
    bucket: int | None, origin: list[int] | None, learned: bool
) -> None:
    """From around the last stone; the empty board from the start's place, as in self-play."""
    settings = SearchSettings(num_simulations=10, dirichlet_fraction=0.0, early_stop=False)
    evaluator = Looking(bucket)
    positions = [[], [0], [224, 112, 3]]
    found = search_positions(GAME, positions, evaluator, settings, 0, learned)
    last = [[4, 4], [0, 0], [0, 0]]
    origins = np.array([[4, 4]] + (last[1:] if origin is None else [origin] * 2))
    np.testing.assert_array_equal(found.moves, moves_of_actions(GAME, found.actions, origins))
    seen = np.zeros((3, GAME.shapes.code_length), np.int8)
    for i, moves in enumerate(positions):
        GAME.codes(after_moves(GAME, moves), ONE, seen[i : i + 1])
    np.testing.assert_array_equal(evaluator.asked[0], seen)  # looked from the last stones, then searched
    cells = [
        {GAME.cell_of_action(int(action), own) for action in np.flatnonzero(visits)}
        for own, visits in zip(origins, found.visit_counts, strict=True)
    ]
    assert all(shown and -1 not in shown for shown in cells)
    if not learned:
        assert all(not shown & set(moves) for shown, moves in zip(cells, positions, strict=True))


def test_a_win_out_of_the_starts_view_is_found() -> None:
    positions = [[0, 100, 1, 101]]  # 3 in a row: cell 2 wins for the first seat
    found = search_positions(GAME, positions, Looking(0), SearchSettings(num_simulations=60), 0)
    assert found.moves.tolist() == [2]
