"""Compiled UCT on one board of Hex: a tree whose leaves are random games.

The board is padded by its edges, int8 [(n + 2) ** 2]: 0 empty, 1 black, 2 white; the rows above and below are black's
stones, the columns beside white's, and the corners nobody's (3). Games are played until the board is full, when one
colour connects; more stones never change who has.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLACK, WHITE, NOBODY = 1, 2, 3
SWAP = -1
"""The move of the child that is a swap."""


class Tree(NamedTuple):
    """Nodes of a search, of which 0 is the root: visits, games that black won, the padded cell that leads there (or
    `SWAP`), the first child (-1 without) and how many; ``size`` int64 [1] is how many nodes there are."""

    visits: NDArray[np.int32]
    black_wins: NDArray[np.int32]
    moves: NDArray[np.int16]
    first: NDArray[np.int32]
    children: NDArray[np.int16]
    size: NDArray[np.int64]


class Board(NamedTuple):
    """A padded board and its ``left`` [1] empty cells in any order; ``place`` is where each stands there."""

    stones: NDArray[np.int8]
    empty: NDArray[np.int16]
    place: NDArray[np.int16]
    left: NDArray[np.int64]


@njit(cache=True, nogil=True, _nrt=False)
def _random(state: NDArray[np.uint64], below: int) -> int:
    """Return a whole number from 0 up to ``below``, by xorshift64* (Vigna, arXiv:1402.6246)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    high = (x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(32)
    return int((high * np.uint64(below)) >> np.uint64(32))


@njit(cache=True, nogil=True, _nrt=False)
def _place(board: Board, cell: int, colour: int) -> None:
    """Put a stone on the empty ``cell``."""
    board.stones[cell] = colour
    board.left[0] -= 1
    hole, last = board.place[cell], board.empty[board.left[0]]
    board.empty[hole] = last
    board.place[last] = hole


@njit(cache=True, nogil=True, _nrt=False)
def bridge_reply(stones: NDArray[np.int8], around: NDArray[np.int64], intrusion: int, mover: int, start: int) -> int:
    """Return the cell that saves a bridge of ``mover`` which the stone on ``intrusion`` cuts into; -1 if it cuts none.

    A bridge is two stones, or a stone and an edge, with two empty common neighbours. Around one of these stand, in
    order, a stone, the other cell, and the other stone. Where there are several, the first from ``start`` (0 to 5).
    """
    for k in range(6):
        at = start + k
        if (
            stones[intrusion + around[at % 6]] == mover
            and stones[intrusion + around[(at + 1) % 6]] == 0
            and stones[intrusion + around[(at + 2) % 6]] == mover
        ):
            return intrusion + around[(at + 1) % 6]
    return -1


@njit(cache=True, nogil=True, _nrt=False)
def black_connects(stones: NDArray[np.int8], around: NDArray[np.int64], n: int, stack: NDArray[np.int16]) -> bool:
    """Return whether black's stones join top and bottom; those that hang on the top are taken off the board."""
    width, top = n + 2, 0
    for cell in range(width + 1, width + 1 + n):
        if stones[cell] == BLACK:
            stones[cell] = 0
            stack[top] = cell
            top += 1
    while top:
        top -= 1
        cell = stack[top]
        if cell >= n * width:
            return True
        for k in range(6):
            other = cell + around[k]
            if stones[other] == BLACK and width <= other < (n + 1) * width:
                stones[other] = 0
                stack[top] = other
                top += 1
    return False


@njit(cache=True, nogil=True, _nrt=False)
def _play_out(
    board: Board, around: NDArray[np.int64], n: int, mover: int, last: int, stack: NDArray[np.int16],
    random: NDArray[np.uint64],
) -> bool:  # fmt: skip
    """Fill the board at random, replying to intrusions into bridges; return whether black has won."""
    while board.left[0]:
        cell = -1
        if last >= 0:
            cell = bridge_reply(board.stones, around, last, mover, _random(random, 6))
        if cell < 0:
            cell = int(board.empty[_random(random, board.left[0])])
        _place(board, cell, mover)
        last, mover = cell, BLACK + WHITE - mover
    return black_connects(board.stones, around, n, stack)


@njit(cache=True, nogil=True, _nrt=False)
def _expand(tree: Tree, node: int, board: Board, swap: bool) -> bool:
    """Give ``node`` a child for each empty cell, and one for a swap; False where there is no room, or no child."""
    begin, count = tree.size[0], board.left[0] + (1 if swap else 0)
    if count == 0 or begin + count > len(tree.visits):
        return False
    tree.first[node], tree.children[node] = begin, count
    for k in range(count):
        child = begin + k
        tree.visits[child] = tree.black_wins[child] = 0
        tree.first[child] = -1
        tree.moves[child] = board.empty[k] if k < board.left[0] else SWAP
    tree.size[0] += count
    return True


@njit(cache=True, nogil=True, _nrt=False)
def _choose(tree: Tree, node: int, mover: int, exploration: float, random: NDArray[np.uint64]) -> int:
    """Return the child with the highest upper confidence bound for ``mover``; a random one of those never visited."""
    begin, count = np.int64(tree.first[node]), np.int64(tree.children[node])
    start = _random(random, count)
    if tree.visits[node] <= count:  # else all have been visited
        for k in range(count):
            child = begin + (start + k) % count
            if tree.visits[child] == 0:
                return child
    log_visits = np.log(tree.visits[node])
    best, best_bound = -1, -1.0
    for k in range(count):
        child = begin + (start + k) % count
        share = tree.black_wins[child] / tree.visits[child]
        if (mover == BLACK) == (tree.moves[child] == SWAP):  # who swaps takes the other colour
            share = 1.0 - share
        bound = share + exploration * np.sqrt(log_visits / tree.visits[child])
        if bound > best_bound:
            best, best_bound = child, bound
    return best


@njit(cache=True, nogil=True)
def search(
    stones: NDArray[np.int8], n: int, mover: int, swap: bool, playouts: int, exploration: float, seed: int, tree: Tree
) -> None:
    """Grow ``tree`` by ``playouts`` random games from the padded board ``stones``, where ``mover`` is to move and may
    ``swap`` or not (UCT: Kocsis and Szepesvari 2006, with UCB1)."""
    width = n + 2
    around = np.array([-width, 1 - width, 1, width, width - 1, -1])
    random = np.array([np.uint64(seed) | np.uint64(1)])
    empty = np.flatnonzero(stones == 0).astype(np.int16)
    board = Board(stones.copy(), empty.copy(), np.zeros(len(stones), np.int16), np.zeros(1, np.int64))
    stack, path = np.empty(n * n, np.int16), np.empty(n * n + 2, np.int64)
    tree.size[0], tree.visits[0], tree.black_wins[0], tree.first[0] = 1, 0, 0, -1
    for _ in range(playouts):
        board.stones[:] = stones
        board.empty[:] = empty
        board.left[0] = len(empty)
        for k in range(len(empty)):
            board.place[empty[k]] = k
        node, depth, colour, last = 0, 1, mover, -1
        path[0] = 0
        while node == 0 or tree.visits[node] > 0:
            if tree.first[node] < 0 and not _expand(tree, node, board, swap and node == 0):
                break
            node = _choose(tree, node, colour, exploration, random)
            path[depth] = node
            depth += 1
            last = int(tree.moves[node])
            if last != SWAP:
                _place(board, last, colour)
                colour = BLACK + WHITE - colour
        won = _play_out(board, around, n, colour, last, stack, random)
        for k in range(depth):
            tree.visits[path[k]] += 1
            tree.black_wins[path[k]] += won
