"""hexpipe's games beside OpenSpiel's: which one is the same game, and how its actions are numbered there.

So OpenSpiel's players can play against nets, and its rules be held against these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hexpipe.errors import SettingsError
from hexpipe.games.connect4.rules import ConnectFour
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.openspiel.loading import load_spiel_game
from hexpipe.games.openspiel.rules import OpenSpiel
from hexpipe.games.othello.rules import Othello

_OTHELLO_SIZE = 8


class Twin(NamedTuple):
    """A ``pyspiel.Game``, and the functions that turn an action of ours into one of its, or None where it has none for
    it, and one of its into an action of ours in a state of its."""

    spiel: Any
    theirs: Callable[[int], int | None]
    ours: Callable[[Any, int], int]


def twin_of(game: Game) -> Twin:
    """Return OpenSpiel's game that is the same as ``game``; SettingsError where there is none, or no OpenSpiel."""
    if isinstance(game, OpenSpiel):
        unknown = game.pass_action
        return Twin(game.spiel, lambda action: None if action == unknown else action, lambda state, action: action)
    if isinstance(game, ConnectFour):
        width, height = game.board_width, game.board_size
        spiel = load_spiel_game(f"connect_four(rows={height},columns={width})")

        def landing(state: Any, column: int) -> int:
            played = sum(column == one for one in state.history())
            return (height - 1 - played) * width + column

        return Twin(spiel, lambda action: action % width, landing)
    if isinstance(game, Othello) and game.board_size == _OTHELLO_SIZE:
        return _same("othello")
    if isinstance(game, Hex) and not game.swap:
        return _same(f"hex(board_size={game.board_size})")
    words = f"OpenSpiel has no game that is the same as {game.name} on this board: take random, or a net"
    raise SettingsError(words, kind="foreign", setting="game.name")


def _same(name: str) -> Twin:
    return Twin(load_spiel_game(name), lambda action: action, lambda state, action: action)
