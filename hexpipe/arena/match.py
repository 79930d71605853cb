"""Games between players, all of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.players import Player
from hexpipe.games.game_env import ONGOING, Game


def play_match(
    game: Game,
    players: Sequence[Player],
    seats: NDArray[np.int64],
    openings: Sequence[Sequence[int]] = (),
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[NDArray[np.float32], list[list[int]]]:
    """Play one game for each row of ``seats`` int [k, S], which says by number which of ``players`` sits where.

    Game i begins with the moves of ``openings[i]``, where there is one; it must not end the game. Returns the outcomes
    float32 [k, S] by seat, and the moves. ``on_progress`` hears how many games are over.
    """
    moves = [list(openings[i]) if i < len(openings) else [] for i in range(len(seats))]
    outcomes = np.zeros((len(seats), game.num_seats), np.float32)
    states = game.new_states(len(seats))
    everyone = np.arange(len(seats), dtype=np.int32)
    for g, opening in enumerate(moves):
        row = everyone[g : g + 1]
        for action in opening:
            game.step(states, row, np.array([action], np.int32), row)
    while len(going := everyone[states.winner == ONGOING]):
        to_move = seats[going, states.to_move[going]]
        for number, player in enumerate(players):
            mine = going[to_move == number]
            if len(mine):
                actions = player.choose([moves[g] for g in mine.tolist()])
                game.step(states, mine, actions, mine)
                for g, action in zip(mine.tolist(), actions.tolist(), strict=True):
                    moves[g].append(action)
        on_progress(int((states.winner != ONGOING).sum()))
    game.terminal_values(states, everyone, outcomes)
    return outcomes, moves
