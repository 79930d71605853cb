"""From settings to a game."""

from __future__ import annotations

from hexpipe.config import GameSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow


def make_game(settings: GameSettings) -> Game:
    """The game that ``settings`` describe."""
    return InARow(settings) if settings.name == "inarow" else Hex(settings.board_size, settings.swap)
