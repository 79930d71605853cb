"""Connect Four: two players drop stones into columns; four in a row, along or across, win; a full board is a draw.

An action is the cell that the stone falls to. Moves are named by that cell, or by the column's letter alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import ConnectFourOptions
from hexpipe.errors import NotationError
from hexpipe.games import symmetry
from hexpipe.games.connect4 import rule_kernels
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, Int16Array, IntArray, States
from hexpipe.games.whole_board import WholeBoard


class ConnectFour(WholeBoard):
    """The rules of Connect Four as a `game_env.Game`."""

    name = "connect4"

    def __init__(self, options: ConnectFourOptions) -> None:
        rows, columns = options.board
        kernel_cache.need("connect4")
        left_and_right = symmetry.rectangle_symmetries(rows, columns)[[0, 2]]
        super().__init__(self.name, rows, left_and_right, board_width=columns)

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        rule_kernels.step(states, parents, actions, children, self.board_width)

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        """Write the legal actions of ``rows`` into ``out`` bool [L, A]."""
        rule_kernels.legal_mask(states, rows, out, self.board_width)

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the codes of ``rows`` into ``out`` int8 [L, C]."""
        rule_kernels.codes(states, rows, out, self.board_width)

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        """Write the codes of positions given as cells int8 [B, cells] into ``out`` int8 [B, C]."""
        rule_kernels.codes_from_cells(cells, views, out, self.board_width)

    def why_illegal(self, states: States, action: int) -> str:
        """Explain that stones fall."""
        if states.winner[0] != ONGOING or not 0 <= action < self.num_actions or states.cells[0, action]:
            return ""
        return "nothing there carries a stone"

    def moves_of_columns(self, text: str) -> list[int]:
        """Return the moves of ``text``, columns from 1 as digits ("4453"), the form of the game's solvers.

        NotationError for a column that is full or not there; whether somebody has won before is not checked.
        """
        heights = np.zeros(self.board_width, np.int64)
        moves = []
        for number, digit in enumerate(text.strip(), start=1):
            column = int(digit) - 1 if digit in "123456789" else -1
            if not 0 <= column < self.board_width:
                words = f"{digit!r} is no column; write 1 to {self.board_width}"
                raise NotationError(words, kind="coordinate", move=number)
            if heights[column] == self.board_size:
                raise NotationError(f"move {number}: column {digit} is full", kind="occupied", move=number)
            heights[column] += 1
            moves.append(int(self.board_size - heights[column]) * self.board_width + column)
        return moves

    def columns_of_moves(self, moves: Sequence[int]) -> str:
        """Write ``moves`` as `moves_of_columns` reads them, on boards of nine columns at the most."""
        if self.board_width > 9:
            words = f"columns are written as digits to 9 alone, this board has {self.board_width}"
            raise NotationError(words, kind="board", high=9)
        return "".join(str(move % self.board_width + 1) for move in moves)
