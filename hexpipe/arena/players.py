"""Who plays: a net with a search, perfect play on tiny boards, a player that sees one ply, chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import SearchSettings
from hexpipe.games.game_env import ONGOING, Game, States
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import search_positions

Moves = Sequence[int]
RESIGN = -1
"""What a player gives instead of an action to give a game of two up."""


class Player(Protocol):
    """Chooses moves in many games at once."""

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        """One legal action int32 [k], or RESIGN, for each of k > 0 positions, given by their moves from the start."""


class NetPlayer:
    """A net, by an evaluator's first group, with a search of ``settings`` that starts from nothing each time.

    ``learned``: the evaluator has latents, of at least ``at_once`` games. Equal moves fall to the first, so games
    differ only by what the others play.
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

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        parts = [positions[i : i + self._at_once] for i in range(0, len(positions), self._at_once)]
        return np.concatenate([
            search_positions(self._game, part, self._evaluator, self._settings, self._seed, self._learned).actions
            for part in parts
        ])


class RandomPlayer:
    """Every legal move alike."""

    def __init__(self, game: Game, seed: int) -> None:
        self._game, self._rng = game, np.random.default_rng(seed)

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        return np.array([self._rng.choice(legal_actions(self._game, self._game.play(p))) for p in positions], np.int32)


class TacticalPlayer:
    """Wins if it can, else takes the move by which the next seat that could win at once would; else plays at random."""

    def __init__(self, game: Game, seed: int) -> None:
        self._game, self._rng = game, np.random.default_rng(seed)

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        return np.array([self._one(self._game.play(position)) for position in positions], np.int32)

    def _one(self, states: States) -> int:
        legal = legal_actions(self._game, states)
        mover = int(states.to_move[0])
        for ahead in range(self._game.num_seats):
            seat = (mover + ahead) % self._game.num_seats
            winning = [a for a in legal.tolist() if self._wins(states, a, seat)]
            if winning:
                return int(self._rng.choice(winning))
        return int(self._rng.choice(legal))

    def _wins(self, states: States, action: int, seat: int) -> bool:
        """Whether ``seat`` would win by ``action``, if it were its turn."""
        row = np.zeros(1, np.int32)
        copy = _copied(states)
        shift = seat - int(copy.to_move[0])
        copy.to_move[0] = seat
        copy.view[0] = (int(copy.view[0]) + shift) % self._game.num_views
        self._game.step(copy, row, np.array([action], np.int32), row)
        return int(copy.winner[0]) == seat


class PerfectPlayer:
    """Plays at random among the best moves, found by trying everything once: for games of some thousand positions."""

    def __init__(self, game: Game, seed: int) -> None:
        self._game, self._rng = game, np.random.default_rng(seed)
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        return np.array([self._rng.choice(self.best_actions(position)) for position in positions], np.int32)

    def best_actions(self, position: Moves) -> list[int]:
        """All moves of the best value for the seat to move."""
        states = self._game.play(position)
        seat = int(states.to_move[0])
        legal = legal_actions(self._game, states).tolist()
        worth = {action: float(self._value(_after(self._game, states, action))[seat]) for action in legal}
        return [action for action, value in worth.items() if value == max(worth.values())]

    def value(self, position: Moves) -> NDArray[np.float32]:
        """What ``position`` is worth to each seat, float32 [S], when every seat plays for itself."""
        return self._value(self._game.play(position))

    def _value(self, states: States) -> NDArray[np.float32]:
        key = states.cells.tobytes() + states.to_move.tobytes() + states.ply.tobytes()
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._search(states)
        return known

    def _search(self, states: States) -> NDArray[np.float32]:
        if states.winner[0] != ONGOING:
            outcome = np.zeros((1, self._game.num_seats), np.float32)
            self._game.terminal_values(states, np.zeros(1, np.int32), outcome)
            reached: NDArray[np.float32] = outcome[0]
            return reached
        seat = int(states.to_move[0])
        values = [self._value(_after(self._game, states, a)) for a in legal_actions(self._game, states)]
        return max(values, key=lambda value: float(value[seat]))


def legal_actions(game: Game, states: States) -> NDArray[np.int64]:
    """Legal actions of a single row."""
    legal = np.zeros((1, game.num_actions), np.bool_)
    game.legal_mask(states, np.zeros(1, np.int32), legal)
    return np.flatnonzero(legal[0])


def _after(game: Game, states: States, action: int) -> States:
    copy, row = _copied(states), np.zeros(1, np.int32)
    game.step(copy, row, np.array([action], np.int32), row)
    return copy


def _copied(states: States) -> States:
    return states._replace(**{name: array.copy() for name, array in states._asdict().items()})
