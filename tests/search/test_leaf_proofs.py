"""Leaves that a solver of Hex proves: exact, without the net, and no less a game."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_evaluate
from hexpipe.config import SearchSettings
from hexpipe.games.game_env import ONGOING
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexProver, HexSolver, make_prover, random_positions
from hexpipe.games.inarow import InARow
from hexpipe.search.mcts import Mcts
from hexpipe.search.tree import SOLVED
from tests.games.reference_inarow import game_settings


def positions(size: int, count: int, seed: int) -> list[list[int]]:
    """Undecided positions of random play."""
    return [position.moves for position in random_positions(size, count, seed)]


def searched(size: int, move_lists: list[list[int]], effort: int, root: str = "puct", simulations: int = 40) -> Mcts:
    """A search of each position to its end, by a hash in place of a net."""
    settings = SearchSettings.model_validate(
        {"num_simulations": simulations, "leaf_proofs": effort, "root": root, "gumbel_scale": 0.0, "early_stop": False}
    )
    game, games = Hex(size), np.arange(len(move_lists), dtype=np.int32)
    mcts = Mcts(game, len(games), settings, np.random.default_rng(0))
    mcts.reset(games)
    for g, moves in enumerate(move_lists):
        for move in moves:
            mcts.advance(np.array([g], np.int32), np.array([move], np.int32))
    mcts.begin(games, noise=False)
    finish(mcts)
    return mcts


def finish(mcts: Mcts) -> None:
    while count := mcts.select():
        priors = np.zeros((count, mcts.game.num_actions), np.float32)
        values = np.zeros((count, 2), np.float32)
        hash_evaluate(mcts.codes[:count], priors, values)
        mcts.update(Answers(priors, values))


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize(("size", "effort"), [(3, 1), (4, 1), (4, 30), (5, 1), (5, 30)])
def test_what_is_proven_is_true_and_more_is_with_more_effort(size: int, effort: int, root: str) -> None:
    move_lists = positions(size, 40, 10 * size + effort)
    plain, proving = (searched(size, move_lists, number, root) for number in (0, effort))
    solver, games = HexSolver(size), np.arange(len(move_lists), dtype=np.int32)
    tree = proving.tree
    for g in games.tolist():
        for node in range(tree.num_nodes[g]):
            if tree.status[g, node] == SOLVED:
                row = tree.handle[g, node]
                cells, seat = proving.states.cells[row], int(proving.states.to_move[row])
                winner = solver.winner(cells)
                value = solver.value(cells, seat) if winner is None else (1 if winner == seat else -1)
                assert tree.net_value[g, node].tolist() == ([value, -value] if seat == 0 else [-value, value])
    assert proving.proven(games).sum() > plain.proven(games).sum()
    assert proving.evaluations < plain.evaluations
    results = proving.results(games)
    for g in np.flatnonzero(proving.proven(games)).tolist():
        row = int(proving.root_rows(games)[g])
        winning = solver.winning_moves(proving.states.cells[row], len(move_lists[g]) % 2)
        assert not winning or int(results.actions[g]) in winning


def test_a_proven_position_is_still_played_to_its_end() -> None:
    mcts = searched(4, [[]], 30)
    one = np.zeros(1, np.int32)
    plies = 0
    while mcts.states.winner[mcts.root_rows(one)[0]] == ONGOING:
        mcts.advance(one, mcts.results(one).actions)
        plies += 1
        if mcts.states.winner[mcts.root_rows(one)[0]] == ONGOING:
            mcts.begin(one, noise=False)
            finish(mcts)
    assert mcts.states.winner[mcts.root_rows(one)[0]] == 0  # the first player wins from the empty board
    assert plies >= 7


def test_more_than_the_position_itself_is_judged_only_where_asked_for() -> None:
    game, solver, rows = Hex(5), HexSolver(5), np.zeros(1, np.int32)
    known = []
    for moves in positions(5, 30, 7):
        states = game.play(moves)
        for effort in (1, 1_000_000):
            ends, values = states.winner.copy(), np.zeros((1, 2), np.float32)
            HexProver(game, effort).prove(states, rows, ends, values)
            known.append(ends[0] != ONGOING)
            seat = len(moves) % 2
            value = solver.value(states.cells[0], seat) if known[-1] else 0
            assert values[0, [seat, 1 - seat]].tolist() == [value, -value]
            assert ends[0] == (ONGOING if not value else seat if value == 1 else 1 - seat)
    assert all(known[1::2])
    assert not all(known[::2])


def test_a_swap_is_left_to_the_search() -> None:
    game = Hex(3, swap=True)
    for moves, known in (([], False), ([4], False), ([4, 9], True), ([4, 0], True)):
        states, rows = game.play(moves), np.zeros(1, np.int32)
        ends, values = states.winner.copy(), np.zeros((1, 2), np.float32)
        HexProver(game, 1000).prove(states, rows, ends, values)
        assert (ends[0] != ONGOING) == known
        if known:  # the centre wins for who has its colour: after a swap that is the second player
            assert ends[0] == (1 if 9 in moves else 0)
            assert values[0, ends[0]] == 1


@pytest.mark.parametrize("game", [Hex(9), InARow(game_settings(5, 4))])
def test_other_games_have_no_prover(game: Hex | InARow) -> None:
    assert make_prover(game, 10) is None
    assert make_prover(Hex(8), 0) is None
    assert make_prover(Hex(8), 1) is not None
