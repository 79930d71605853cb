"""Analyses of positions by a search, for people and programs: moves with visits and values, and how they go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import SearchSettings
from hexpipe.games.board_moves import move_name, move_names, moves_of_actions
from hexpipe.games.game_env import Game
from hexpipe.games.set_up import Position
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import Mcts, root_answers, search_turn, searches_at
from hexpipe.search.tree import ROOT, SOLVED

LONGEST_VARIATION = 12
POLICY_FLOOR = 1e-4


class MoveAnalysis(NamedTuple):
    """One ``move`` (`games.board_moves`): its ``visits``, the net's ``prior`` for it, its ``value`` to the mover in
    [-1, 1], whether that is ``proven``, and the ``variation`` that the search expects, the move itself first."""

    move: int
    visits: int
    prior: float
    value: float
    proven: bool
    variation: tuple[int, ...]


class Analysis(NamedTuple):
    """One position: who is ``to_move``, ``values`` float32 [S] by seat from the search and ``net_values`` from the net
    alone, the net's ``priors`` of legal moves (where views move, of those in the view that was searched), the visited
    ``moves``, the best first, how many ``simulations`` were done, whether the position's value is ``proven``, and
    ``seconds`` of the whole search."""

    to_move: int
    values: NDArray[np.float32]
    net_values: NDArray[np.float32]
    priors: dict[int, float]
    moves: tuple[MoveAnalysis, ...]
    simulations: int
    proven: bool
    seconds: float

    @property
    def best(self) -> int:
        """The move to play."""
        return self.moves[0].move

    @property
    def win_probability(self) -> float:
        """The chance of the side to move to win, of two seats: (value + 1) / 2."""
        return (float(self.values[self.to_move]) + 1.0) / 2.0


def as_facts(analysis: Analysis, game: Game) -> dict[str, Any]:
    """Return ``analysis`` as JSON-able facts with moves in words: what programs are told, on every way.

    Win probabilities are of the side to move; of three seats they stand for (value + 1) / 2. ``policy`` has the net's
    own probabilities above POLICY_FLOOR.
    """
    mover = analysis.to_move
    return {
        "to_move": mover,
        "values": analysis.values.tolist(),
        "win_probability": analysis.win_probability,
        "net_win_probability": (float(analysis.net_values[analysis.to_move]) + 1.0) / 2.0,
        "policy": {
            move_name(game, move, mover): prior for move, prior in analysis.priors.items() if prior > POLICY_FLOOR
        },
        "moves": [
            {
                "move": move_name(game, move.move, mover),
                "visits": move.visits,
                "prior": move.prior,
                "win_probability": (move.value + 1.0) / 2.0,
                "proven": move.proven,
                "variation": move_names(game, move.variation, mover),
            }
            for move in analysis.moves
        ],
        "simulations": analysis.simulations,
        "proven": analysis.proven,
        "seconds": analysis.seconds,
    }


def as_katagos_facts(analysis: Analysis, game: Game) -> dict[str, Any]:
    """Return what `as_facts` says by the names of KataGo's analysis engine; a win rate is of the side to move here,
    too."""
    return {
        "moveInfos": [
            {
                "move": move_name(game, move.move, analysis.to_move),
                "visits": move.visits,
                "prior": move.prior,
                "winrate": (move.value + 1.0) / 2.0,
                "order": order,
                "pv": move_names(game, move.variation, analysis.to_move),
            }
            for order, move in enumerate(analysis.moves)
        ],
        "rootInfo": {
            "currentPlayer": "BWR"[analysis.to_move],
            "visits": analysis.simulations + 1,
            "winrate": analysis.win_probability,
            "rawWinrate": (float(analysis.net_values[analysis.to_move]) + 1.0) / 2.0,
        },
    }


class Searches:
    """Searches of k > 0 positions side by side, a turn at a time, by a PUCT root without noise: always the same answer.

    ``simulations`` are done for each, ``settings.num_simulations`` at the most and by default; fewer where a value is
    proven. ``learned``: ``evaluator`` has latents. The positions must not be over.
    """

    def __init__(
        self,
        game: Game,
        positions: Sequence[Position],
        evaluator: Evaluator,
        settings: SearchSettings,
        learned: bool = False,
        simulations: Sequence[int] | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._evaluator = evaluator
        plain = settings.model_copy(update={"root": "puct", "early_stop": False})
        self._mcts = searches_at(game, positions, evaluator, plain, seed=0, learned=learned)
        self._games = np.arange(len(positions), dtype=np.int32)
        counts = None if simulations is None else np.array(simulations, np.int32)
        self._mcts.begin(self._games, noise=False, simulations=counts)
        self._priors = self._net_values = np.empty(0, np.float32)

    def turn(self) -> bool:
        """Have the net evaluate one batch of leaves; False once there is nothing left to search."""
        if not search_turn(self._mcts, self._evaluator):
            return False
        if not len(self._priors):  # a proof may change them later
            self._priors, self._net_values = root_answers(self._mcts, self._games)
        return True

    @property
    def ended(self) -> list[int]:
        """The numbers of the positions whose search is over."""
        return [int(number) for number in self._mcts.finished()]

    def stop(self, number: int) -> None:
        """End the search of a position with what it has."""
        self._mcts.stop(self._games[number : number + 1])

    def analysis(self, number: int) -> Analysis:
        """Return what has been found of a position so far, after one turn at the least."""
        mcts, tree = self._mcts, self._mcts.tree
        results, priors = mcts.results(self._games[number : number + 1]), self._priors[number]
        legal = np.flatnonzero(priors >= 0)
        return Analysis(
            to_move=int(tree.to_move[number, ROOT]),
            values=results.root_values[0],
            net_values=self._net_values[number],
            priors={_move(mcts, number, ROOT, int(action)): float(priors[action]) for action in legal},
            moves=_moves(mcts, number, int(results.actions[0]), priors),
            simulations=max(0, int(tree.visits[number, ROOT]) - 1),
            proven=bool(tree.status[number, ROOT] == SOLVED),
            seconds=time.monotonic() - self._began,
        )


def analyse(
    game: Game,
    positions: Sequence[Position],
    evaluator: Evaluator,
    settings: SearchSettings,
    *,
    learned: bool = False,
    seconds: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Analysis]:
    """Run `Searches` of k > 0 positions to their end, until ``seconds`` are over or ``stop`` says so
    (one of the net's answers is always waited for)."""
    deadline = time.monotonic() + seconds if seconds is not None else float("inf")
    searches = Searches(game, positions, evaluator, settings, learned)
    while searches.turn():
        if time.monotonic() >= deadline or stop():
            break
    return [searches.analysis(number) for number in range(len(positions))]


def _moves(mcts: Mcts, g: int, best: int, priors: NDArray[np.float32]) -> tuple[MoveAnalysis, ...]:
    """Return the visited moves of game ``g``: ``best``, then by visits; the net's own move alone if there are none."""
    tree = mcts.tree
    seat = int(tree.to_move[g, ROOT])
    found = []
    for child in _children(mcts, g, ROOT):
        visits = int(tree.visits[g, child])
        if not visits:
            continue
        action, proven = int(tree.action[g, child]), bool(tree.status[g, child] == SOLVED)
        total, certain = float(tree.value_sum[g, child, seat]), float(tree.net_value[g, child, seat])
        value = certain if proven else total / visits
        move = _move(mcts, g, ROOT, action)
        found.append(
            MoveAnalysis(move, visits, float(priors[action]), value, proven, (move, *_variation(mcts, g, child)))
        )
    if not found:  # the time was over with the net's first answer
        best, value = int(priors.argmax()), float(tree.net_value[g, ROOT, seat])
        move = _move(mcts, g, ROOT, best)
        return (MoveAnalysis(move, 0, float(priors[best]), value, False, (move,)),)
    chosen = _move(mcts, g, ROOT, best)
    return tuple(sorted(found, key=lambda entry: (entry.move != chosen, -entry.visits, -entry.value)))


def _variation(mcts: Mcts, g: int, node: int) -> list[int]:
    """Return the most visited moves from ``node`` on."""
    tree = mcts.tree
    moves: list[int] = []
    while len(moves) < LONGEST_VARIATION - 1:
        children = [child for child in _children(mcts, g, node) if tree.visits[g, child]]
        if not children:
            break
        child = max(children, key=lambda child: int(tree.visits[g, child]))
        moves.append(_move(mcts, g, node, int(tree.action[g, child])))
        node = child
    return moves


def _move(mcts: Mcts, g: int, node: int, action: int) -> int:
    """Return the move that ``action`` is at ``node``: with true rules a view that is full moves inside a search too."""
    row = g if mcts.model.has_rewards else int(mcts.tree.handle[g, node])
    return int(moves_of_actions(mcts.game, np.array([action]), mcts.states.origin[row : row + 1])[0])


def _children(mcts: Mcts, g: int, node: int) -> list[int]:
    """Return the children of ``node`` that have been begun."""
    children, child = [], int(mcts.tree.first_child[g, node])
    while child >= 0:
        children.append(child)
        child = int(mcts.tree.next_sibling[g, child])
    return children
