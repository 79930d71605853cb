"""The search trees of a batch of games: one struct of preallocated arrays.

A node's children form a linked list (``first_child``, ``next_sibling``) that holds only children that have been
visited: an edge's statistics are its child's. Of the unvisited children only the one with the highest prior can be
selected next, because all of them share one first-play value, so ``next_action`` remembers it and a selection costs
the number of visited children and not the number of actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PENDING, EXPANDED, SOLVED = 0, 1, 2
"""Node status: created but not evaluated; has priors; its value is exact (the game is over there, or it is proven)."""

ROOT = 0
"""Every tree's root is its node 0."""


class Tree(NamedTuple):
    """Arrays over G games, N nodes a game, A actions, S seats. Node 0 is the root; -1 means none."""

    num_nodes: NDArray[np.int32]  # [G]        nodes in use; parents come before their children
    handle: NDArray[np.int32]  # [G, N]        state or latent row of the node; a permutation of the game's N rows
    parent: NDArray[np.int32]  # [G, N]
    action: NDArray[np.int32]  # [G, N]        the action that led here from the parent
    first_child: NDArray[np.int32]  # [G, N]
    next_sibling: NDArray[np.int32]  # [G, N]
    next_action: NDArray[np.int32]  # [G, N]   the unvisited action with the highest prior
    status: NDArray[np.int8]  # [G, N]         PENDING, EXPANDED or SOLVED
    to_move: NDArray[np.int8]  # [G, N]        seat
    visits: NDArray[np.int32]  # [G, N]        completed visits
    pending: NDArray[np.int32]  # visits in flight; each counts as `virtual_loss` losses
    visits_before: NDArray[np.int32]  # [G, N] visits kept from earlier searches; kept for a Gumbel root's children
    prior: NDArray[np.float32]  # [G, N]       probability of `action` at the parent
    net_value: NDArray[np.float32]  # [G, N, S]  by absolute seat: the evaluator's value; the exact one where SOLVED
    reward: NDArray[np.float32]  # [G, N, S]   of the move that led here, by absolute seat; S = 0 with true rules
    value_sum: NDArray[np.float32]  # [G, N, S]  sum of completed visits' returns (with `reward`), by absolute seat
    unvisited_prior: NDArray[np.float32]  # [G, N, A]  priors of legal unvisited actions, else -1
    focus: NDArray[np.int16]  # [G, N]         bucket where the evaluator looks, -1 unknown; [G, 0] without a thumbnail


class Leaves(NamedTuple):
    """L selected leaves, each int32 [L]; -1 means none, as for a root."""

    game: NDArray[np.int32]
    node: NDArray[np.int32]
    parent: NDArray[np.int32]  # the state or latent row of the parent
    action: NDArray[np.int32]
    row: NDArray[np.int32]  # the node's own state or latent row


def new_leaves(count: int) -> Leaves:
    """Allocate ``count`` leaves."""
    return Leaves(*np.zeros((len(Leaves._fields), count), np.int32))


def new_tree(
    num_games: int, num_nodes: int, num_actions: int, num_seats: int, rewards: bool = False, focus: bool = False
) -> Tree:
    """Allocate trees with every root PENDING. ``handle[g, i]`` starts as row ``g * N + i``."""
    shape = (num_games, num_nodes)

    def filled(value: int) -> NDArray[np.int32]:
        return np.full(shape, value, np.int32)

    return Tree(
        num_nodes=np.ones(num_games, np.int32),
        handle=np.arange(num_games * num_nodes, dtype=np.int32).reshape(shape),
        parent=filled(-1),
        action=filled(-1),
        first_child=filled(-1),
        next_sibling=filled(-1),
        next_action=filled(-1),
        status=np.zeros(shape, np.int8),
        to_move=np.zeros(shape, np.int8),
        visits=filled(0),
        pending=filled(0),
        visits_before=filled(0),
        prior=np.zeros(shape, np.float32),
        net_value=np.zeros((*shape, num_seats), np.float32),
        reward=np.zeros((*shape, num_seats if rewards else 0), np.float32),
        value_sum=np.zeros((*shape, num_seats), np.float32),
        unvisited_prior=np.full((*shape, num_actions), -1, np.float32),
        focus=np.full((num_games, num_nodes if focus else 0), -1, np.int16),
    )
