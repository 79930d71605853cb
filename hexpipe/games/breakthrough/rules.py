"""Breakthrough (Dan Troyka, 2000): pieces go one step ahead, and who reaches the far row first wins.

A piece goes to an empty cell straight ahead, or askew to a cell that is empty or holds one of the other's pieces, which
is taken. Who has no piece left has lost. Whoever moves has a move, that of the piece nearest to the far row, and no
game is a draw.

Seat 0 begins in the top rows. `rule_kernels` says what an action is, and what a mover sees.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import BreakthroughOptions, Plane, Shapes
from hexpipe.errors import NotationError
from hexpipe.games import symmetry
from hexpipe.games.breakthrough import rule_kernels
from hexpipe.games.breakthrough.rule_kernels import DIRECTIONS, BreakthroughStates
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, Int16Array, IntArray, OwnStates
from hexpipe.games.whole_board import SteppedBoard, state_arrays

_OWN, _OTHER = 1, 2
_STEP = re.compile(r"([a-z]{1,2}[1-9][0-9]?)([-x]?)([a-z]{1,2}[1-9][0-9]?)")


class Breakthrough(SteppedBoard):
    """The rules of Breakthrough as a `game_env.PieceGame`."""

    name = "breakthrough"
    snapshot_bits: ClassVar[dict[str, int]] = {"cells": 2}

    def __init__(self, options: BreakthroughOptions) -> None:
        rows, columns = options.board
        area = rows * columns
        kernel_cache.need("breakthrough")
        sides = symmetry.rectangle_symmetries(rows, columns)[[0, 2]]
        super().__init__(self.name, rows, sides, board_width=columns)
        self.piece_rows = options.rows_of_pieces
        self.num_actions = DIRECTIONS * area
        # a piece goes as far as the row before the last one, and one piece further
        self.max_plies = 1 + 2 * columns * sum(rows - 2 - row for row in range(self.piece_rows))
        self.shapes = Shapes(
            board_size=rows,
            board_width=columns,
            num_actions=self.num_actions,
            num_seats=2,
            code_length=area + self.num_actions,
            cell_actions=DIRECTIONS,
            declared=(Plane(0, _OWN), Plane(0, _OTHER)),
            flips_frame=True,
        )
        self.next_view = np.repeat(np.array([[1], [0]], np.int8), self.num_actions, axis=1)
        self.action_view = np.stack([np.arange(self.num_actions, dtype=np.int16), _seen_from_below(rows, columns)])
        mirrored = (np.arange(DIRECTIONS)[::-1, None] * area + sides[1]).ravel().astype(np.int16)
        self.symmetries = np.stack([np.arange(self.num_actions, dtype=np.int16), mirrored])
        self.code_symmetries = np.concatenate([sides, self.symmetries + np.int16(area)], axis=1)

    @property
    def terms(self) -> dict[str, Any]:
        """What the base says, and the rows of pieces."""
        return super().terms | {"piece_rows": self.piece_rows}

    def new_states(self, count: int) -> OwnStates:
        """Allocate ``count`` rows, all at the initial position."""
        states = BreakthroughStates(**state_arrays(count, self.shapes.board_cells))
        self.reset(states, np.arange(count, dtype=np.int32))
        return states

    def reset(self, states: OwnStates, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to full rows of pieces at both ends."""
        pieces = self.piece_rows * self.board_width
        super().reset(states, rows)
        states.cells[rows, :pieces] = 1
        states.cells[rows, -pieces:] = 2

    def step(self, states: OwnStates, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        rule_kernels.step(states, parents, actions, children, self.board_width)

    def legal_mask(self, states: OwnStates, rows: IntArray, out: BoolArray) -> None:
        """Write the legal actions of ``rows`` into ``out`` bool [L, A]."""
        rule_kernels.legal_mask(states, rows, out, self.board_width)

    def codes(self, states: OwnStates, rows: IntArray, out: Int8Array) -> None:
        """Write the codes of ``rows`` into ``out`` int8 [L, C]."""
        rule_kernels.codes(states, rows, out, self.board_width)

    def move_cells(self, action: int, seat: int) -> tuple[int, int] | None:
        """Return where the piece stands that ``seat`` moves by ``action``, and where it goes; None off the board."""
        k, upper = divmod(action, self.shapes.board_cells)
        row, column = divmod(upper, self.board_width)
        if row == self.board_size - 1 or not 0 <= column + k - 1 < self.board_width:
            return None
        lower = upper + self.board_width + k - 1
        return (lower, upper) if seat else (upper, lower)

    def move_name(self, action: int, seat: int) -> str:
        """Return the name of the move of ``seat``, from cell to cell: "a2a3", of the other seat "a3a2"."""
        cells = self.move_cells(action, seat)
        return f"action {action}" if cells is None else "".join(map(self.cell_name, cells))

    def parse_move(self, text: str, seat: int) -> int:
        """Return the action of ``seat`` that ``text`` names: "a2a3", "a2-a3", a capture also "a2xb3".

        NotationError if this board has no such move of that seat.
        """
        action, downwards = self._parse(text)
        if downwards == bool(seat):
            way = "up the board, to lower" if seat else "down the board, to higher"
            raise NotationError(f"{text.strip()!r}: seat {seat} goes {way} numbers", kind="rule")
        return action

    def action_name(self, action: int, origin: object = None) -> str:
        """Return the `move_name` of seat 0."""
        return self.move_name(action, 0)

    def parse_action(self, text: str, origin: object = None) -> int:
        """Return the action that ``text`` names, a move of either seat; NotationError if it names none."""
        return self._parse(text)[0]

    def why_illegal(self, states: OwnStates, action: int) -> str:
        """Explain what pieces do."""
        seat = int(states.to_move[0])
        cells = self.move_cells(action, seat) if 0 <= action < self.num_actions else None
        if states.winner[0] != ONGOING or cells is None:
            return ""
        source, target = (int(states.cells[0, cell]) for cell in cells)
        if source != 1 + seat:
            return f"seat {seat} has no piece on {self.cell_name(cells[0])}"
        return "its own piece stands there" if target == source else "pieces take askew, not straight ahead"

    def _parse(self, text: str) -> tuple[int, bool]:
        """Return the action that ``text`` names, and whether it is written as a move down the board."""
        match = _STEP.fullmatch(text.strip().lower())
        if not match:
            words = f"{text!r} is no move; write where a piece stands and where it goes: a2a3"
            raise NotationError(words, kind="coordinate")
        places = [divmod(self.parse_cell(name), self.board_width) for name in match.group(1, 3)]
        (row, column), (below, beside) = sorted(places)
        if below - row != 1 or abs(beside - column) > 1:
            raise NotationError(f"{text!r}: a piece goes one row ahead, straight or askew", kind="rule")
        if match[2] == "x" and column == beside:
            raise NotationError(f"{text!r}: pieces take askew, not straight ahead", kind="rule")
        k = beside - column + 1
        return k * self.shapes.board_cells + row * self.board_width + column, places[0] < places[1]


def _seen_from_below(rows: int, columns: int) -> Int16Array:
    """Return where seat 1, who sees the board upside down, has each action: int16 [3 * cells]."""
    k, row, column = np.indices((DIRECTIONS, rows, columns))
    beside = column + k - 1
    # pairs that end off the board are never legal, and swap places among themselves
    off = (row == rows - 1) | (beside < 0) | (beside >= columns)
    k, column = np.where(off, k, DIRECTIONS - 1 - k), np.where(off, column, beside)
    row = np.where(row == rows - 1, row, rows - 2 - row)
    seen: Int16Array = ((k * rows + row) * columns + column).astype(np.int16).ravel()
    return seen
