"""Uniformly random games by the rules' own kernels, many at a time: a benchmark of the rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import GameSettings
from hexpipe.errors import SettingsError
from hexpipe.games import hex_kernels, inarow_kernels
from hexpipe.games.breakthrough import rule_kernels as breakthrough_kernels
from hexpipe.games.breakthrough.rules import Breakthrough
from hexpipe.games.connect4 import rule_kernels as connect4_kernels
from hexpipe.games.connect4.rules import ConnectFour
from hexpipe.games.factory import make_game
from hexpipe.games.go import rule_kernels as go_kernels
from hexpipe.games.go.rules import Go
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.othello import rule_kernels as othello_kernels
from hexpipe.games.othello.rules import Othello

Playouts = Callable[[int, int], NDArray[np.int64]]
"""playouts(seed, repeats): moves played and wins of the first player in ``repeats`` batches of games, int64 [2]."""


def random_playouts(settings: GameSettings, games: int) -> Playouts:
    """Return playouts of ``games`` games at a time. SettingsError for a game whose rules have no such kernel."""
    game = make_game(settings)
    states = game.new_states(games + 1)
    if isinstance(game, Hex):
        n = game.board_size
        order = np.zeros(n * n, np.int16)
        return lambda seed, repeats: hex_kernels.random_playouts(states, seed, repeats, n, order)
    if isinstance(game, InARow) and settings.row_rule == "free":
        rules = game.rules
        return lambda seed, repeats: inarow_kernels.random_playouts(states, seed, repeats, rules)
    if isinstance(game, ConnectFour):
        columns = game.board_width
        return lambda seed, repeats: connect4_kernels.random_playouts(states, seed, repeats, columns)
    if isinstance(game, Othello):
        board = game.board
        return lambda seed, repeats: othello_kernels.random_playouts(states, seed, repeats, board)
    if isinstance(game, Breakthrough):
        columns = game.board_width
        return lambda seed, repeats: breakthrough_kernels.random_playouts(states, seed, repeats, columns)
    if isinstance(game, Go):
        points, desk = game.board, game.desk()
        return lambda seed, repeats: go_kernels.random_playouts(states, seed, repeats, points, desk)
    raise SettingsError(
        f"{settings.title} has no kernel that plays whole games: take hex, inarow with free rows, connect4, othello, "
        "breakthrough or go",
        kind="foreign",
        setting="game.name",
    )
