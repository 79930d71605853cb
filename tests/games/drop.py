"""Drop: a stone falls to the lowest empty cell of its column, and whoever makes three in a row loses.

Two players. Once in a game one of them, whoever wants it first, may pass. A full board is a draw.
"""

from __future__ import annotations

import numpy as np

from hexpipe.config import GameSettings
from hexpipe.errors import SettingsError
from hexpipe.games import symmetry
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, Int16Array, IntArray, States
from hexpipe.games.whole_board import WholeBoard, copy_row

CLOSED = 4


class Drop(WholeBoard):
    def __init__(self, settings: GameSettings) -> None:
        settings.refuse_rules_beside()
        n = settings.board_size
        if not 3 <= n <= 8:
            raise SettingsError(f"game.board_size: Drop has 3 to 8 cells a side (got {n})")
        left_and_right = symmetry.square_symmetries(n)[[0, 4]]
        super().__init__(settings.name, n, left_and_right, extra_action="pass")
        self.lines = lines_of_three(n)

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        for parent, action, child in zip(parents.tolist(), actions.tolist(), children.tolist(), strict=True):
            copy_row(states, parent, child)
            self.play_in(states, child, action)

    def play_in(self, states: States, row: int, action: int) -> None:
        mover = int(states.to_move[row])
        states.ply[row] += 1
        states.to_move[row] = states.view[row] = 1 - mover
        if action == self.board_size**2:
            return
        cells = states.cells[row]
        cells[action] = 1 + mover
        if (cells[self.lines[action]] == 1 + mover).all(axis=1).any():
            states.winner[row] = 1 - mover
        elif cells.all():
            states.winner[row] = 2

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        cells, plies = states.cells[rows], states.ply[rows]
        out[:, :-1] = self.open_cells(cells)
        out[:, -1] = may_pass(cells, plies)
        out[states.winner[rows] != ONGOING] = False

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        stones = np.where(cells == 1 + views[:, None], 1, 2)
        empty = np.where(self.open_cells(cells), 0, CLOSED)
        out[:, :-1] = np.where(cells > 0, stones, empty)
        out[:, -1] = may_pass(cells, plies)

    def open_cells(self, cells: Int8Array) -> BoolArray:
        boards = cells.reshape(-1, self.board_size, self.board_size)
        carried = np.ones(boards.shape, np.bool_)
        carried[:, :-1] = boards[:, 1:] > 0
        return ((boards == 0) & carried).reshape(cells.shape)

    def why_illegal(self, states: States, action: int) -> str:
        if states.winner[0] != ONGOING or not 0 <= action < self.num_actions:
            return ""
        if action == self.board_size**2:
            return "there is one pass in a game, and it has been taken"
        return "" if states.cells[0, action] else "nothing there carries a stone"


def may_pass(cells: Int8Array, plies: IntArray) -> BoolArray:
    return np.count_nonzero(cells, axis=1) == plies


def lines_of_three(n: int) -> list[Int16Array]:
    lines: list[list[list[int]]] = [[] for _ in range(n * n)]
    for i, j in np.ndindex(n, n):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            cells = [(i + k * down, j + k * right) for k in range(3)]
            if all(0 <= row < n and 0 <= column < n for row, column in cells):
                line = [row * n + column for row, column in cells]
                for cell in line:
                    lines[cell].append(line)
    return [np.array(of_cell, np.int16) for of_cell in lines]
