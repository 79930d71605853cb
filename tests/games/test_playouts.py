"""Random games of the kernels: as often won as counting says."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.games.own_games import import_game
from hexpipe.games.playouts import random_playouts
from tests.games.reference import has_connected
from tests.refusals import refused

GAMES, REPEATS = 200, 40


def test_black_wins_random_games_of_hex_as_often_as_random_full_boards() -> None:
    """A random game's winner is that of the board filled at random, and of nine cells black fills five."""
    n = 3
    boards = ([1 if cell in black else 2 for cell in range(n * n)] for black in combinations(range(n * n), 5))
    wins = [has_connected(tuple(board), 0, n) for board in boards]
    share = sum(wins) / len(wins)
    playouts = random_playouts(load_settings("quick", {"game.board_size": n}).game, GAMES)
    moves, won = playouts(1, REPEATS)
    count = GAMES * REPEATS
    assert abs(won / count - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert (2 * n - 1) * count <= moves <= n * n * count
    assert playouts(1, REPEATS).tolist() == [moves, won], "the seed decides"
    assert playouts(2, REPEATS).tolist() != [moves, won]


def test_the_first_wins_random_tic_tac_toe_as_often_as_it_should() -> None:
    """212,256 / 362,880 = 0.585 by counting all fillings with the moment of the first row."""
    rules = {"game.name": "inarow", "game.board_size": 3, "game.win_length": 3, "game.players": 2}
    moves, won = random_playouts(load_settings("quick", rules).game, GAMES)(1, REPEATS)
    count, share = GAMES * REPEATS, 212_256 / 362_880
    assert abs(won / count - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert 5 * count <= moves <= 9 * count


def test_a_game_without_such_a_kernel_is_refused() -> None:
    settings = load_settings("quick", {"game.name": "tests.games.drop:Drop", "game.board_size": 4}).game
    import_game(settings)
    with refused(SettingsError, kind="foreign", setting="game.name"):
        random_playouts(settings, 1)
