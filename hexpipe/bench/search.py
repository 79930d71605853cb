"""`hexpipe bench search`: the tree alone, with an evaluator that costs almost nothing."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from hexpipe.bench.hash_kernels import hash_children, hash_evaluate, hash_roots
from hexpipe.config import SearchSettings
from hexpipe.games.hex import Hex
from hexpipe.search.mcts import Mcts

OPTIONS = {
    "seconds": "how long",
    "size": "cells along a side of the Hex board",
    "games": "games searched at once",
    "simulations": "simulations a move",
    "leaves": "leaves of one game evaluated together",
    "root": "how the root chooses",
    "algorithm": "true rules, or learned dynamics",
}


def run(
    seconds: float = 10.0,
    size: int = 11,
    games: int = 64,
    simulations: int = 100,
    leaves: int = 8,
    root: Literal["puct", "gumbel"] = "puct",
    algorithm: Literal["alphazero", "muzero"] = "alphazero",
) -> dict[str, float | int | str]:
    """Searches of ``games`` Hex games at once, moving on as each ends, on one core.

    Priors and values come from a hash of the position. Every search starts from a bare root, so that a move costs all
    its simulations. Keys: simulations_per_s, unique_evals_per_move, mean_depth.
    """
    game = Hex(size)
    settings = SearchSettings.model_validate(
        {
            "num_simulations": simulations,
            "leaves_per_game": leaves,
            "root": root,
            "reuse_tree": False,
            "early_stop": False,
        }
    )
    learned = algorithm == "muzero"
    mcts = Mcts(game, games, settings, np.random.default_rng(0), learned)
    priors = np.zeros((mcts.max_leaves, game.num_actions), np.float32)
    values = np.zeros((mcts.max_leaves, game.num_seats), np.float32)
    rewards = np.zeros((mcts.max_leaves, game.num_seats if learned else 0), np.float32)
    pool = np.zeros(games * mcts.num_nodes, np.uint64)
    everyone = np.arange(games, dtype=np.int32)
    mcts.reset(everyone)
    mcts.begin(everyone)

    def turn() -> bool:
        """Whether there was anything to evaluate."""
        count = mcts.select()
        codes, moves = mcts.request
        roots = len(codes)
        hash_evaluate(codes, priors[:roots], values[:roots])
        if moves is not None:
            hash_roots(codes, moves.rows[:roots], pool)
            below = slice(roots, count)
            hash_children(moves.parents, moves.actions, moves.rows[below], pool, priors[below], values[below])
        mcts.update(priors[:count], values[:count], rewards[:count])
        return count > 0

    moves, warm, started, turn_until, before = 0, False, 0.0, 0.0, (0, 0)
    while True:
        finished = mcts.finished()
        if len(finished):
            moves += len(finished)
            mcts.advance(finished, mcts.results(finished).actions)
            rows = mcts.root_rows(finished)
            over = mcts.states.winner[rows] >= 0
            mcts.reset(finished[over])
            mcts.begin(finished)
        turn()
        now = time.perf_counter()
        if not warm and moves >= games:
            # compiled and warmed up: measure from here
            warm, moves, started, turn_until = True, 0, now, now + seconds
            before = (mcts.simulations, mcts.evaluations)
        elif warm and now >= turn_until:
            break
    elapsed = now - started
    simulated, evaluated = mcts.simulations - before[0], mcts.evaluations - before[1]
    while turn():
        pass  # whole trees, for their depth
    return {
        "simulations_per_s": simulated / elapsed,
        "unique_evals_per_move": evaluated / max(1, moves),
        "mean_depth": _mean_depth(mcts, everyone),
        "moves_per_s": moves / elapsed,
        "games": games,
        "simulations": simulations,
        "leaves": leaves,
        "size": size,
        "root": root,
        "algorithm": algorithm,
    }


def _mean_depth(mcts: Mcts, games: np.ndarray) -> float:
    """Mean depth of the tree nodes of ``games``; the root is 0."""
    tree, depths = mcts.tree, []
    for g in games.tolist():
        depth = np.zeros(tree.num_nodes[g], np.int32)
        for node in range(1, len(depth)):
            depth[node] = depth[tree.parent[g, node]] + 1
        depths.append(depth[1:].mean())
    return float(np.mean(depths))
