"""Exact results of Hex positions on boards up to 5x5: the truth that tests and scores are held against."""

from __future__ import annotations

import numpy as np

from hexpipe.config import MIN_HEX_SIZE
from hexpipe.errors import NotationError, SettingsError
from hexpipe.games import hex_solver_kernels as kernels
from hexpipe.games.game_env import Int8Array

MAX_SOLVER_SIZE = 5
_TABLE_ENTRIES = 1 << 20  # 16 MiB; all first moves of 5x5 fill a small part of it


class HexSolver:
    """Who wins a position of an n x n board, and with which moves; the swap rule plays no part.

    Positions are absolute cells int8 [n * n] (0 empty, 1 black, 2 white) with the colour to move (0 black, 1 white),
    whatever the numbers of stones are. One solver remembers what it has solved and is not for two threads at once.
    """

    def __init__(self, board_size: int) -> None:
        if not MIN_HEX_SIZE <= board_size <= MAX_SOLVER_SIZE:
            raise SettingsError(
                f"the solver is exact for boards of {MIN_HEX_SIZE} to {MAX_SOLVER_SIZE} cells a side, not {board_size}"
            )
        area = board_size**2
        self.board_size = board_size
        self._keys = np.zeros(_TABLE_ENTRIES, np.int64)
        self._results = np.zeros(_TABLE_ENTRIES, np.int64)
        self._scratch = np.zeros((area + 1, 3, area), np.int64)
        self._weights = np.left_shift(1, np.arange(area, dtype=np.int64))

    def value(self, cells: Int8Array, colour: int) -> int:
        """1 if ``colour``, which is to move, wins with best play, else -1."""
        black, white = self._bits(cells)
        for side, stones in enumerate((black, white)):
            if kernels.connects(stones, side, self.board_size):
                return 1 if side == colour else -1
        found = kernels.solve(black, white, colour, self.board_size, self._keys, self._results, self._scratch)
        return 1 if found & 1 else -1

    def winning_moves(self, cells: Int8Array, colour: int) -> list[int]:
        """Every cell where ``colour``, which is to move, wins, in order; none where the game is over."""
        black, white = self._bits(cells)
        if self.winner(cells) is not None:
            return []
        found = kernels.winning_moves(black, white, colour, self.board_size, self._keys, self._results, self._scratch)
        return [cell for cell in range(self.board_size**2) if found >> cell & 1]

    def winner(self, cells: Int8Array) -> int | None:
        """The colour that has connected its edges, if one has."""
        for colour, stones in enumerate(self._bits(cells)):
            if kernels.connects(stones, colour, self.board_size):
                return colour
        return None

    def _bits(self, cells: Int8Array) -> tuple[int, int]:
        flat = np.asarray(cells).reshape(-1)
        if len(flat) != len(self._weights):
            raise NotationError(f"the position has {len(flat)} cells, the solver's board {len(self._weights)}")
        return int(self._weights[flat == 1].sum()), int(self._weights[flat == 2].sum())
