"""Games of one's own: a class that is named ``package.module:Class`` and keeps to `game_env.Game`.

A name stands in settings, and settings lie in run folders and checkpoints, which may be a stranger's. So a module is
imported only when a person names it, on the command line or in a program of their own (`import_game`); to make a game
never imports anything, and calls nothing that is not a game.
"""

from __future__ import annotations

import importlib
import sys

from hexpipe.config import GameSettings
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
        raise SettingsError(
            f"the game {settings.name} cannot be imported ({error}): install its package, or put the folder that "
            f"{module.split('.')[0]} is in on PYTHONPATH"
        ) from error


def make_own_game(settings: GameSettings, module_name: str, class_name: str) -> Game:
    """The game that ``class_name`` of ``module_name`` makes of ``settings``; SettingsError if the module has not been
    imported, or the class is no game. What the class itself raises goes through."""
    module = sys.modules.get(module_name)
    if module is None:
        raise SettingsError(
            f"the game {settings.name} is not one of hexpipe's, and a file alone makes hexpipe import nothing: if you "
            f"trust it, name it too, with --game {settings.name} (in a program: import {module_name})"
        )
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type):
        raise SettingsError(f"{module_name} ({module.__file__}) has no class {class_name}: correct game.name")
    unwritten: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    for method in _parts(Game, methods=True):
        if method in unwritten or not callable(getattr(kind, method, None)):
            raise SettingsError(f"{settings.name} is no game: it has no method {method}; {_PAGE}")
    game: Game = kind(settings)
    _require_parts(game, _parts(Game, methods=False), settings)
    if moves_view(game) or tells_threats(game):
        _require_parts(game, _parts(LocalViewGame, methods=False) + _parts(LocalViewGame, methods=True), settings)
    if game.name != settings.name:
        raise SettingsError(f"{settings.name} calls itself {game.name!r}: its name must be the one in its settings")
    return game


def _require_parts(game: Game, names: list[str], settings: GameSettings) -> None:
    for name in names:
        if not hasattr(game, name):
            raise SettingsError(f"{settings.name} is no game: it has no attribute {name}; {_PAGE}")


def _parts(protocol: type, methods: bool) -> list[str]:
    """The names of the ``protocol``'s own methods, or of its attributes."""
    members = vars(protocol).items()
    return [name for name, part in members if not name.startswith("_") and methods is not isinstance(part, property)]
