"""Othello on small boards: a game of one's own whose moves turn stones, so that the replay plays them again.

Public rules: a disc must outflank at least one line of the other colour, which is turned over; who cannot move passes,
and the game ends when neither can; most discs win.
"""

from __future__ import annotations

import numpy as np

from hexpipe.config import GameSettings
from hexpipe.games import symmetry
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, Int16Array, IntArray, States
from hexpipe.games.whole_board import WholeBoard, copy_row

CLOSED = 4


class Othello(WholeBoard):
    places_stones = False

    def __init__(self, settings: GameSettings) -> None:
        settings.refuse_rules_beside()
        n = settings.board_size
        super().__init__(settings.name, n, symmetry.square_symmetries(n)[[0, 2, 5, 7]], extra_action="pass")
        self.max_plies = 2 * n * n  # a pass is followed by a move
        self.lines = lines_from(n)

    def reset(self, states: States, rows: IntArray) -> None:
        super().reset(states, rows)
        n, middle = self.board_size, self.board_size // 2
        for cell, seat in ((0, 1), (1, 0), (n, 0), (n + 1, 1)):
            states.cells[rows, (middle - 1) * (n + 1) + cell] = 1 + seat

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        for parent, action, child in zip(parents.tolist(), actions.tolist(), children.tolist(), strict=True):
            copy_row(states, parent, child)
            self.play_in(states, child, action)

    def play_in(self, states: States, row: int, action: int) -> None:
        mover, cells = int(states.to_move[row]), states.cells[row]
        states.ply[row] += 1
        states.to_move[row] = states.view[row] = 1 - mover
        if action < self.board_size**2:
            cells[[action, *self.turned(cells, mover, action)]] = 1 + mover
        if not any(self.open_cells(cells, seat).any() for seat in (0, 1)):
            discs = np.bincount(cells, minlength=3)[1:]
            states.winner[row] = 2 if discs[0] == discs[1] else int(np.argmax(discs))

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        for mask, row in zip(out, rows, strict=True):
            mask[:-1] = self.open_cells(states.cells[row], int(states.to_move[row]))
            mask[-1] = not mask[:-1].any()
        out[states.winner[rows] != ONGOING] = False

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        for codes, board, view in zip(out, cells, views, strict=True):
            free = self.open_cells(board, int(view))
            codes[:-1] = np.where(board > 0, np.where(board == 1 + view, 1, 2), np.where(free, 0, CLOSED))
            codes[-1] = not free.any()

    def open_cells(self, cells: Int8Array, seat: int) -> BoolArray:
        free = [not cells[cell] and bool(self.turned(cells, seat, cell)) for cell in range(len(cells))]
        return np.array(free)

    def turned(self, cells: Int8Array, seat: int, cell: int) -> list[int]:
        """The discs that a disc of ``seat`` on ``cell`` turns over."""
        found: list[int] = []
        for line in self.lines[cell]:
            discs = cells[line]
            end = next((k for k, disc in enumerate(discs) if disc != 2 - seat), len(discs))
            if end < len(discs) and discs[end] == 1 + seat:
                found += line[:end].tolist()
        return found

    def why_illegal(self, states: States, action: int) -> str:
        if states.winner[0] != ONGOING or not 0 <= action < self.num_actions:
            return ""
        if action == self.board_size**2:
            return "who can move must not pass"
        return "" if states.cells[0, action] else "it turns no disc over"


def lines_from(n: int) -> list[list[Int16Array]]:
    """The cells of each cell's eight lines, from it to the edge."""
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    return [
        [
            np.array(
                [(r + i * k) * n + c + j * k for k in range(1, n) if 0 <= r + i * k < n and 0 <= c + j * k < n],
                np.int16,
            )
            for i, j in steps
        ]
        for r in range(n)
        for c in range(n)
    ]
