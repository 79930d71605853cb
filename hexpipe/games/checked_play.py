"""`Game.play` for every game: moves from the start one by one, each checked by the rules before it is played."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hexpipe.errors import IllegalMoveError, Kind
from hexpipe.games.board_moves import move_name, moves_of_actions
from hexpipe.games.game_env import ONGOING, Game, States


def checked_play(
    game: Game,
    moves: Sequence[int],
    why_illegal: Callable[[States, int], str] = lambda states, action: "",
    states: States | None = None,
) -> States:
    """Return one row after ``moves``, played in row 0 of ``states``, by default of the initial position.

    IllegalMoveError names the first move that is not legal, and why. ``why_illegal(states, action)`` explains a move
    that is not legal in row 0, or no action of the game, in the game's own words; an empty text leaves it to the
    general ones.
    """
    states, row = game.new_states(1) if states is None else states, np.zeros(1, np.int32)
    legal = np.zeros((1, game.num_actions), np.bool_)
    for number, action in enumerate(moves, start=1):
        game.legal_mask(states, row, legal)
        known = 0 <= action < game.num_actions
        if not known or not legal[0, action]:
            move = int(moves_of_actions(game, np.array([action], np.int32), states.origin)[0]) if known else -1
            name = f"action {action}" if known else str(action)
            if move >= 0:
                name = move_name(game, move, int(states.to_move[0]))
            kind, words = _why_illegal(game, states, action, move)
            if own := why_illegal(states, action):
                kind, words = "over" if kind == "over" else "rule", own
            raise IllegalMoveError(f"move {number} ({name}) is illegal: {words}", kind=kind, move=number)
        game.step(states, row, np.array([action], np.int32), row)
    return states


def _why_illegal(game: Game, states: States, action: int, move: int) -> tuple[Kind, str]:
    winner, cells = int(states.winner[0]), states.cells[0]
    if winner != ONGOING:
        draw = winner == game.num_seats
        return "over", "the game has ended in a draw" if draw else f"seat {winner} has already won"
    if not 0 <= action < game.num_actions:
        return "coordinate", f"actions of this game are 0 to {game.num_actions - 1}"
    if move < 0:
        return "coordinate", "it is off the board"
    taken = move < len(cells) and cells[move]
    return ("occupied", "the cell is taken") if taken else ("rule", "the rules forbid it now")
