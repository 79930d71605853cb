"""Games between players, all of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.players import FORFEIT, RESIGN, Player
from hexpipe.games.board_moves import play_moves
from hexpipe.games.game_env import ONGOING, Game

PLAYED_OUT, RESIGNED, FORFEITED = 0, 1, 2
"""How a game ended: by its rules, because the loser gave up, or because the loser could not go on."""


class MatchGames(NamedTuple):
    """Results of k games: ``outcomes`` float32 [k, S] by seat, ``moves`` of each, and how it was given up, int8 [k]:
    PLAYED_OUT, RESIGNED or FORFEITED."""

    outcomes: NDArray[np.float32]
    moves: list[list[int]]
    resigned: NDArray[np.int8]


def play_match(
    game: Game,
    players: Sequence[Player],
    seats: NDArray[np.int64],
    openings: Sequence[Sequence[int]] = (),
    on_progress: Callable[[int], None] = lambda done: None,
) -> MatchGames:
    """Play one game for each row of ``seats`` int [k, S], which says by number which of ``players`` sits where.

    Game i begins with the moves (`board_moves`) of ``openings[i]``, where there is one; it must not end the game. A
    player of two may RESIGN or FORFEIT. ``on_progress`` hears how many games are over.
    """
    moves = [list(openings[i]) if i < len(openings) else [] for i in range(len(seats))]
    outcomes = np.zeros((len(seats), game.num_seats), np.float32)
    resigned = np.full(len(seats), PLAYED_OUT, np.int8)
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
                for word, how in ((RESIGN, RESIGNED), (FORFEIT, FORFEITED)):
                    gave_up = mine[chosen == word]
                    resigned[gave_up] = how
                    states.winner[gave_up] = 1 - states.to_move[gave_up]
                mine, chosen = mine[chosen >= 0], chosen[chosen >= 0]
                play_moves(game, states, mine, chosen)
                for g, move in zip(mine.tolist(), chosen.tolist(), strict=True):
                    moves[g].append(move)
        on_progress(int((states.winner != ONGOING).sum()))
    game.terminal_values(states, everyone, outcomes)
    return MatchGames(outcomes, moves, resigned)
