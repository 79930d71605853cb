"""`hexpipe bench rules`: random playouts of Hex on one core, the winner looked for at every move."""

from __future__ import annotations

import time

import numpy as np

from hexpipe.games import hex_kernels
from hexpipe.games.hex import Hex

OPTIONS = {"seconds": "how long to measure", "size": "cells along a side of the board"}

_ROWS = 64
_SLICE_SECONDS = 0.05


def run(seconds: float = 5.0, size: int = 11) -> dict[str, float | int | str]:
    """Uniformly random games to their end with the rules' own kernel, one after the other on one core.

    Each move places a stone, joins it to its neighbours (union-find) and asks for the winner; a game ends at the move
    that decides it. The copy of the empty board that starts each game is counted in. Keys: moves_per_s, moves_per_game,
    first_player_wins (a share).
    """
    states = Hex(size).new_states(_ROWS + 1)
    order = np.zeros(size * size, np.int16)
    hex_kernels.random_playouts(states, 0, 1, size, order)  # compiles
    repeats, seed = 1, 1
    moves = wins = games = 0
    elapsed = 0.0
    while not games or elapsed < seconds:
        started = time.perf_counter()
        played, won = hex_kernels.random_playouts(states, seed, repeats, size, order)
        took = time.perf_counter() - started
        moves, wins, games = moves + int(played), wins + int(won), games + repeats * _ROWS
        elapsed += took
        seed += 1
        if took < _SLICE_SECONDS:
            repeats *= 2
    return {"moves_per_s": moves / elapsed, "moves_per_game": moves / games, "first_player_wins": wins / games}
