"""`uct:N`: a player of Hex for everybody, without a net: UCT with N random games a move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.errors import SettingsError
from hexpipe.games.board_moves import after_moves, legal_moves
from hexpipe.games.game_env import Game, Int8Array
from hexpipe.games.hex import Hex
from hexpipe.random_streams import Stream, generator

MOST_PLAYOUTS = 1_000_000
EXPLORATION = 0.7
"""Weight of UCB1's square root, for shares of won games."""
_MOST_NODES = 30_000_000  # of 16 bytes; where a tree is full its leaves are played out without growing


class UctPlayer:
    """Plain UCT (Kocsis and Szepesvari 2006) with ``playouts`` random games a move, which save bridges.

    A tree begins anew with each move, whose most visited child is played.
    """

    def __init__(self, game: Game, playouts: int, seed: int, number: int = 0) -> None:
        if not isinstance(game, Hex):
            words = f"uct plays Hex alone, not {game.name}: take random, or a net"
            raise SettingsError(words, kind="foreign", setting="game.name")
        kernel_cache.need("uct")
        from hexpipe.arena.uct_kernels import Tree

        self._game, self._playouts = game, playouts
        self._rng = generator(Stream.PLAYER, seed, number)
        nodes = min(playouts * game.num_actions, _MOST_NODES) + game.num_actions + 1
        kinds = (np.int32, np.int32, np.int16, np.int32, np.int16)
        self._tree = Tree._make([*(np.empty(nodes, kind) for kind in kinds), np.zeros(1, np.int64)])

    def choose(self, positions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        """Return one legal move int32 [k] for each of k > 0 positions."""
        return np.array([self._one(position) for position in positions], np.int32)

    def _one(self, position: Sequence[int]) -> int:
        from hexpipe.arena.uct_kernels import SWAP, search

        game, tree = self._game, self._tree
        states, n = after_moves(game, position), game.board_size
        swap = game.num_actions - 1 in legal_moves(game, states) if game.swap else False
        seed = int(self._rng.integers(2**63))
        stones = padded(states.cells[0], n)
        search(stones, n, 1 + int(states.view[0]), swap, self._playouts, EXPLORATION, seed, tree)
        children = slice(tree.first[0], tree.first[0] + tree.children[0])
        move = int(tree.moves[children][np.argmax(tree.visits[children])])
        return n * n if move == SWAP else (move // (n + 2) - 1) * n + move % (n + 2) - 1


def padded(cells: Int8Array, n: int) -> Int8Array:
    """Return cells int8 [n * n] with the edges around them, as `uct_kernels` has them: int8 [(n + 2) ** 2]."""
    from hexpipe.arena.uct_kernels import BLACK, NOBODY, WHITE

    board = np.full((n + 2, n + 2), NOBODY, np.int8)
    board[[0, -1], 1:-1] = BLACK
    board[1:-1, [0, -1]] = WHITE
    board[1:-1, 1:-1] = cells.reshape(n, n)
    return board.ravel()
