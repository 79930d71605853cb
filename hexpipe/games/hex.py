"""Hex, boards of 3 to 27 cells a side, with or without the swap rule.

Black (seat 0 to begin with) connects top to bottom and moves first, white left to right. Swap is a swap of seats: with
the rule on, the second player may answer the first stone by taking over its colour; stones stay where they are and
colours go on alternating, so the first player, white from then on, plays the next stone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE, Shapes
from hexpipe.errors import IllegalMoveError, SettingsError
from hexpipe.games import format_conversion, hex_kernels, symmetry
from hexpipe.games.game_env import (
    ONGOING,
    BoolArray,
    Float32Array,
    Int8Array,
    Int16Array,
    IntArray,
    States,
    UInt8Array,
)


class Hex:
    """The rules of Hex as a `game_env.Game`."""

    name = "hex"
    num_seats = 2
    num_views = 2
    win_length = 0
    view_moves = False

    def __init__(self, board_size: int = 11, swap: bool = False) -> None:
        if not MIN_HEX_SIZE <= board_size <= MAX_HEX_SIZE:
            raise SettingsError(f"game.board_size: Hex boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side")
        n, extra = board_size, int(swap)
        self.board_size = n
        self.swap = swap
        self.num_actions = n * n + extra
        self.max_plies = n * n + extra
        self.shapes = Shapes(
            board_size=n,
            num_actions=self.num_actions,
            num_seats=self.num_seats,
            code_length=n * n + extra,
            turns_frame=True,
        )
        self.terms: dict[str, Any] = {"game": self.name, "board_size": n, "swap": swap}
        self.start_origin: Int16Array = np.zeros(2, np.int16)
        same, transposed, rotated = (
            symmetry.with_fixed_tail(cells, extra)
            for cells in (np.arange(n * n, dtype=np.int16), symmetry.transposition(n), symmetry.half_turn(n))
        )
        self.action_view: Int16Array = np.stack([same, transposed])
        # colours go on alternating, but a swap places no stone
        self.next_view: Int8Array = np.ones((2, self.num_actions), np.int8) - np.arange(2, dtype=np.int8)[:, None]
        self.next_view[:, n * n :] = np.arange(2)[:, None]
        self.symmetries: Int16Array = np.stack([same, rotated])
        self.code_symmetries: Int16Array = self.symmetries

    def new_states(self, count: int) -> States:
        """``count`` rows, all at the empty board."""
        area = self.board_size**2
        states = States(
            cells=np.empty((count, area), np.int8),
            parents=np.empty((count, area + 4), np.int16),
            to_move=np.empty(count, np.int8),
            view=np.empty(count, np.int8),
            winner=np.empty(count, np.int8),
            ply=np.empty(count, np.int32),
            # nothing writes these: the view is the board, and needs no last stone to be put around
            last=np.full(count, -1, np.int32),
            origin=np.zeros((count, 2), np.int16),
            pooled=np.empty((count, 0), np.int16),
            longest=np.empty((count, 0), np.int16),
        )
        hex_kernels.reset(states, np.arange(count, dtype=np.int32))
        return states

    def reset(self, states: States, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the empty board."""
        hex_kernels.reset(states, rows)

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; nothing is checked."""
        hex_kernels.step(states, parents, actions, children, self.board_size)

    def place_views(self, states: States, rows: IntArray, centres: IntArray) -> None:
        """Nothing: the view is the whole board."""

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        """Write the legal absolute actions of ``rows`` into ``out`` bool [L, A]."""
        hex_kernels.legal_mask(states, rows, out)

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the net-frame codes of ``rows`` into ``out`` int8 [L, C]."""
        hex_kernels.codes(states, rows, self.board_size, out)

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        """Write the codes of positions given as absolute cells int8 [B, n * n] into ``out`` int8 [B, C]."""
        hex_kernels.codes_from_cells(cells, views, plies, self.board_size, out)

    def threat_levels(self, states: States, rows: IntArray, out: UInt8Array) -> None:
        """Hex has no such levels: ``out`` uint8 [L] is 0."""
        out[:] = 0

    def replay_threats(self, actions: Int16Array, origins: Int16Array, out: UInt8Array) -> None:
        """Hex has no such levels: ``out`` uint8 [T] is 0."""
        out[:] = 0

    def terminal_values(self, states: States, rows: IntArray, out: Float32Array) -> None:
        """Write 1 for the winner and -1 for the loser, 0 while a game goes on, into ``out`` float32 [L, 2]."""
        hex_kernels.terminal_values(states, rows, out)

    def cell_of_action(self, action: int, origin: Int16Array | None = None) -> int:
        """The action itself, -1 if it is swap."""
        return action if action < self.board_size**2 else -1

    def action_of_cell(self, cell: int, origin: Int16Array | None = None) -> int:
        """The cell itself."""
        return cell

    def cell_name(self, cell: int) -> str:
        """ "c3"."""
        return format_conversion.cell_name(cell, self.board_size)

    def parse_cell(self, text: str) -> int:
        """The cell that ``text`` names; NotationError if there is none such on this board."""
        return format_conversion.parse_cell(text, self.board_size)

    def action_name(self, action: int, origin: Int16Array | None = None) -> str:
        """ "c3", or "swap"."""
        return format_conversion.action_name(action, self.board_size)

    def parse_action(self, text: str, origin: Int16Array | None = None) -> int:
        """The action that ``text`` names; NotationError if there is none such on this board."""
        return format_conversion.parse_action(text, self.board_size, swap=self.swap)

    def render(self, cells: Int8Array) -> str:
        """An ASCII picture of absolute cells int8 [n * n]."""
        return format_conversion.render(cells, self.board_size)

    def play(self, moves: Sequence[int]) -> States:
        """One row after ``moves``; IllegalMoveError names the move that is not legal, and why."""
        states = self.new_states(1)
        row = np.zeros(1, np.int32)
        for number, action in enumerate(moves, start=1):
            reason = self._why_illegal(states, action)
            if reason:
                name = self.action_name(action) if 0 <= action <= self.board_size**2 else str(action)
                raise IllegalMoveError(f"move {number} ({name}) is illegal: {reason}")
            self.step(states, row, np.array([action], np.int16), row)
        return states

    def _why_illegal(self, states: States, action: int) -> str:
        area = self.board_size**2
        if states.winner[0] != ONGOING:
            return f"{('black', 'white')[1 - states.view[0]]} has already won"
        if not 0 <= action < self.num_actions:
            if action == area:
                return "the swap rule is off"
            return f"actions of this game are 0 to {self.num_actions - 1}"
        if action == area:
            return "" if states.ply[0] == 1 else "swap can only answer the first stone"
        return "the cell is taken" if states.cells[0, action] else ""
