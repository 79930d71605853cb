"""The search as the papers write it: recursive dictionaries of nodes in plain Python, for one game.

Nothing here is shared with the kernels. Choices that hang on less than `CLOSE` raise `CloseCallError`: the kernels
count in float32, and a test of them must not hang on the last bit.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hexpipe.answers import Answers
from hexpipe.config import SearchSettings
from hexpipe.games.game_env import Game, States
from hexpipe.search.mcts import Mcts

CLOSE = 1e-5
Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class CloseCallError(Exception):
    """Two choices are too near to one another for float32 to tell them apart."""


def hash_evaluator(game: Game, seed: int, sharpness: float = 1.0) -> Evaluate:
    """Priors float32 [A] (net frame, legal actions only) and values float32 [S] drawn from a hash of codes int8 [C].

    The seats' values are not tied to one another, so that a value given to the wrong seat shows.
    """
    cells = game.shapes.view_cells

    def evaluate(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([zlib.crc32(codes.tobytes()), seed])
        legal = np.concatenate([codes[:cells] == 0, codes[cells:] == 1]) if game.name == "hex" else True
        weights = np.exp(sharpness * rng.normal(size=game.num_actions)) * legal
        values = rng.uniform(-1, 1, game.num_seats)
        return (weights / weights.sum()).astype(np.float32), values.astype(np.float32)

    return evaluate


def evaluate_batch(evaluate: Evaluate, codes: np.ndarray) -> Answers:
    """Priors float32 [L, A] and values float32 [L, S] for codes int8 [L, C]."""
    answers = [evaluate(row) for row in codes]
    return Answers(np.stack([priors for priors, _ in answers]), np.stack([values for _, values in answers]))


def finish(mcts: Mcts, evaluate: Evaluate) -> None:
    """Run the kernels' searches to their ends."""
    while count := mcts.select():
        mcts.update(evaluate_batch(evaluate, mcts.codes[:count]))


def begin_at(mcts: Mcts, games: Sequence[int], moves: Sequence[int], **options: Any) -> None:
    """Put ``games`` to the position after ``moves`` and begin their searches."""
    index = np.array(games, np.int32)
    mcts.reset(index)
    for action in moves:
        mcts.advance(index, np.full(len(index), action, np.int32))
    mcts.begin(index, **options)


def kernel_tree(mcts: Mcts, g: int) -> dict[tuple[int, ...], tuple[int, list[float]]]:
    """Visits and mean values by absolute seat of every node of game ``g``, by the moves that lead there."""
    tree, paths, found = mcts.tree, {0: ()}, {}
    for node in range(tree.num_nodes[g]):
        if node:
            paths[node] = (*paths[tree.parent[g, node]], int(tree.action[g, node]))
        visits = int(tree.visits[g, node])
        found[paths[node]] = (visits, (tree.value_sum[g, node] / max(1, visits)).tolist())
    return found


class Node:
    """A position that has been visited; its children by absolute action."""

    def __init__(self, search: ReferenceSearch, moves: tuple[int, ...]) -> None:
        self.moves = moves
        self.children: dict[int, Node] = {}
        self.visits = 0
        self.pending = 0
        self.value_sum = [0.0] * search.game.num_seats
        self.priors: dict[int, float] = {}
        self.values: list[float] = []
        self.states = states_after(search.game, moves)
        self.seat = int(self.states.to_move[0])
        self.terminal = bool(self.states.winner[0] >= 0)
        self.solved = False

    @property
    def expanded(self) -> bool:
        return bool(self.priors)

    @property
    def tries(self) -> int:
        return self.visits + self.pending

    def lost(self, seat: int) -> bool:
        return self.solved and self.values[seat] <= -1

    def q(self, seat: int, virtual_loss: float) -> float:
        return (self.value_sum[seat] - virtual_loss * self.pending) / self.tries

    def tree(self, prefix: int) -> dict[tuple[int, ...], tuple[int, list[float]]]:
        means = [total / max(1, self.visits) for total in self.value_sum]
        found = {self.moves[prefix:]: (self.visits, means)}
        for child in self.children.values():
            found.update(child.tree(prefix))
        return found


def states_after(game: Game, moves: Sequence[int]) -> States:
    """One row, by single steps."""
    states, row = game.new_states(1), np.zeros(1, np.int32)
    for action in moves:
        game.step(states, row, np.array([action], np.int32), row)
    return states


class ReferenceSearch:
    """One game's searches, from the position after ``moves``.

    ``root_priors`` (by absolute action) replace the evaluator's at the root; ``gumbel`` [A] is a Gumbel root's noise.
    `run` is one search, `advance` then goes on to a child with all that is known of it.
    """

    def __init__(
        self,
        game: Game,
        settings: SearchSettings,
        evaluate: Evaluate,
        moves: Sequence[int] = (),
        root_priors: np.ndarray | None = None,
        gumbel: np.ndarray | None = None,
        may_stop: bool = False,
    ) -> None:
        self.game, self.settings, self.evaluate = game, settings, evaluate
        self.root = Node(self, tuple(moves))
        self.prefix = len(moves)
        self.may_stop = may_stop
        self.gumbel = np.zeros(game.num_actions) if gumbel is None else gumbel
        self._start_anew()
        if root_priors is not None:
            self.root.priors = {a: float(root_priors[a]) for a in self.root.priors}

    def run(self) -> ReferenceSearch:
        """All batches of the search."""
        while self._run_batch():
            pass
        return self

    def advance(self, action: int, keep: bool) -> None:
        """The child by ``action`` is the root of the next search; its subtree stays if ``keep`` and it has room."""
        child = self.root.children.get(action)
        self.prefix += 1
        may_stay = keep and child and child.expanded and not child.solved
        if may_stay and len(child.tree(0)) <= self.settings.num_simulations + 1:
            self.root = child
            self.before = {a: node.visits for a, node in child.children.items()}
            self.start = child.visits
            self.budget = simulations = self.settings.num_simulations
            if self.settings.root == "puct":  # what is known counts, but a quarter of a search is always new
                self.budget = max(simulations - (child.visits - 1), 1, simulations // 4)
        else:
            self.root = Node(self, (*self.root.moves, action))
            self._start_anew()

    def _start_anew(self) -> None:
        self._expand(self.root)
        self._back_up([self.root], self.root.values)
        self.before: dict[int, int] = {}
        self.start = 1
        self.budget = self.settings.num_simulations

    def tree(self) -> dict[tuple[int, ...], tuple[int, list[float]]]:
        """As `kernel_tree`."""
        return self.root.tree(self.prefix)

    def _done(self) -> int:
        return self.root.visits - self.start

    def _run_batch(self) -> bool:
        """Choose several leaves, then evaluate them and send their values up; False once the search has ended."""
        settings, waiting = self.settings, []
        for _ in range(settings.leaves_per_game):
            simulation = self._done() + self.root.pending
            if simulation >= self.budget or (self.may_stop and self._decided(simulation)):
                break
            if settings.root == "gumbel" and self.root.pending and self._round(simulation) != self._round(self._done()):
                break
            path = self._walk(simulation)
            leaf = path[-1]
            if leaf.pending:
                break  # it is in this batch already
            if leaf.solved:
                self._back_up(path, leaf.values)
                continue
            for node in path:
                node.pending += 1
            waiting.append(path)
        for path in sorted(waiting, key=lambda path: not path[-1].terminal):  # those need no answer
            self._expand(path[-1])
            for node in path:
                node.pending -= 1
            self._back_up(path, path[-1].values)
            if path[-1].terminal:
                path[-1].solved = True
                if settings.solver:
                    self._solve(path)
        if self.root.solved or (self.may_stop and self._decided(self._done())):
            return False
        return self._done() < self.budget

    def _decided(self, simulation: int) -> bool:
        children = [child for child in self.root.children.values() if not child.lost(self.root.seat)]
        tries = sorted([0, 0, *(child.tries for child in children)])
        return tries[-1] - tries[-2] > self.budget - simulation

    def _walk(self, simulation: int) -> list[Node]:
        path = [self.root]
        while path[-1].expanded and not path[-1].solved:
            node = path[-1]
            if self.settings.root == "puct":
                action = choose(self._puct_scores(node))
            elif node is self.root:
                action = choose(self._halving_scores(simulation))
            else:
                # many unvisited actions have tiny scores, which their priors tell apart well
                action = choose(self._improved_scores(node), unit=0.0)
            if action not in node.children:
                node.children[action] = Node(self, (*node.moves, action))
            path.append(node.children[action])
        return path

    def _expand(self, node: Node) -> None:
        zero = np.zeros(1, np.int32)
        seats = self.game.num_seats
        if node.terminal:
            values = np.zeros((1, seats), np.float32)
            self.game.terminal_values(node.states, zero, values)
            node.values = values[0].tolist()
            return
        codes = np.zeros((1, self.game.shapes.code_length), np.int8)
        legal = np.zeros((1, self.game.num_actions), np.bool_)
        self.game.codes(node.states, zero, codes)
        self.game.legal_mask(node.states, zero, legal)
        priors, values = self.evaluate(codes[0])
        in_net = self.game.action_view[node.states.view[0]]
        node.priors = {a: float(priors[in_net[a]]) for a in range(self.game.num_actions) if legal[0, a]}
        node.values = [0.0] * seats
        for k in range(seats):
            node.values[(node.seat + k) % seats] = float(values[k])

    def _solve(self, path: list[Node]) -> None:
        """What follows for the ancestors of the solved node at the end of ``path``."""
        for parent, child in reversed(list(itertools.pairwise(path))):
            if self.settings.root == "puct" and child.lost(parent.seat):
                action = next(a for a, other in parent.children.items() if other is child)
                parent.priors[action] = 0.0
            solved = [other for other in parent.children.values() if other.solved]
            best = max(solved, key=lambda other: other.values[parent.seat])
            if best.values[parent.seat] < 1 and len(solved) < len(parent.priors):
                return
            parent.solved = True
            parent.values = list(best.values)
            parent.value_sum = [value * parent.visits for value in best.values]

    def policy(self) -> dict[int, float]:
        """Shares of the visits that went to moves that may be best."""
        root = self.root
        if root.solved:
            worth = root.values[root.seat]
            good = {a: c for a, c in root.children.items() if c.solved and c.values[root.seat] >= worth}
        else:
            good = {a: c for a, c in root.children.items() if not c.lost(root.seat)}
        good = good or root.children
        total = sum(child.visits for child in good.values())
        return {a: child.visits / total for a, child in good.items()}

    def _back_up(self, path: list[Node], values: list[float]) -> None:
        for node in reversed(path):
            if node.solved:
                values = node.values
            node.visits += 1
            node.value_sum = [total + value for total, value in zip(node.value_sum, values, strict=True)]

    def _puct_scores(self, node: Node) -> dict[int, float]:
        """Q + U; MuZero paper, appendix B, equation 2, with first-play urgency."""
        s = self.settings
        c = s.c_puct_init + math.log((1 + node.tries + s.c_puct_base) / s.c_puct_base)
        tried = sum(node.priors[a] for a in node.children)
        first_play = max(-1.0, node.value_sum[node.seat] / node.visits - s.fpu_reduction * math.sqrt(tried))
        scores = {}
        for action, prior in node.priors.items():
            child = node.children.get(action)
            q = child.q(node.seat, s.virtual_loss) if child else first_play
            scores[action] = q + c * prior * math.sqrt(node.tries) / (1 + (child.tries if child else 0))
        return scores

    def completed_q(self, node: Node) -> dict[int, float]:
        """q of tried actions, v_mix of the others (Gumbel paper, equations 10 and 33)."""
        loss = self.settings.virtual_loss
        tries = sum(child.tries for child in node.children.values())
        mixed = node.values[node.seat]
        if tries:
            prior = {a: node.priors[a] + 1e-12 for a in node.children}
            mean = sum(prior[a] * child.q(node.seat, loss) for a, child in node.children.items()) / sum(prior.values())
            mixed = (mixed + tries * mean) / (1 + tries)
        return {a: node.children[a].q(node.seat, loss) if a in node.children else mixed for a in node.priors}

    def sigma(self, node: Node) -> float:
        """What (q + 1) / 2 is multiplied with (equation 8); the 1/2 is in it, the + 1 changes no comparison."""
        most = max([0, *(child.tries for child in node.children.values())])
        return (self.settings.gumbel_c_visit + most) * self.settings.gumbel_c_scale / 2

    def improved_policy(self, node: Node) -> dict[int, float]:
        """softmax(log prior + sigma(completed q)), equation 11."""
        scale, q = self.sigma(node), self.completed_q(node)
        logits = {a: math.log(prior + 1e-30) + scale * q[a] for a, prior in node.priors.items()}
        highest = max(logits.values())
        total = sum(math.exp(x - highest) for x in logits.values())
        return {a: math.exp(x - highest) / total for a, x in logits.items()}

    def _improved_scores(self, node: Node) -> dict[int, float]:
        tries = {a: node.children[a].tries if a in node.children else 0 for a in node.priors}
        policy = self.improved_policy(node)
        return {a: policy[a] - tries[a] / (1 + sum(tries.values())) for a in node.priors}

    def _rounds(self) -> list[tuple[int, int]]:
        """For each simulation, the number of its halving round and of earlier visits to the actions it is for."""
        width = min(self.settings.gumbel_considered, len(self.root.priors))
        budget, schedule, visits, stage = self.settings.num_simulations, [], 0, 0
        rounds = max(1, math.ceil(math.log2(width)))
        while len(schedule) < budget:
            for _ in range(max(1, budget // (rounds * width))):
                schedule += [(stage, visits)] * width
                visits += 1
            width, stage = max(2, width // 2) if width > 1 else 1, stage + (width > 1)
        return schedule[:budget]

    def _round(self, simulation: int) -> int:
        return self._rounds()[simulation][0]

    def _halving_scores(self, simulation: int) -> dict[int, float]:
        visits = self._rounds()[simulation][1]
        return {a: x for a, x in self._root_scores().items() if self._root_tries(a) == visits}

    def _root_tries(self, action: int) -> int:
        """Tries in this search."""
        return self.root.children[action].tries - self.before.get(action, 0) if action in self.root.children else 0

    def _root_scores(self) -> dict[int, float]:
        q, scale = self.completed_q(self.root), self.sigma(self.root)
        return {a: self.gumbel[a] + math.log(prior + 1e-30) + scale * q[a] for a, prior in self.root.priors.items()}

    def halving_winner(self) -> int:
        """The best of the most visited of the moves that may be best."""
        good = self.policy()
        most = max(self._root_tries(a) for a in good)
        return choose({a: x for a, x in self._root_scores().items() if a in good and self._root_tries(a) == most})


def choose(scores: dict[int, float], unit: float = 1.0) -> int:
    """The action with the highest score; CloseCallError if another one comes near.

    Near is ``CLOSE`` of the larger of ``unit`` and the two scores.
    """
    first, *others = sorted(scores, key=lambda a: -scores[a])
    if others:
        highest, second = scores[first], scores[others[0]]
        if highest - second <= CLOSE * max(unit, abs(highest), abs(second)):
            raise CloseCallError
    return first
