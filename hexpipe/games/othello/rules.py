"""Othello: a disc that outflanks some of the other's turns them over; who cannot move passes; most discs win.

The game ends when neither can move. Black (seat 0) moves first.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import OthelloOptions
from hexpipe.games import symmetry
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, IntArray, OwnStates
from hexpipe.games.othello import rule_kernels
from hexpipe.games.othello.rule_kernels import Board, OthelloStates
from hexpipe.games.whole_board import SteppedBoard, state_arrays

PASS = "pass"
_AS_THEY_BEGIN = (0, 2, 5, 7)  # symmetries of the square that leave the first four discs as they are


class Othello(SteppedBoard):
    """The rules of Othello as a `game_env.Game`."""

    name = "othello"
    snapshot_bits: ClassVar[dict[str, int]] = {"cells": 2, "open": 64}

    def __init__(self, options: OthelloOptions) -> None:
        n = options.board_size
        kernel_cache.need("othello")
        same = symmetry.square_symmetries(n)[list(_AS_THEY_BEGIN)]
        super().__init__(self.name, n, same, extra_action=PASS)
        self.max_plies = 2 * (n * n - 4)  # a pass is followed by a move
        columns = [sum(1 << (row * n + column) for row in range(n)) for column in range(n)]
        every = sum(columns)
        bits = every, every - columns[0], every - columns[-1]
        self.board = Board(n, *map(np.uint64, bits))

    def new_states(self, count: int) -> OwnStates:
        """Allocate ``count`` rows, all at the initial position."""
        states = OthelloStates(
            **state_arrays(count, self.board_size**2),
            open=np.empty(count, np.uint64),
        )
        self.reset(states, np.arange(count, dtype=np.int32))
        return states

    def reset(self, states: OwnStates, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the four discs in the middle."""
        n, middle = self.board_size, self.board_size // 2
        super().reset(states, rows)
        first, own, other = (middle - 1) * (n + 1), 0, 0
        for beside, seat in ((0, 1), (1, 0), (n, 0), (n + 1, 1)):
            states.cells[rows, first + beside] = 1 + seat
            own, other = own | (1 - seat) << (first + beside), other | seat << (first + beside)
        states.open[rows] = rule_kernels.moves(np.uint64(own), np.uint64(other), self.board)

    def step(self, states: OwnStates, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        rule_kernels.step(states, parents, actions, children, self.board)

    def legal_mask(self, states: OwnStates, rows: IntArray, out: BoolArray) -> None:
        """Write the legal actions of ``rows`` into ``out`` bool [L, A]."""
        rule_kernels.legal_mask(states, rows, out)

    def codes(self, states: OwnStates, rows: IntArray, out: Int8Array) -> None:
        """Write the codes of ``rows`` into ``out`` int8 [L, C]."""
        rule_kernels.codes(states, rows, out)

    def why_illegal(self, states: OwnStates, action: int) -> str:
        """Explain what a move must do, and when to pass."""
        if states.winner[0] != ONGOING or not 0 <= action < self.num_actions:
            return ""
        if action == self.board_size**2:
            return "who can move must not pass"
        return "" if states.cells[0, action] else "it turns no disc over"
