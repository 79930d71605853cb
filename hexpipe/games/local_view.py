"""Conversion between actions of a local view and board cells, for one state or many.

An origin int16 [2] is the board row and column of a view's first cell (`States.origin`). For L actions or cells there
are as many origins [L, 2], or one for all of them [1, 2], or none [0, 2], as in a record with a fixed view: then it is
the initial one. The kernels are `local_view_kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hexpipe.games import local_view_kernels
from hexpipe.games.game_env import Game, Int16Array, Int32Array, IntArray


@dataclass(frozen=True)
class LocalView:
    """Views of ``view_size`` x ``view_size`` cells on boards of ``board_size`` x ``board_size``."""

    board_size: int
    view_size: int

    @classmethod
    def of(cls, game: Game) -> LocalView:
        """Return the views of ``game``."""
        return cls(game.board_size, game.shapes.view_size)

    @property
    def is_board(self) -> bool:
        """Whether a view is the whole board, so that actions are cells."""
        return self.view_size == self.board_size

    @property
    def start(self) -> Int16Array:
        """Origin int16 [2] of the initial position's view: in the board's middle, or half a cell before it."""
        return np.full(2, (self.board_size - self.view_size) // 2, np.int16)

    def cell_of_action(self, action: int, origin: Int16Array | None = None) -> int:
        """Return the board cell of ``action``, -1 if that is off the board; ``origin`` None is the initial one."""
        top, left = (self.start if origin is None else origin).tolist()
        return int(local_view_kernels.cell_of_action(top, left, action, self.view_size, self.board_size))

    def action_of_cell(self, cell: int, origin: Int16Array | None = None) -> int:
        """Return the action of the board's ``cell``, -1 if it is outside the view; ``origin`` None is the initial
        one."""
        top, left = (self.start if origin is None else origin).tolist()
        return int(local_view_kernels.action_of_cell(top, left, cell, self.view_size, self.board_size))

    def cells_of_actions(self, actions: IntArray, origins: IntArray) -> Int32Array:
        """Return `cell_of_action` for ``actions`` [L] in the views at ``origins``: int32 [L]."""
        asked, cells = np.array(actions, np.int32), np.empty(len(actions), np.int32)
        local_view_kernels.cells_of_actions(
            self._of_each(origins, len(asked)), asked, self.view_size, self.board_size, cells
        )
        return cells

    def actions_of_cells(self, cells: IntArray, origins: IntArray) -> Int32Array:
        """Return `action_of_cell` for ``cells`` [L] in the views at ``origins``: int32 [L]."""
        asked, actions = np.array(cells, np.int32), np.empty(len(cells), np.int32)
        local_view_kernels.actions_of_cells(
            self._of_each(origins, len(asked)), asked, self.view_size, self.board_size, actions
        )
        return actions

    def _of_each(self, origins: IntArray, count: int) -> Int16Array:
        """Return origins int16 [count, 2] for kernels, as a copy: those of a record are read-only."""
        if len(origins) != count:
            origins = np.broadcast_to(origins if len(origins) else self.start, (count, 2))
        return np.array(origins, np.int16)

    def buckets(self) -> Int16Array:
        """Return the thumbnail's bucket of each board row (and column), int16 [n]: floor((2r + 1) V / 2n).

        A mirrored board has mirrored buckets: (2r + 1) V is odd, or V = n, so that no row's middle is on a border.
        """
        doubled = (2 * np.arange(self.board_size) + 1) * self.view_size
        return (doubled // (2 * self.board_size)).astype(np.int16)

    def bucket_cells(self) -> Int32Array:
        """Return the middle cell of each of the thumbnail's buckets, int32 [V * V]; -1 for an empty bucket.

        Bucket i of V rows is around row floor((2i + 1) n / 2V): the inverse of `buckets`. That row is in the bucket if
        the bucket has any.
        """
        middles = (2 * np.arange(self.view_size) + 1) * self.board_size // (2 * self.view_size)
        buckets = self.buckets()
        middles[buckets[middles] != np.arange(self.view_size)] = -1
        cells = middles[:, None] * self.board_size + middles
        return np.where((middles[:, None] < 0) | (middles < 0), -1, cells).astype(np.int32).ravel()
