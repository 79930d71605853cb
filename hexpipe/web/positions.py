"""Games as a visitor's moves: checked by the rules, told as what a page has to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hexpipe.games.board_moves import last_cell, move_name, move_names, parse_moves
from hexpipe.games.game_env import ONGOING, BoolArray, Game, States, moves_pieces
from hexpipe.games.go.rules import Go
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import COLOURS
from hexpipe.games.set_up import Position as Place
from hexpipe.games.set_up import SetUp, checked_position
from hexpipe.notation import format_conversion
from hexpipe.notation.sgf_positions import position_to_sgf


class Position:
    """The position after ``words`` ("a1", "swap") of ``game``, from stones that were set up where there is a ``start``.

    ``place`` is what a search takes. NotationError for a word that is no move and for two stones on a cell,
    IllegalMoveError for a move that the rules forbid and for stones that have won.
    """

    def __init__(self, game: Game, words: Sequence[str], start: SetUp | None = None) -> None:
        self.game, self.start = game, start
        self.moves = parse_moves(game, words)
        self.place: Place = self.moves if start is None else replace(start, moves=tuple(self.moves))
        self.states: States = checked_position(game, self.place)

    @property
    def is_over(self) -> bool:
        """True where nobody is to move."""
        return int(self.states.winner[0]) != ONGOING

    def name(self, move: int) -> str:
        """Return a ``move`` of the side to move in words."""
        return move_name(self.game, move, int(self.states.to_move[0]))

    def describe(self) -> dict[str, Any]:
        """Return what a page draws: size (rows), width, seats, moves, cells (0 empty, 1.. stones row by row), to_move
        and its colour, legal extra actions, legal steps of pieces with their two cells (null where moves place stones),
        winner (null while it goes on, -1 for a draw), outcome by seat, by how many points the winner leads (of Go, else
        null), the game in text forms, and the start that was set up (null where there is none)."""
        game, states, row = self.game, self.states, np.zeros(1, np.int32)
        legal = np.zeros((1, game.num_actions), np.bool_)
        game.legal_mask(states, row, legal)
        outcome = np.zeros((1, game.num_seats), np.float32)
        game.terminal_values(states, row, outcome)
        winner = int(states.winner[0])
        last = last_cell(game, self.moves[-1], (len(self.moves) - 1) % game.num_seats) if self.moves else -1
        others = range(game.num_actions - game.shapes.num_others, game.num_actions)
        return {
            "game": game.name,
            "size": game.board_size,
            "width": game.shapes.board_width,
            "seats": game.num_seats,
            "swap": game.swap,
            "moves": move_names(game, self.moves),
            "start": None if self.start is None else self._start(self.start),
            "cells": states.cells[0].tolist(),
            "last": None if last < 0 else last,
            "to_move": None if self.is_over else int(states.to_move[0]),
            "colour": None if self.is_over else int(states.view[0]),
            "extra_actions": [game.action_name(action) for action in others if legal[0, action]],
            "steps": self._steps(legal[0]),
            "winner": None if winner == ONGOING else -1 if winner == game.num_seats else winner,
            "outcome": outcome[0].tolist() if self.is_over else None,
            "points": abs(game.lead(states.cells[0])) if isinstance(game, Go) and self.is_over else None,
            "texts": self._texts(),
        }

    def _steps(self, legal: BoolArray) -> list[dict[str, Any]] | None:
        """Return the ``legal`` moves as steps of pieces, None where moves place stones."""
        game, seat = self.game, int(self.states.to_move[0])
        if not moves_pieces(game):
            return None
        steps = []
        for action in np.flatnonzero(legal).tolist():
            cells = game.move_cells(action, seat)
            if cells is not None:
                steps.append({"move": game.move_name(action, seat), "from": cells[0], "to": cells[1]})
        return steps

    def _start(self, start: SetUp) -> dict[str, Any]:
        """Return the start as `/api/position` takes it."""
        black, white = (move_names(self.game, stones) for stones in (start.black, start.white))
        return {"black": black, "white": white, "to_move": COLOURS[start.to_move]}

    def _texts(self) -> dict[str, str]:
        """Return TRMPH (not after a swap, which it cannot say), SGF and HexWorld; only Hex has them, of a set-up SGF
        alone."""
        if self.game.name != Hex.name:
            return {}
        if isinstance(self.place, SetUp):
            return {"sgf": position_to_sgf(self.game.board_size, self.place)}
        n, won = self.game.board_size, int(self.states.winner[0])
        swapped = n * n in self.moves
        winner = None if won == ONGOING else won ^ int(swapped)  # by colour
        game = format_conversion.HexGame(n, tuple(self.moves), winner)
        texts = {
            "sgf": format_conversion.to_sgf(game),
            "hexworld": "https://hexworld.org/board/" + format_conversion.to_hexworld(game),
        }
        if not swapped:
            texts["trmph"] = format_conversion.to_trmph(game)
        return texts
