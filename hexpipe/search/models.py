"""The model behind the nodes of a search: the true rules (AlphaZero), or learned dynamics (MuZero).

Both keep one state or latent row a node, `tree.handle`. A model writes the tree's data of new leaves and the
evaluator's request; the search above it is the same.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.game_env import ONGOING, Game, Int8Array, Int32Array, States
from hexpipe.games.hex_solver import make_prover
from hexpipe.search import expand_kernels, root_kernels
from hexpipe.search.evaluator import Moves
from hexpipe.search.select_kernels import Rules
from hexpipe.search.tree import Leaves, Tree


class Model(Protocol):
    """``states`` holds the games' real positions, ``view`` int8[rows] each handle's frame.

    After `reach`, the first rows of ``codes`` int8[L, C] (one for each leaf, or only for the roots) and ``legal``
    bool[L, A] describe the leaves.
    """

    states: States
    has_rewards: bool
    codes: Int8Array
    legal: NDArray[np.bool_]

    @property
    def view(self) -> Int8Array: ...

    def root_rows(self, tree: Tree, games: Int32Array) -> Int32Array:
        """Return the state rows int32[k] of the present positions of ``games`` int32[k]."""

    def advance(self, tree: Tree, games: Int32Array, actions: Int32Array, keep_at_most: int) -> None:
        """Play ``actions`` int32[k] in ``games``; a subtree of at most ``keep_at_most`` nodes may stay."""

    def reach(self, tree: Tree, rules: Rules, leaves: Leaves, roots: int, count: int) -> int:
        """Take ``count`` new leaves, of which the first ``roots`` are roots; return how many, in front, need
        evaluation."""

    def request(self, count: int) -> tuple[Int8Array, Moves | None]:
        """Return the evaluator's request for the ``count`` leaves that `reach` left."""


class TrueRules:
    """A model with every node's state, by the game's own rules; finished games need no evaluation, nor does what
    ``leaf_proofs`` judged positions of a solver prove (`SearchSettings`)."""

    has_rewards = False

    def __init__(self, game: Game, num_games: int, num_nodes: int, max_leaves: int, leaf_proofs: int = 0) -> None:
        self._game = game
        self._prover = make_prover(game, leaf_proofs)
        self.states = game.new_states(num_games * num_nodes)
        self._ends = self.states.winner if self._prover is None else np.full(num_games * num_nodes, ONGOING, np.int8)
        self.codes = np.zeros((max_leaves, game.shapes.code_length), np.int8)
        self.legal = np.zeros((max_leaves, game.num_actions), np.bool_)
        self._terminal_values = np.zeros((max_leaves, game.num_seats), np.float32)
        self._new_index = np.zeros(num_nodes, np.int32)
        self._steps = np.zeros((3, num_games), np.int32)

    @property
    def view(self) -> Int8Array:
        return self.states.view

    def root_rows(self, tree: Tree, games: Int32Array) -> Int32Array:
        rows: Int32Array = tree.handle[games, 0]
        return rows

    def advance(self, tree: Tree, games: Int32Array, actions: Int32Array, keep_at_most: int) -> None:
        steps = self._steps
        count = root_kernels.move_roots(tree, games, actions, keep_at_most, self._new_index, steps)
        self._game.step(self.states, steps[0, :count], steps[1, :count], steps[2, :count])

    def reach(self, tree: Tree, rules: Rules, leaves: Leaves, roots: int, count: int) -> int:
        states = self.states
        new = slice(roots, count)
        self._game.step(states, leaves.parent[new], leaves.action[new], leaves.row[new])
        self._game.terminal_values(states, leaves.row[:count], self._terminal_values[:count])
        if self._prover is not None:
            self._ends[leaves.row[:count]] = states.winner[leaves.row[:count]]
            # not of roots: a search must find a move there
            self._prover.prove(states, leaves.row[new], self._ends, self._terminal_values[new])
        open_count: int = expand_kernels.settle_terminals(
            tree, leaves, count, self._ends, states.to_move, self._terminal_values, rules
        )
        rows = leaves.row[:open_count]
        self._game.codes(states, rows, self.codes[:open_count])
        self._game.legal_mask(states, rows, self.legal[:open_count])
        return open_count

    def request(self, count: int) -> tuple[Int8Array, Moves | None]:
        return self.codes[:count], None


class LearnedDynamics:
    """A model with latent rows: only the games' real positions are states, the nodes below are rows at the evaluator.

    The rules apply at the roots alone: below them every action is legal and no game ends, as in the MuZero paper
    (Schrittwieser et al. 2020, appendix B). Seats move in turn. Subtrees are not kept: a search belongs to the weights
    that made its root.
    """

    has_rewards = True

    def __init__(self, game: Game, num_games: int, num_nodes: int, max_leaves: int) -> None:
        self._game = game
        self.states = game.new_states(num_games)
        self.codes = np.zeros((max_leaves, game.shapes.code_length), np.int8)
        self.legal = np.ones((max_leaves, game.num_actions), np.bool_)
        self._view = np.zeros(num_games * num_nodes, np.int8)
        self._to_move = np.zeros(num_games * num_nodes, np.int8)
        self._moves = Moves(*np.zeros((3, max_leaves), np.int32))
        self._roots = 0

    @property
    def view(self) -> Int8Array:
        return self._view

    def root_rows(self, tree: Tree, games: Int32Array) -> Int32Array:
        return games

    def advance(self, tree: Tree, games: Int32Array, actions: Int32Array, keep_at_most: int) -> None:
        root_kernels.reset_roots(tree, games)
        self._game.step(self.states, games, actions, games)

    def reach(self, tree: Tree, rules: Rules, leaves: Leaves, roots: int, count: int) -> int:
        states, games, rows = self.states, leaves.game[:roots], leaves.row[:count]
        self._game.codes(states, games, self.codes[:roots])
        self._game.legal_mask(states, games, self.legal[:roots])
        self.legal[roots:count] = True
        self._to_move[rows[:roots]] = states.to_move[games]
        self._view[rows[:roots]] = states.view[games]
        expand_kernels.imagine_children(
            tree,
            leaves,
            roots,
            count,
            self._to_move,
            self._view,
            self._game.next_view,
            self._game.action_view,
            self._moves,
        )
        self._roots = roots
        return count

    def request(self, count: int) -> tuple[Int8Array, Moves | None]:
        parents, actions, rows = self._moves
        children = count - self._roots
        return self.codes[: self._roots], Moves(parents[:children], actions[:children], rows[:count])
