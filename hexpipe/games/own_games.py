"""Games of one's own: a class that is named ``package.module:Class`` and keeps to `game_env.Game`.

A name stands in settings, and settings lie in run folders and checkpoints, which may be a stranger's. So a module is
imported only when a person names it, on the command line or in a program of their own (`import_game`); to make a game
never imports anything, and calls nothing that is not a game.
"""

from __future__ import annotations

import importlib
import sys

from hexpipe.config import GameOptions, GameSettings, Settings, override_settings
from hexpipe.errors import SettingsError
from hexpipe.games.game_env import Game, LocalViewGame, moves_view, tells_threats

_PAGE = "hexpipe/games/README.md says what a game must have"


def import_game(settings: GameSettings) -> None:
    """Import the module of the game that a person has named; of hexpipe's own games nothing.

    This runs the module's code: call it for names that the user gave, not for those that a file holds. SettingsError
    if the module cannot be found; its own errors go through.
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
    """The model of the options of the game that ``settings`` name; of one's own its class's ``Options``, or
    GameSettings where it has none. SettingsError where the class cannot be had."""
    if settings.own_class is None:
        return settings.model
    model = getattr(_own_class(settings), "Options", None)
    return model if isinstance(model, type) and issubclass(model, GameOptions) else GameSettings


def with_all_options(settings: Settings) -> Settings:
    """``settings`` with every option of its game, which must be one of hexpipe's or imported: a run keeps those that
    were not set, too. SettingsError where an option cannot be."""
    options = settings.game.options(options_model(settings.game)).model_dump(mode="json")
    return override_settings(settings, {f"game.{name}": value for name, value in options.items()})


def make_own_game(settings: GameSettings) -> Game:
    """The game of one's own that ``settings`` name, made of its options, or of all settings where it has no model.

    SettingsError if its module has not been imported, the class is no game, or an option is not its. What the class
    itself raises goes through.
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
    if game.name != settings.name:
        words = f"{settings.name} calls itself {game.name!r}: its name must be the one in its settings"
        raise SettingsError(words, kind="conflict", setting="game.name")
    return game


def _own_class(settings: GameSettings) -> type:
    """The class that ``settings`` name; SettingsError if its module has not been imported, or has no such class."""
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
    """The names of the ``protocol``'s own methods, or of its attributes."""
    members = vars(protocol).items()
    return [name for name, part in members if not name.startswith("_") and methods is not isinstance(part, property)]
