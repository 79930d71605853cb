"""From settings to a game, or to all the games of a curriculum."""

from __future__ import annotations

from hexpipe.config import GameSettings, Settings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.own_games import make_own_game


def make_game(settings: GameSettings) -> Game:
    """The game that ``settings`` describe; SettingsError where it is one of the user's own and cannot be had.

    Such a game must have been imported: see `own_games.import_game`.
    """
    if settings.own_class is not None:
        return make_own_game(settings)
    return InARow(settings) if settings.name == InARow.name else Hex(settings.board_size, settings.swap)


def plays_hex(settings: GameSettings) -> bool:
    """Whether what is made for Hex alone, as its solver and its notations are, can be used."""
    return settings.name == Hex.name


def make_stages(settings: Settings) -> tuple[Game, ...]:
    """The games of a run's curriculum in order; of a run without one its game alone. A net sees all of them alike."""
    return tuple(make_game(stage) for stage in settings.stages)
