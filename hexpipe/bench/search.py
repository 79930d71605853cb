"""`hexpipe bench search`: the tree alone, with an evaluator that costs almost nothing."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import numpy as np

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_children, hash_evaluate, hash_roots
from hexpipe.bench.options import Figures, LeavesOfAGame, SimulationsAMove, settings_of
from hexpipe.games.hex import Hex
from hexpipe.search.mcts import Mcts


def run(
    seconds: Annotated[float, "how long"] = 10.0,
    size: Annotated[int, "cells along a side of the Hex board"] = 11,
    games: Annotated[int, "games searched at once"] = 64,
    simulations: SimulationsAMove = 100,
    leaves: LeavesOfAGame = 8,
    root: Annotated[Literal["puct", "gumbel"], "how the root chooses"] = "puct",
    algorithm: Annotated[Literal["alphazero", "muzero"], "true rules, or learned dynamics"] = "alphazero",
) -> Figures:
    """Search ``games`` Hex games at once, moving on as each ends, on one core.

    Priors and values come from a hash of the position. Every search starts from a bare root, so that a move costs all
    its simulations. Keys: simulations_per_s, unique_evals_per_move, mean_depth.
    """
    searches = Searches(size, games, simulations, leaves, root, algorithm)
    searches.play(games)  # compiled and warmed up: measure from here
    mcts, before = searches.mcts, (searches.mcts.simulations, searches.mcts.evaluations)
    started = time.perf_counter()
    elapsed = 0.0
    while elapsed < seconds or mcts.simulations - before[0] < games * simulations:
        searches.turn()
        elapsed = time.perf_counter() - started
    simulated, evaluated = mcts.simulations - before[0], mcts.evaluations - before[1]
    while searches.evaluate():
        pass  # whole trees, for their depth
    # games move in waves, which a window may catch more or fewer of: a move is as many simulations as it takes
    moves = simulated / simulations
    return {
        "simulations_per_s": simulated / elapsed,
        "unique_evals_per_move": evaluated / max(1.0, moves),
        "mean_depth": _mean_depth(mcts, np.arange(games, dtype=np.int32)),
        "moves_per_s": moves / elapsed,
        "games": games,
        "simulations": simulations,
        "leaves": leaves,
        "size": size,
        "root": root,
        "algorithm": algorithm,
    }


class Searches:
    """Searches of ``games`` games of Hex at once, each of which moves on as its search ends and begins anew when it is
    over; the options are those of `run`."""

    def __init__(self, size: int, games: int, simulations: int, leaves: int, root: str, algorithm: str) -> None:
        game, learned = Hex(size), algorithm == "muzero"
        chosen = settings_of("standard", simulations=simulations, leaves=leaves, root=root, early_stop=False)
        settings = chosen.search.model_copy(update={"reuse_tree": False})
        self.mcts = mcts = Mcts(game, games, settings, np.random.default_rng(0), learned)
        self._answers = Answers.allocate(mcts.max_leaves, game.shapes, learned)
        self._pool = np.zeros(games * mcts.num_nodes, np.uint64)
        everyone = np.arange(games, dtype=np.int32)
        mcts.reset(everyone)
        mcts.begin(everyone)

    def play(self, moves: int) -> int:
        """Search until so many moves have been made, or a few more; return how many."""
        made = 0
        while made < moves:
            made += self.turn()
        return made

    def turn(self) -> int:
        """Move on where a search has ended, then evaluate a batch; return the moves made."""
        mcts = self.mcts
        finished = mcts.finished()
        if len(finished):
            mcts.advance(finished, mcts.results(finished).actions)
            over = mcts.states.winner[mcts.root_rows(finished)] >= 0
            mcts.reset(finished[over])
            mcts.begin(finished)
        self.evaluate()
        return len(finished)

    def evaluate(self) -> bool:
        """Select leaves and evaluate them; return whether there were any."""
        mcts, pool = self.mcts, self._pool
        count = mcts.select()
        answers = self._answers.at(slice(count))
        priors, values = answers.priors, answers.values
        codes, moves = mcts.request
        roots = len(codes)
        hash_evaluate(codes, priors[:roots], values[:roots])
        if moves is not None:
            hash_roots(codes, moves.rows[:roots], pool)
            hash_children(moves.parents, moves.actions, moves.rows[roots:], pool, priors[roots:], values[roots:])
        mcts.update(answers)
        return count > 0


def _mean_depth(mcts: Mcts, games: np.ndarray) -> float:
    """Return the mean depth of the tree nodes of ``games``; the root is 0."""
    tree, depths = mcts.tree, []
    for g in games.tolist():
        depth = np.zeros(tree.num_nodes[g], np.int32)
        for node in range(1, len(depth)):
            depth[node] = depth[tree.parent[g, node]] + 1
        depths.append(depth[1:].mean())
    return float(np.mean(depths))
