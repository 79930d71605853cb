"""`hexpipe bench rules`: random playouts of a game on one core, the winner looked for at every move."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from hexpipe.bench.options import Figures
from hexpipe.config import load_settings
from hexpipe.config.game import BOARDS
from hexpipe.games.playouts import random_playouts

ROWS = 64
_SLICE_SECONDS = 0.05


def run(
    seconds: Annotated[float, "how long to measure"] = 5.0,
    size: Annotated[int | None, "cells along a side of the board; 11, or the game's own, unless given"] = None,
    game: Annotated[Literal["hex", "inarow", "connect4", "othello", "breakthrough", "go"], "the game"] = "hex",
    players: Annotated[int, "players of n in a row"] = 2,
    win_length: Annotated[
        int | None, "stones in a row that win; 5, or the size where that is less, unless given"
    ] = None,
) -> Figures:
    """Play uniformly random games to their end with the rules' own kernel, one after the other on one core.

    Each move of Hex places a stone, joins it to its neighbours (union-find) and asks for the winner; each of n in a row
    is drawn from the local view, measures the chains through its stone and counts it in the thumbnail; each of Connect
    Four drops a stone and looks along its lines; each of Othello turns discs over and finds the next moves; one of
    Breakthrough is drawn until a piece can go there; each of Go, a pass too, counts the liberties of the chains it
    touches and is no repetition. A game ends at the move that decides it. The copy of the first position that starts
    each game is counted in. Keys: moves_per_s, playouts_per_s, moves_per_game, first_player_wins (a share).
    """
    rules = {"game.name": game, "game.players": players, "game.win_length": win_length}
    if size is not None or game not in BOARDS:
        rules["game.board_size"] = 11 if size is None else size
    settings = load_settings(overrides=rules)
    playouts = random_playouts(settings.game, ROWS)
    playouts(0, 1)  # compiles
    repeats, seed = 1, 1
    moves = wins = games = 0
    elapsed = 0.0
    while not games or elapsed < seconds:
        started = time.perf_counter()
        played, won = playouts(seed, repeats)
        took = time.perf_counter() - started
        moves, wins, games = moves + int(played), wins + int(won), games + repeats * ROWS
        elapsed += took
        seed += 1
        if took < _SLICE_SECONDS:
            repeats *= 2
    return {
        "moves_per_s": moves / elapsed,
        "playouts_per_s": games / elapsed,
        "moves_per_game": moves / games,
        "first_player_wins": wins / games,
    }
