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

_CACHE_LINE = 64

ROOT = 0
"""Every tree's root is its node 0."""


class Tree(NamedTuple):
    """Arrays over G games, N nodes a game, A actions, S seats. Node 0 is the root; -1 means none.

    A node is one record, with two seats a line of the processor's cache: a selection reads most of each child's. The
    properties are a record's fields over all nodes; kernels read ``nodes``, and each array that they are given costs.
    """

    num_seats: int
    num_nodes: NDArray[np.int32]  # [G]        nodes in use; parents come before their children
    nodes: NDArray[np.void]  # [G, N]          records of `_node`
    reward: NDArray[np.float32]  # [G, N, S]   of the move that led here, by absolute seat; S = 0 with true rules
    unvisited_prior: NDArray[np.float32]  # [G, N, A]  priors of legal unvisited actions, else -1
    unvisited_bits: NDArray[np.int32]  # the same memory; as integers priors have the same order
    focus: NDArray[np.int16]  # [G, N]         bucket where the evaluator looks, -1 unknown; [G, 0] without a thumbnail

    @property
    def nbytes(self) -> int:
        """Number of bytes of all arrays."""
        arrays = (self.num_nodes, self.nodes, self.reward, self.unvisited_prior, self.focus)
        return sum(array.nbytes for array in arrays)

    @property
    def handle(self) -> NDArray[np.int32]:
        """[G, N]: its state or latent row; a permutation of the game's N rows."""
        return self.nodes["handle"]

    @property
    def parent(self) -> NDArray[np.int32]:
        """[G, N]."""
        return self.nodes["parent"]

    @property
    def action(self) -> NDArray[np.int32]:
        """[G, N]: what led here from the parent."""
        return self.nodes["action"]

    @property
    def first_child(self) -> NDArray[np.int32]:
        """[G, N]."""
        return self.nodes["first_child"]

    @property
    def next_sibling(self) -> NDArray[np.int32]:
        """[G, N]."""
        return self.nodes["next_sibling"]

    @property
    def next_action(self) -> NDArray[np.int32]:
        """[G, N]: the unvisited action with the highest prior."""
        return self.nodes["next_action"]

    @property
    def next_prior(self) -> NDArray[np.float32]:
        """[G, N]: that prior."""
        return self.nodes["next_prior"]

    @property
    def status(self) -> NDArray[np.int8]:
        """[G, N]: PENDING, EXPANDED or SOLVED."""
        return self.nodes["status"]

    @property
    def to_move(self) -> NDArray[np.int8]:
        """[G, N]: a seat."""
        return self.nodes["to_move"]

    @property
    def visits(self) -> NDArray[np.int32]:
        """[G, N]: those completed."""
        return self.nodes["visits"]

    @property
    def pending(self) -> NDArray[np.int32]:
        """[G, N]: visits in flight; each counts as `virtual_loss` losses."""
        return self.nodes["pending"]

    @property
    def visits_before(self) -> NDArray[np.int32]:
        """[G, N]: visits kept from earlier searches; kept for a Gumbel root's children."""
        return self.nodes["visits_before"]

    @property
    def prior(self) -> NDArray[np.float32]:
        """[G, N]: probability of `action` at the parent."""
        return self.nodes["prior"]

    @property
    def net_value(self) -> NDArray[np.float32]:
        """[G, N, S], by absolute seat: the evaluator's value; the exact one where SOLVED."""
        return self.nodes["net_value"]

    @property
    def value_sum(self) -> NDArray[np.float32]:
        """[G, N, S], by absolute seat: sum of completed visits' returns (with `reward`)."""
        return self.nodes["value_sum"]


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
    nodes = _aligned(shape, _node(num_seats))
    for name in ("parent", "action", "first_child", "next_sibling", "next_action"):
        nodes[name] = -1
    nodes["handle"] = np.arange(num_games * num_nodes, dtype=np.int32).reshape(shape)
    unvisited = np.full((*shape, num_actions), -1, np.float32)
    return Tree(
        num_seats=num_seats,
        num_nodes=np.ones(num_games, np.int32),
        nodes=nodes,
        reward=np.zeros((*shape, num_seats if rewards else 0), np.float32),
        unvisited_prior=unvisited,
        unvisited_bits=unvisited.view(np.int32),
        focus=np.full((num_games, num_nodes if focus else 0), -1, np.int16),
    )


def _node(num_seats: int) -> np.dtype[np.void]:
    """Return the fields of a node (see `Tree`), in about the order in which a selection reads them."""
    one = [
        ("next_sibling", np.int32),
        ("visits", np.int32),
        ("pending", np.int32),
        ("prior", np.float32),
        ("action", np.int32),
        ("first_child", np.int32),
        ("next_action", np.int32),
        ("next_prior", np.float32),
        ("parent", np.int32),
        ("handle", np.int32),
        ("visits_before", np.int32),
        ("status", np.int8),
        ("to_move", np.int8),
    ]
    seats = [("value_sum", np.float32, num_seats), ("net_value", np.float32, num_seats)]
    return np.dtype([*one[:4], *seats, *one[4:]], align=True)


def _aligned(shape: tuple[int, int], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Allocate zeros that begin with a cache line."""
    size = dtype.itemsize * shape[0] * shape[1]
    room = np.zeros(size + _CACHE_LINE, np.int8)
    start = -room.ctypes.data % _CACHE_LINE
    return room[start : start + size].view(dtype).reshape(shape)
