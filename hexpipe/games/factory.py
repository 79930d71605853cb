"""From settings to a game, or to all the games of a curriculum."""

from __future__ import annotations

from hexpipe.config import GameSettings, Settings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow


def make_game(settings: GameSettings) -> Game:
    """The game that ``settings`` describe."""
    return InARow(settings) if settings.name == "inarow" else Hex(settings.board_size, settings.swap)


def make_stages(settings: Settings) -> tuple[Game, ...]:
    """The games of a run's curriculum in order; of a run without one its game alone. A net sees all of them alike."""
    return tuple(make_game(stage) for stage in settings.stages)
