"""hexpipe's games beside OpenSpiel's: which one is the same game, and how its actions are numbered there.

So OpenSpiel's players can play against nets, and its rules be held against these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hexpipe.config.breakthrough_options import usual_rows_of_pieces
from hexpipe.errors import SettingsError
from hexpipe.games.breakthrough.rules import Breakthrough
from hexpipe.games.connect4.rules import ConnectFour
from hexpipe.games.game_env import Game
from hexpipe.games.go.rules import Go
from hexpipe.games.hex import Hex
from hexpipe.games.openspiel.loading import load_spiel_game
from hexpipe.games.openspiel.rules import OpenSpiel
from hexpipe.games.othello.rules import Othello

_OTHELLO_SIZE = 8


class Twin(NamedTuple):
    """A ``pyspiel.Game``, and the functions that turn, in a state of its, an action of ours into one of its, or None
    where it has none for it, and one of its into ours."""

    spiel: Any
    theirs: Callable[[Any, int], int | None]
    ours: Callable[[Any, int], int]


def twin_of(game: Game) -> Twin:
    """Return OpenSpiel's game that is the same as ``game``; SettingsError where there is none, or no OpenSpiel."""
    if isinstance(game, OpenSpiel):
        unknown = game.pass_action
        return Twin(
            game.spiel, lambda state, action: None if action == unknown else action, lambda state, action: action
        )
    if isinstance(game, ConnectFour):
        width, height = game.board_width, game.board_size
        spiel = load_spiel_game(f"connect_four(rows={height},columns={width})")

        def landing(state: Any, column: int) -> int:
            played: int = sum(column == one for one in state.history())
            return (height - 1 - played) * width + column

        return Twin(spiel, lambda state, action: action % width, landing)
    if isinstance(game, Othello) and game.board_size == _OTHELLO_SIZE:
        return _same("othello")
    if isinstance(game, Hex) and not game.swap:
        return _same(f"hex(board_size={game.board_size})")
    if isinstance(game, Go):  # its rows count from below, which is the same game
        return _same(f"go(board_size={game.board_size},komi={float(game.komi)})")
    if isinstance(game, Breakthrough) and game.piece_rows == usual_rows_of_pieces(game.board_size):
        return _breakthrough(game)
    words = f"OpenSpiel has no game that is the same as {game.name} on this board: take random, or a net"
    raise SettingsError(words, kind="foreign", setting="game.name")


def _same(name: str) -> Twin:
    return Twin(load_spiel_game(name), lambda state, action: action, lambda state, action: action)


def _breakthrough(game: Breakthrough) -> Twin:
    """Return the twin whose actions are ``((cell * 6 + direction) * 2 + takes)``: three directions of each player."""
    rows, columns = game.board_size, game.board_width

    def theirs(state: Any, action: int) -> int:
        seat: int = state.current_player()
        cells = game.move_cells(action, seat)
        if cells is None:
            raise ValueError(f"action {action} leaves the board")
        source, target = cells
        plain = (source * 6 + 3 * seat + target % columns - source % columns + 1) * 2
        return plain if plain in state.legal_actions() else plain + 1

    def ours(state: Any, action: int) -> int:
        source, beside = action // 12, action // 2 % 3 - 1
        if state.current_player():  # an action of ours is known by the upper of its two cells
            return (1 - beside) * rows * columns + source - columns + beside
        return (1 + beside) * rows * columns + source

    return Twin(load_spiel_game(f"breakthrough(rows={rows},columns={columns})"), theirs, ours)
