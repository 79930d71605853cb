"""`openspiel:mcts:N`: the tree search of OpenSpiel without a net, N simulations a move; the extra ``openspiel``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.board_moves import after_moves, legal_moves
from hexpipe.games.game_env import Game
from hexpipe.games.openspiel.loading import import_pyspiel
from hexpipe.games.openspiel.twins import twin_of
from hexpipe.random_streams import Stream, generator

EXPLORATION = 2.0
"""``uct_c`` of the search."""
_MEMORY = 1000  # MB of a tree at the most; 1,000 simulations take 1


class SpielMctsPlayer:
    """OpenSpiel's ``MCTSBot``: one random game a leaf, with its solver, a new tree for each move."""

    def __init__(self, game: Game, simulations: int, seed: int, number: int = 0) -> None:
        """Make the player; SettingsError without OpenSpiel, or where it has no such game."""
        self._game, self._twin, self._simulations = game, twin_of(game), simulations
        self._pyspiel = import_pyspiel()
        self._rng = generator(Stream.PLAYER, seed, number)

    def choose(self, positions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        """Return one legal move int32 [k] for each of k > 0 positions."""
        return np.array([self._one(position) for position in positions], np.int32)

    def _one(self, position: Sequence[int]) -> int:
        legal = legal_moves(self._game, after_moves(self._game, position))
        if len(legal) == 1:  # also to pass where OpenSpiel's own move is another's
            return int(legal[0])
        state = self.state_after(position)
        seed = int(self._rng.integers(2**31))
        evaluator = self._pyspiel.RandomRolloutEvaluator(1, seed)
        bot = self._pyspiel.MCTSBot(
            self._twin.spiel, evaluator, EXPLORATION, self._simulations, _MEMORY, True, seed, False
        )
        return self._twin.ours(state, bot.step(state))

    def state_after(self, position: Sequence[int]) -> Any:
        """Return OpenSpiel's state after our actions ``position``."""
        state = self._twin.spiel.new_initial_state()
        for action in position:
            theirs = self._twin.theirs(state, action)
            if theirs is not None:
                state.apply_action(theirs)
        return state
