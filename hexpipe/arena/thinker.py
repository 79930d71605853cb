"""Thinkers about one position at a time, on boards of any size, within a time: a net, or chance."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hexpipe.arena.analysis import Analysis, MoveAnalysis
from hexpipe.games.board_moves import legal_moves
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.set_up import Position, checked_position
from hexpipe.random_streams import Stream, generator

if TYPE_CHECKING:  # it brings torch, which chance does not need
    from hexpipe.arena.engine import Engine

_TREE_BYTES = 400 * 10**6
_FIRST_SIMULATIONS = 64
_ROOM = 2.0  # trees have room for so many times the simulations that the last search would have done in the time


class Thinker(Protocol):
    """Thinks about positions of the board that it was prepared for."""

    def prepare(self, board_size: int, swap: bool) -> None:
        """Make ready for a board of ``board_size`` cells a side, with the swap rule or not, so that no clock waits."""

    def think(self, position: Position, seconds: float | None = None) -> Analysis:
        """Return what to do in ``position``, which must be legal and not over; for ``seconds`` at the most."""


class NetThinker:
    """A net with a PUCT search.

    ``make_engine`` makes the engine for a board size and swap. A position is given ``simulations``, those of the
    checkpoint's run unless given, and ``seconds``; where there is a limit of time and no ``simulations`` were asked
    for, the time alone decides. It ends, with what it has found, once ``stop`` says so.
    """

    def __init__(
        self,
        make_engine: Callable[[int, bool], Engine],
        simulations: int | None = None,
        seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._make_engine = make_engine
        self._simulations, self._seconds, self._stop = simulations, seconds, stop
        self._engine: Engine | None = None
        self._board: tuple[int, bool] | None = None
        self._per_second = 0.0

    def prepare(self, board_size: int, swap: bool) -> None:
        if self._board == (board_size, swap):
            return
        engine = self._make_engine(board_size, swap)
        simulations = self._simulations if engine.learned else _FIRST_SIMULATIONS
        engine.analyse([[]], simulations)  # what is made, loaded and compiled late
        (analysis,) = engine.analyse([[]], simulations)
        self._engine, self._board = engine, (board_size, swap)
        self._per_second = analysis.simulations / max(analysis.seconds, 1e-3)

    def think(self, position: Position, seconds: float | None = None) -> Analysis:
        if self._engine is None:
            raise ValueError("prepare the thinker for a board first")
        limits = [limit for limit in (seconds, self._seconds) if limit is not None]
        budget = min(limits, default=None)
        (analysis,) = self._engine.analyse([position], self._room_for(self._engine, budget), budget, self._stop)
        if analysis.simulations >= _FIRST_SIMULATIONS:
            self._per_second = analysis.simulations / max(analysis.seconds, 1e-3)
        return analysis

    def _room_for(self, engine: Engine, budget: float | None) -> int | None:
        """Return simulations to ask for, which the trees are made for: None for the run's own number."""
        if budget is None or engine.learned:
            return self._simulations
        bytes_each = 2 * (7 * engine.game.num_actions + 100)  # a node with its state, and the room of a kept subtree
        most = min(_TREE_BYTES // bytes_each, self._simulations or _TREE_BYTES)
        return int(min(most, max(_FIRST_SIMULATIONS, _ROOM * budget * self._per_second)))


class RandomThinker:
    """Every legal move alike, to try controllers with; ``seed`` and ``game`` say which moves it is, ``make_game`` makes
    the rules for a board size and swap."""

    def __init__(self, seed: int, game: int = 0, make_game: Callable[[int, bool], Game] = Hex) -> None:
        self._rng = generator(Stream.PLAYER, seed, *([game] if game else []))
        self._make_game = make_game
        self._game: Game = Hex(3)

    def prepare(self, board_size: int, swap: bool) -> None:
        self._game = self._make_game(board_size, swap)

    def think(self, position: Position, seconds: float | None = None) -> Analysis:
        began = time.monotonic()
        states = checked_position(self._game, position)
        legal = legal_moves(self._game, states).tolist()
        priors = dict.fromkeys(legal, 1 / len(legal))
        nothing = np.zeros(self._game.num_seats, np.float32)
        action = int(self._rng.choice(legal))
        move = MoveAnalysis(action, 0, 1 / len(legal), 0.0, False, (action,))
        took = time.monotonic() - began
        return Analysis(int(states.to_move[0]), nothing, nothing, priors, (move,), 0, False, took)
