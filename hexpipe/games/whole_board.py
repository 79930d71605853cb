"""The base of games whose view is the whole board, with all that is not their rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from hexpipe.config import MAX_VIEW_SIZE, GameOptions, Shapes
from hexpipe.errors import SettingsError
from hexpipe.games import boards, coordinates, symmetry
from hexpipe.games.checked_play import checked_play
from hexpipe.games.game_env import (
    ONGOING,
    BoolArray,
    Float32Array,
    Int8Array,
    Int16Array,
    IntArray,
    OwnStates,
    States,
)


class WholeBoard(ABC):
    """Most of a `game_env.Game`: actions are the cells, then one that is no cell if ``extra_action`` names it.

    Seats move in turn, a view is the seat to move, and all see the board in the same orientation. A subclass adds
    `step`, `legal_mask` and `codes_from_cells`, and overrides what does not suit it or is too slow; `game_env.Game`
    documents the rest. No method reads an ``origin``, which user-defined games made for 0.1.0 may pass on.
    """

    swap = False
    places_stones = True  # False for a game whose moves change more than one cell

    def __init__(
        self,
        name: str,
        board_size: int,
        symmetries: Int16Array,
        *,
        board_width: int | None = None,
        num_seats: int = 2,
        extra_action: str = "",
        num_parents: int = 0,
        turns_frame: bool = False,
        options: GameOptions | None = None,
    ) -> None:
        """Make the tables of the game that settings call ``name``, on ``board_size`` rows and ``board_width`` columns;
        unset: as many.

        ``symmetries`` int16 [K, cells] permute the cells without changing the rules, the identity first.
        ``num_parents`` int16 numbers of each state are the game's own (`States.parents`), ``turns_frame`` is Hex's.
        ``options`` become part of the `terms`. SettingsError if the board is too large for one view.
        """
        width = board_size if board_width is None else board_width
        for setting, side in (("game.board_size", board_size), ("game.board_width", width)):
            if side > MAX_VIEW_SIZE:
                words = f"{setting}: {name} is seen whole, on {MAX_VIEW_SIZE} cells a side at the most"
                raise SettingsError(words, kind="range", setting=setting, high=MAX_VIEW_SIZE)
        area, extra = board_size * width, int(bool(extra_action))
        self.name = name
        self.board_size, self.board_width = board_size, width
        self.num_seats = self.num_views = num_seats
        self.num_actions = self.max_plies = area + extra
        self.extra_action = extra_action
        self.shapes = Shapes(
            board_size=board_size,
            board_width=width,
            num_actions=area + extra,
            num_seats=num_seats,
            code_length=area + extra,
            turns_frame=turns_frame,
        )
        self._num_parents = num_parents
        self._options = (
            {} if options is None else options.model_dump(mode="json", exclude={"name", "board_size", "board_width"})
        )
        self.action_view: Int16Array = np.tile(np.arange(area + extra, dtype=np.int16), (num_seats, 1))
        turn = (np.arange(num_seats, dtype=np.int8) + 1) % num_seats
        self.next_view: Int8Array = np.tile(turn[:, None], (1, area + extra)).astype(np.int8)
        self.symmetries: Int16Array = np.stack([symmetry.with_fixed_tail(cells, extra) for cells in symmetries])
        self.code_symmetries: Int16Array = self.symmetries

    @property
    def terms(self) -> dict[str, Any]:
        """Name, size, seats, whether there is a swap, and the options; the columns where the board is no square."""
        rules = {"game": self.name, "board_size": self.board_size, "seats": self.num_seats, "swap": self.swap}
        if self.board_width != self.board_size:
            rules["board_width"] = self.board_width
        return rules | self._options

    @abstractmethod
    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None: ...

    @abstractmethod
    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None: ...

    @abstractmethod
    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None: ...

    def new_states(self, count: int) -> OwnStates:
        """Allocate ``count`` rows, all at the empty board."""
        states = States(
            **state_arrays(count, self.shapes.board_cells),
            parents=np.zeros((count, self._num_parents), np.int16),
            # never written: the view is the board, and needs no last stone to be centred on
            last=np.full(count, -1, np.int32),
            pooled=np.empty((count, 0), np.int16),
            longest=np.empty((count, 0), np.int16),
        )
        self.reset(states, np.arange(count, dtype=np.int32))
        return states

    def reset(self, states: OwnStates, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the empty board; parents, where there are any, to 0."""
        for name in ("cells", "parents", "to_move", "view", "ply"):
            if name in states._fields:
                getattr(states, name)[rows] = 0
        states.winner[rows] = ONGOING

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the net-frame codes of ``rows`` into ``out`` int8 [L, C]."""
        self.codes_from_cells(states.cells[rows], states.view[rows], states.ply[rows], states.origin[rows], out)

    def terminal_values(self, states: States, rows: IntArray, out: Float32Array) -> None:
        """Write 1 for the winner and -1 for the others, 0 for a draw and while a game goes on, into float32 [L, S]."""
        winners = states.winner[rows]
        decided = (winners >= 0) & (winners < self.num_seats)
        out[:] = np.where(decided, -1, 0)[:, None]
        out[decided, winners[decided]] = 1

    def cell_of_action(self, action: int, origin: object = None) -> int:
        """Return the action itself, -1 if it is no cell."""
        return action if action < self.shapes.board_cells else -1

    def action_of_cell(self, cell: int, origin: object = None) -> int:
        """Return the cell itself."""
        return cell

    def cell_name(self, cell: int) -> str:
        """Return the name of the board's ``cell``: "c3"."""
        return coordinates.cell_name(cell, self.board_width)

    def parse_cell(self, text: str) -> int:
        """Return the cell that ``text`` names; NotationError if this board has none."""
        return coordinates.parse_cell(text, self.board_size, self.board_width)

    def action_name(self, action: int, origin: object = None) -> str:
        """Return the name of the action: "c3", or that of the action that is no cell."""
        return self.cell_name(action) if action < self.shapes.board_cells else self.extra_action

    def parse_action(self, text: str, origin: object = None) -> int:
        """Return the action that ``text`` names; NotationError if this game has none."""
        if self.extra_action and text.strip().lower() == self.extra_action:
            return self.shapes.board_cells
        return self.parse_cell(text)

    def render(self, cells: Int8Array) -> str:
        """Draw an ASCII picture of absolute cells int8 [rows * columns]."""
        return boards.render_square(cells, self.board_width)

    def play(self, moves: Sequence[int]) -> States:
        """Return one row after ``moves``; IllegalMoveError names the move that is not legal, and why."""
        return checked_play(self, moves, self.why_illegal)

    def why_illegal(self, states: States, action: int) -> str:
        """Explain why row 0 forbids ``action``, if there is more to say than that the game is over or the cell
        taken."""
        return ""


class SteppedBoard(WholeBoard):
    """The base of games whose moves change more than one cell, so that the replay plays them again (`places_stones`).

    A subclass writes `codes` from its states, which may be a named tuple of its own, and says what a snapshot keeps in
    ``snapshot_bits`` (`game_env.snapshot_bits`).
    """

    places_stones = False

    @abstractmethod
    def codes(self, states: OwnStates, rows: IntArray, out: Int8Array) -> None: ...

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        """Raise NotImplementedError: cells alone do not tell a position of such a game, and nothing asks."""
        raise NotImplementedError(f"{self.name}: a position is more than its cells, see codes")


def state_arrays(count: int, cells: int) -> dict[str, Any]:
    """Allocate the arrays that the states of every game have, for ``count`` rows of ``cells`` each, by name; `reset`
    fills all but the origin, which stays 0."""
    return {
        "cells": np.empty((count, cells), np.int8),
        "to_move": np.empty(count, np.int8),
        "view": np.empty(count, np.int8),
        "winner": np.empty(count, np.int8),
        "ply": np.empty(count, np.int32),
        "origin": np.zeros((count, 2), np.int16),
    }


def copy_row(states: States, source: int, target: int) -> None:
    """Copy row ``source`` to row ``target``."""
    if source != target:
        for array in states:
            array[target] = array[source]
