"""Construction of a game, or of all games of a curriculum, from settings."""

from __future__ import annotations

from collections.abc import Callable

from hexpipe.config import (
    BreakthroughOptions,
    ConnectFourOptions,
    GameSettings,
    GoOptions,
    OpenSpielOptions,
    OthelloOptions,
    Settings,
)
from hexpipe.config.openspiel_options import openspiel_name
from hexpipe.games.breakthrough.rules import Breakthrough
from hexpipe.games.connect4.rules import ConnectFour
from hexpipe.games.game_env import Game
from hexpipe.games.go.rules import Go
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.othello.rules import Othello
from hexpipe.games.own_games import make_own_game

_GAMES: dict[str, Callable[[GameSettings], Game]] = {
    Hex.name: lambda settings: Hex(settings.board_size, settings.swap),
    InARow.name: InARow,
    ConnectFour.name: lambda settings: ConnectFour(settings.options(ConnectFourOptions)),
    Othello.name: lambda settings: Othello(settings.options(OthelloOptions)),
    Breakthrough.name: lambda settings: Breakthrough(settings.options(BreakthroughOptions)),
    Go.name: lambda settings: Go(settings.options(GoOptions)),
}


def make_game(settings: GameSettings) -> Game:
    """Make the game that ``settings`` describe; SettingsError for a user-defined one that is unavailable.

    Such a game must have been imported: see `own_games.import_game`.
    """
    if settings.own_class is not None:
        return make_own_game(settings)
    if openspiel_name(settings.name) is not None:
        from hexpipe.games.openspiel.rules import OpenSpiel  # of an extra

        return OpenSpiel(settings.options(OpenSpielOptions))
    return _GAMES[settings.name](settings)


def plays_hex(settings: GameSettings) -> bool:
    """Return whether tools for Hex alone, such as its solver and its notations, can be used."""
    return settings.name == Hex.name


def make_stages(settings: Settings) -> tuple[Game, ...]:
    """Make the games of a run's curriculum in order; without one its game alone."""
    return tuple(make_game(stage) for stage in settings.stages)


def make_games_of_net(settings: Settings) -> tuple[Game, ...]:
    """Make the games that are the same for a net: all stages, or the one of these settings where a run plays in
    legs."""
    return (make_game(settings.game),) if settings.plays_in_legs else make_stages(settings)
