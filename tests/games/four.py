"""Connect Four: a stone falls to the lowest empty cell of its column; four in a row, along or across, win.

Two players. A full board is a draw.
"""

from __future__ import annotations

import numpy as np

from hexpipe.config import GameSettings
from hexpipe.errors import SettingsError
from hexpipe.games import symmetry
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, Int16Array, IntArray, States
from hexpipe.games.whole_board import WholeBoard, copy_row

CLOSED = 4


class Four(WholeBoard):
    def __init__(self, settings: GameSettings) -> None:
        settings.refuse_rules_beside()
        rows, columns = settings.board
        if not (4 <= rows <= 10 and 4 <= columns <= 10):
            raise SettingsError(f"game.board_size: Four has 4 to 10 cells a side (got {rows}x{columns})")
        left_and_right = symmetry.rectangle_symmetries(rows, columns)[[0, 2]]
        super().__init__(settings.name, rows, left_and_right, board_width=columns)
        self.lines = lines_of(4, rows, columns)

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        for parent, action, child in zip(parents.tolist(), actions.tolist(), children.tolist(), strict=True):
            copy_row(states, parent, child)
            self.play_in(states, child, action)

    def play_in(self, states: States, row: int, action: int) -> None:
        mover = int(states.to_move[row])
        states.ply[row] += 1
        states.to_move[row] = states.view[row] = 1 - mover
        cells = states.cells[row]
        cells[action] = 1 + mover
        if (cells[self.lines[action]] == 1 + mover).all(axis=1).any():
            states.winner[row] = mover
        elif cells.all():
            states.winner[row] = 2

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        out[:] = self.open_cells(states.cells[rows])
        out[states.winner[rows] != ONGOING] = False

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        stones = np.where(cells == 1 + views[:, None], 1, 2)
        empty = np.where(self.open_cells(cells), 0, CLOSED)
        out[:] = np.where(cells > 0, stones, empty)

    def open_cells(self, cells: Int8Array) -> BoolArray:
        boards = cells.reshape(-1, self.board_size, self.board_width)
        carried = np.ones(boards.shape, np.bool_)
        carried[:, :-1] = boards[:, 1:] > 0
        return ((boards == 0) & carried).reshape(cells.shape)

    def why_illegal(self, states: States, action: int) -> str:
        if states.winner[0] != ONGOING or not 0 <= action < self.num_actions or states.cells[0, action]:
            return ""
        return "nothing there carries a stone"


def lines_of(length: int, rows: int, columns: int) -> list[Int16Array]:
    lines: list[list[list[int]]] = [[] for _ in range(rows * columns)]
    for i, j in np.ndindex(rows, columns):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            cells = [(i + k * down, j + k * right) for k in range(length)]
            if all(0 <= row < rows and 0 <= column < columns for row, column in cells):
                line = [row * columns + column for row, column in cells]
                for cell in line:
                    lines[cell].append(line)
    return [np.array(of_cell, np.int16).reshape(-1, length) for of_cell in lines]
