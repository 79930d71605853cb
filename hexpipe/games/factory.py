"""From settings to a game."""

from __future__ import annotations

from hexpipe.config import GameSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex


def make_game(settings: GameSettings) -> Game:
    """The game that ``settings`` describe."""
    return Hex(settings.board_size, settings.swap)
