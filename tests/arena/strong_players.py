"""Players that know more than a random one does, to hold nets against: one that sees a ply, and perfect play."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.board_moves import after_moves, legal_moves, moves_of_actions, play_moves, view_centres
from hexpipe.games.game_env import ONGOING, Game, States, moves_view
from hexpipe.random_streams import Stream, generator

Moves = Sequence[int]


class TacticalPlayer:
    """Wins if it can, else takes the move by which the next seat that could win at once would; else plays at random,
    around the last stone where the board is larger than a view."""

    def __init__(self, game: Game, seed: int, number: int = 0) -> None:
        self._game, self._rng = game, generator(Stream.PLAYER, seed, number)
        self._room = game.new_states(1 + game.num_actions)  # a position, and those after each of its actions

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        return np.array([self._one(after_moves(self._game, position)) for position in positions], np.int32)

    def _one(self, states: States) -> int:
        mover = int(states.to_move[0])
        for ahead in range(self._game.num_seats):
            winning = self._winning(states, (mover + ahead) % self._game.num_seats)
            if winning:
                return int(self._rng.choice(winning))
        actions = self._legal(states)
        return int(self._rng.choice(moves_of_actions(self._game, actions, states.origin)))

    def _winning(self, states: States, seat: int) -> list[int]:
        """The moves of the whole board by which ``seat`` would win, if it were its turn."""
        game, room, first, winning = self._game, self._room, np.zeros(1, np.int32), set[int]()
        for name, array in room._asdict().items():
            array[0] = getattr(states, name)[0]
        room.to_move[0] = seat
        room.view[0] = (int(states.view[0]) + seat - int(states.to_move[0])) % game.num_views
        for centre in view_centres(game):
            if moves_view(game):
                game.place_views(room, first, np.array([centre], np.int32))
            actions = self._legal(room)
            after = np.arange(1, 1 + len(actions), dtype=np.int32)
            game.step(room, np.zeros_like(after), actions, after)
            wins = actions[room.winner[after] == seat]
            winning.update(moves_of_actions(game, wins, room.origin[:1]).tolist())
        return sorted(winning)

    def _legal(self, states: States) -> NDArray[np.int32]:
        """The legal actions of the first row, in its view."""
        legal = np.zeros((1, self._game.num_actions), np.bool_)
        self._game.legal_mask(states, np.zeros(1, np.int32), legal)
        return np.flatnonzero(legal[0]).astype(np.int32)


class PerfectPlayer:
    """Plays at random among the best moves, found by trying everything once: for games of some thousand positions."""

    def __init__(self, game: Game, seed: int, number: int = 0) -> None:
        self._game, self._rng = game, generator(Stream.PLAYER, seed, number)
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def choose(self, positions: Sequence[Moves]) -> NDArray[np.int32]:
        return np.array([self._rng.choice(self.best_actions(position)) for position in positions], np.int32)

    def best_actions(self, position: Moves) -> list[int]:
        """All moves of the best value for the seat to move."""
        states = after_moves(self._game, position)
        seat = int(states.to_move[0])
        legal = legal_moves(self._game, states).tolist()
        worth = {move: float(self._value(_after(self._game, states, move))[seat]) for move in legal}
        return [move for move, value in worth.items() if value == max(worth.values())]

    def value(self, position: Moves) -> NDArray[np.float32]:
        """What ``position`` is worth to each seat, float32 [S], when every seat plays for itself."""
        return self._value(after_moves(self._game, position))

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
        values = [self._value(_after(self._game, states, move)) for move in legal_moves(self._game, states).tolist()]
        return max(values, key=lambda value: float(value[seat]))


def _after(game: Game, states: States, move: int) -> States:
    copy = states._replace(**{name: array.copy() for name, array in states._asdict().items()})
    play_moves(game, copy, np.zeros(1, np.int32), np.array([move], np.int32))
    return copy
