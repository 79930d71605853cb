"""Thinkers for tests: a net that answers by a hash of the position, at once and everywhere the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hexpipe.arena.analysis import Analysis, analyse
from hexpipe.arena.thinker import NetThinker
from hexpipe.bench.replay import HashEvaluator
from hexpipe.config import SearchSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.set_up import Position, checked_position


class HashEngine:
    """What a thinker asks of `arena.engine.Engine`, without a checkpoint; notes what it was asked."""

    learned = False

    def __init__(self, board_size: int, swap: bool, make_game: Callable[[int, bool], Game] = Hex) -> None:
        self.game = make_game(board_size, swap)
        self.asked: list[tuple[int | None, float | None]] = []

    def analyse(
        self,
        positions: Sequence[Position],
        simulations: int | None = None,
        seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Analysis]:
        self.asked.append((simulations, seconds))
        for position in positions:
            checked_position(self.game, position)  # every move is legal
        settings = SearchSettings(num_simulations=simulations or 24, leaves_per_game=1)
        return analyse(self.game, positions, HashEvaluator(self.game, 1), settings, seconds=seconds, stop=stop)


def hash_thinker(simulations: int | None = None, seconds: float | None = None) -> NetThinker:
    return NetThinker(HashEngine, simulations, seconds)  # type: ignore[arg-type]
