"""Games between players, all of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.players import Player
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.whole_board import play_moves


def play_match(
    game: Game,
    players: Sequence[Player],
    seats: NDArray[np.int64],
    openings: Sequence[Sequence[int]] = (),
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[NDArray[np.float32], list[list[int]]]:
    """Play one game for each row of ``seats`` int [k, S], which says by number which of ``players`` sits where.

    Game i begins with the moves (`whole_board`) of ``openings[i]``, where there is one; it must not end the game.
    Returns the outcomes float32 [k, S] by seat, and the moves. ``on_progress`` hears how many games are over.
    """
    moves = [list(openings[i]) if i < len(openings) else [] for i in range(len(seats))]
    outcomes = np.zeros((len(seats), game.num_seats), np.float32)
    states = game.new_states(len(seats))
    everyone = np.arange(len(seats), dtype=np.int32)
    for g, opening in enumerate(moves):
        row = everyone[g : g + 1]
        for move in opening:
            play_moves(game, states, row, np.array([move], np.int32))
    while len(going := everyone[states.winner == ONGOING]):
        to_move = seats[going, states.to_move[going]]
        for number, player in enumerate(players):
            mine = going[to_move == number]
            if len(mine):
                chosen = player.choose([moves[g] for g in mine.tolist()])
                play_moves(game, states, mine, chosen)
                for g, move in zip(mine.tolist(), chosen.tolist(), strict=True):
                    moves[g].append(move)
        on_progress(int((states.winner != ONGOING).sum()))
    game.terminal_values(states, everyone, outcomes)
    return outcomes, moves
