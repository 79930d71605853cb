"""Moves of the whole board, independent of the views in which they were played.

A *move* is a board cell, or ``cells + k`` for the k-th action that is no cell. Where the view is the whole board moves
are actions, of which a game may have several a cell; otherwise an action determines a cell only together with a view.

Names are those of a seat, because pieces of different seats may go different ways by the same action; where moves place
stones any seat will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hexpipe.errors import IllegalMoveError, Kind
from hexpipe.games.game_env import ONGOING, Game, Int32Array, IntArray, States, moves_pieces, moves_view
from hexpipe.games.local_view import LocalView


def play_moves(game: Game, states: States, rows: IntArray, moves: IntArray) -> None:
    """Play ``moves`` int [L] in ``rows`` int [L]; legality is not checked. Movable views are put around the moves."""
    if moves_view(game):
        game.place_views(states, rows, moves)
    game.step(states, rows, actions_of_moves(game, moves, states.origin[rows]), rows)


def actions_of_moves(game: Game, moves: IntArray, origins: IntArray) -> Int32Array:
    """Return the actions int32 [L] that play ``moves`` [L] in views at ``origins`` (`local_view`) that contain them."""
    view = LocalView.of(game)
    return np.asarray(moves, np.int32) if view.is_board else view.actions_of_cells(moves, origins)


def moves_of_actions(game: Game, actions: IntArray, origins: IntArray) -> Int32Array:
    """Convert ``actions`` [L] in the views at ``origins`` (`local_view`) to moves int32 [L]."""
    view = LocalView.of(game)
    return np.asarray(actions, np.int32) if view.is_board else view.cells_of_actions(actions, origins)


def after_moves(game: Game, moves: Sequence[int]) -> States:
    """Return one row after ``moves`` from the start; legality is not checked. A movable view is around the last of
    them."""
    states, row = game.new_states(1), np.zeros(1, np.int32)
    for move in moves:
        play_moves(game, states, row, np.array([move], np.int32))
    return states


def view_centres(game: Game) -> Int32Array:
    """Return cells int32 [k] such that views around them together show the whole board; one for a fixed view."""
    n, v = game.board_size, game.shapes.view_size
    if not moves_view(game):
        return np.full(1, -1, np.int32)
    middles = np.minimum(np.arange(0, n, v) + v // 2, n - 1)
    return (middles[:, None] * n + middles).astype(np.int32).ravel()


def legal_moves(game: Game, states: States) -> Int32Array:
    """Return all legal moves of a single row on the whole board, in rising order: int32 [k]."""
    if moves_view(game):  # any empty cell can be brought into view
        empty = states.cells[0] == 0 if states.winner[0] == ONGOING else np.zeros(0, np.bool_)
        return np.flatnonzero(empty).astype(np.int32)
    legal = np.zeros((1, game.num_actions), np.bool_)
    game.legal_mask(states, np.zeros(1, np.int32), legal)
    actions = np.flatnonzero(legal[0])
    return moves_of_actions(game, actions, states.origin[:1])


def move_name(game: Game, move: int, seat: int = 0) -> str:
    """Return the name of ``move`` where ``seat`` plays it: "c3", "swap", "a2a3"."""
    if moves_pieces(game):
        return game.move_name(move, seat)
    if LocalView.of(game).is_board:
        return game.action_name(move)
    cells = game.shapes.board_cells
    return game.cell_name(move) if move < cells else game.action_name(game.shapes.view_cells + move - cells)


def move_names(game: Game, moves: Iterable[int], seat: int = 0) -> list[str]:
    """Return the names of ``moves`` that seats play in turn, ``seat`` the first."""
    return [move_name(game, move, (seat + ply) % game.num_seats) for ply, move in enumerate(moves)]


def last_cell(game: Game, move: int, seat: int) -> int:
    """Return the cell of the stone or piece that ``seat`` places or moves by ``move``, -1 if there is none."""
    if moves_pieces(game):
        cells = game.move_cells(move, seat)
        return -1 if cells is None else cells[1]
    return move if game.shapes.cell_actions and move < game.shapes.board_cells else -1


def parse_moves(game: Game, words: Iterable[str], seat: int = 0) -> list[int]:
    """Return the moves that ``words`` name, which seats play in turn, ``seat`` the first; NotationError like
    `parse_move`."""
    return [parse_move(game, word, (seat + ply) % game.num_seats) for ply, word in enumerate(words)]


def parse_move(game: Game, text: str, seat: int = 0) -> int:
    """Return the move of ``seat`` that ``text`` names; NotationError if this game has no such move."""
    if moves_pieces(game):
        return game.parse_move(text, seat)
    return game.parse_action(text) if LocalView.of(game).is_board else game.parse_cell(text)


def checked_moves(game: Game, moves: Sequence[int]) -> States:
    """Return one row after ``moves``; IllegalMoveError names the first that is not legal, and why."""
    if LocalView.of(game).is_board:
        return game.play(moves)
    states, row = game.new_states(1), np.zeros(1, np.int32)
    for number, move in enumerate(moves, start=1):
        if move not in legal_moves(game, states):
            over = states.winner[0] != ONGOING
            why: tuple[Kind, str] = ("over", "the game is over") if over else ("coordinate", "no cell")
            if not over and 0 <= move < game.board_size**2:
                why = "occupied", "the cell is taken"
            words = f"move {number} ({move_name(game, move)}) is illegal: {why[1]}"
            raise IllegalMoveError(words, kind=why[0], move=number)
        play_moves(game, states, row, np.array([move], np.int32))
    return states
