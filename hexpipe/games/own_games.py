"""User-defined games: a class that is named ``package.module:Class`` and implements `game_env.Game`.

The name is in settings, which may come in a stranger's run folder or checkpoint. So a module is imported only if the
user names it, on the command line or in a program (`import_game`); making a game never imports anything, and only calls
classes that are games.
"""

from __future__ import annotations

import importlib
import sys

from hexpipe.config import GameOptions, GameSettings, Settings, override_settings
from hexpipe.errors import SettingsError
from hexpipe.games.game_env import Game, LocalViewGame, moves_view, tells_threats

_PAGE = "hexpipe/games/README.md says what a game must have"


def import_game(settings: GameSettings) -> None:
    """Import the module of a user-defined game; do nothing for hexpipe's own games.

    This runs the module's code: call it for names that the user gave, not for those in a file. SettingsError if the
    module cannot be found; its own errors propagate.
    """
    if settings.own_class is None:
        return
    module = settings.own_class[0]
    try:
        importlib.import_module(module)
    except ImportError as error:
        words = (
            f"the game {settings.name} cannot be imported ({error}): install its package, or put the folder that "
            f"{module.split('.')[0]} is in on PYTHONPATH"
        )
        raise SettingsError(words, kind="missing", setting="game.name") from error


def options_model(settings: GameSettings) -> type[GameOptions]:
    """Return the model of the options of the game that ``settings`` name.

    For a user-defined one that is its class's ``Options``, or GameSettings if it has none. SettingsError if the class
    is unavailable.
    """
    if settings.own_class is None:
        return settings.model
    model = getattr(_own_class(settings), "Options", None)
    return model if isinstance(model, type) and issubclass(model, GameOptions) else GameSettings


def with_all_options(settings: Settings) -> Settings:
    """Return ``settings`` with every option of its game, also unset ones, as a run keeps them.

    The game must be one of hexpipe's or imported. SettingsError for an invalid option.
    """
    options = settings.game.options(options_model(settings.game)).model_dump(mode="json")
    return override_settings(settings, {f"game.{name}": value for name, value in options.items()})


def make_own_game(settings: GameSettings) -> Game:
    """Make the user-defined game that ``settings`` name, from its options, or from all settings if it has no model.

    SettingsError if its module has not been imported, the class is no game, or an option is unknown. Errors of the
    class itself propagate.
    """
    kind, model = _own_class(settings), options_model(settings)
    unwritten: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    for method in _parts(Game, methods=True):
        if method in unwritten or not callable(getattr(kind, method, None)):
            raise SettingsError(
                f"{settings.name} is no game: it has no method {method}; {_PAGE}", kind="type", setting="game.name"
            )
    game: Game = kind(settings.options(model))
    _require_parts(game, _parts(Game, methods=False), settings)
    if moves_view(game) or tells_threats(game):
        _require_parts(game, _parts(LocalViewGame, methods=False) + _parts(LocalViewGame, methods=True), settings)
    if game.shapes.board_width != settings.board[1]:
        words = f"game.board_width: {settings.name} has {game.shapes.board_width} columns on that board, leave it unset"
        raise SettingsError(words, kind="conflict", setting="game.board_width")
    if game.name != settings.name:
        words = f"{settings.name} calls itself {game.name!r}: its name must be the one in its settings"
        raise SettingsError(words, kind="conflict", setting="game.name")
    return game


def _own_class(settings: GameSettings) -> type:
    """Return the class that ``settings`` name; SettingsError if its module has not been imported, or lacks it."""
    if settings.own_class is None:
        raise ValueError(f"{settings.name} is a game of hexpipe's own")
    module_name, class_name = settings.own_class
    module = sys.modules.get(module_name)
    if module is None:
        words = (
            f"the game {settings.name} is not one of hexpipe's, and a file alone makes hexpipe import nothing: if you "
            f"trust it, name it too, with --game {settings.name} (in a program: import {module_name})"
        )
        raise SettingsError(words, kind="unknown", setting="game.name")
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type):
        words = f"{module_name} ({module.__file__}) has no class {class_name}: correct game.name"
        raise SettingsError(words, kind="unknown", setting="game.name")
    return kind


def _require_parts(game: Game, names: list[str], settings: GameSettings) -> None:
    for name in names:
        if not hasattr(game, name):
            raise SettingsError(
                f"{settings.name} is no game: it has no attribute {name}; {_PAGE}", kind="type", setting="game.name"
            )


def _parts(protocol: type, methods: bool) -> list[str]:
    """Return the names of the ``protocol``'s own ``methods``, or of its attributes."""
    members = vars(protocol).items()
    return [name for name, part in members if not name.startswith("_") and methods is not isinstance(part, property)]
