"""Players of many games at once: a net with a search, and chance.

Positions are moves of the whole board (`games.board_moves`), whatever view each of them was played in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import SearchSettings
from hexpipe.games.board_moves import after_moves, legal_moves
from hexpipe.games.game_env import Game
from hexpipe.games.set_up import Position
from hexpipe.random_streams import Stream, generator
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import search_positions

Moves = Sequence[int]
RESIGN = -1
"""What a player gives instead of an action to give a game of two up."""
FORFEIT = -2
"""What a player gives instead of an action where it cannot go on: the game of two is lost."""


class Player(Protocol):
    """Chooses moves in many games at once."""

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        """Return one legal move int32 [k], RESIGN or FORFEIT, for each of k > 0 positions, given by their moves."""


class NetPlayer:
    """A net, by an evaluator's first group, with a search of ``settings`` that starts from nothing each time.

    ``learned``: the evaluator has latents, of at least ``at_once`` games. Equal moves fall to the first, so games
    differ only by what the others play. A view that moves is where the net looks.
    """

    def __init__(
        self,
        game: Game,
        evaluator: Evaluator,
        settings: SearchSettings,
        *,
        learned: bool = False,
        at_once: int = 128,
        seed: int = 0,
    ) -> None:
        self._game, self._evaluator = game, evaluator
        self._settings = settings.model_copy(update={"leaves_per_game": 1, "reuse_tree": False, "gumbel_scale": 0.0})
        self._learned, self._at_once, self._seed = learned, at_once, seed

    def choose(self, positions: Sequence[Position]) -> NDArray[np.int32]:
        """Return one legal move int32 [k] for each of k > 0 positions."""
        parts = [positions[i : i + self._at_once] for i in range(0, len(positions), self._at_once)]
        how = self._evaluator, self._settings, self._seed, self._learned
        return np.concatenate([search_positions(self._game, part, *how).moves for part in parts])


class RandomPlayer:
    """Plays every legal move with the same probability."""

    def __init__(self, game: Game, seed: int, number: int = 0) -> None:
        self._game, self._rng = game, generator(Stream.PLAYER, seed, number)

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        game = self._game
        return np.array([self._rng.choice(legal_moves(game, after_moves(game, p))) for p in positions], np.int32)
