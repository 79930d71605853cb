"""Go: stones without a liberty are captured, no position comes back, most points win.

Points are counted by area: a player's stones, and the empty points that only they reach (Tromp-Taylor). Whoever is to
move may pass. The game ends when both have, and is counted as it lies: dead stones are alive until they are captured.
It ends after 2 * points plies, too. Suicide is forbidden, as is a move that makes a position of earlier in the game,
whoever was to move then (positional superko). Black (seat 0) moves first.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import GoOptions, Plane, Shapes
from hexpipe.games import symmetry
from hexpipe.games.game_env import ONGOING, BoolArray, Int8Array, Int16Array, IntArray, OwnStates
from hexpipe.games.go import rule_kernels
from hexpipe.games.go.rule_kernels import MANY, REPEATED, SUICIDE, Board, Desk, GoStates
from hexpipe.games.whole_board import SteppedBoard, state_arrays
from hexpipe.random_streams import Stream, generator

PASS = "pass"
_SEED = 1  # of the stones' keys: the same ones always
_WORDS = {SUICIDE: "its chain would have no liberty", REPEATED: "it would repeat an earlier position"}


class Go(SteppedBoard):
    """The rules of Go as a `game_env.Game`."""

    name = "go"
    snapshot_bits: ClassVar[dict[str, int]] = {}  # which moves repeat a position the whole game tells

    def __init__(self, options: GoOptions) -> None:
        n = options.board_size
        area = n * n
        kernel_cache.need("go")
        square = symmetry.square_symmetries(n)
        super().__init__(self.name, n, square, extra_action=PASS, options=options)
        self.max_plies = 2 * area
        self.komi = options.komi
        stones = [Plane(0, code) for code in range(1, 2 * MANY + 1)]
        flags = [Plane(2 * area, 1, whole=True), *(Plane(2 * area + 1, ahead, whole=True) for ahead in (1, 2))]
        self.shapes = Shapes(
            board_size=n,
            num_actions=self.num_actions,
            num_seats=2,
            code_length=3 * area + 3,
            declared=(*stones, Plane(area, 1), Plane(2 * area + 2, 1), *flags),
        )
        points = symmetry.over_planes(square, 2)
        flags_stay = np.tile(np.arange(2 * area, 2 * area + 2, dtype=np.int16), (len(square), 1))
        self.code_symmetries: Int16Array = np.hstack([points, flags_stay, self.symmetries + np.int16(2 * area + 2)])
        keys = generator(Stream.KEYS, _SEED).integers(0, 2**64, (2, area), np.uint64)
        self.board = Board(_neighbours(n), keys, round(2 * options.komi))

    def new_states(self, count: int) -> OwnStates:
        """Allocate ``count`` rows, all at the empty board."""
        area = self.board_size**2
        states = GoStates(
            **state_arrays(count, area),
            last=np.empty(count, np.int32),
            liberties=np.empty((count, area), np.int8),
            held=np.empty((count, area), np.uint8),
            hashes=np.empty((count, 2 * area + 1), np.uint64),  # memory that a short game never touches
        )
        self.reset(states, np.arange(count, dtype=np.int32))
        return states

    def reset(self, states: OwnStates, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the empty board."""
        super().reset(states, rows)
        states.liberties[rows] = states.held[rows] = 0
        states.last[rows] = -1
        states.hashes[rows, 0] = 0

    def step(self, states: OwnStates, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        rule_kernels.step(states, parents, actions, children, self.board, self.desk())

    def legal_mask(self, states: OwnStates, rows: IntArray, out: BoolArray) -> None:
        """Write the legal actions of ``rows`` into ``out`` bool [L, A]."""
        rule_kernels.legal_mask(states, rows, out, self.board, self.desk())

    def codes(self, states: OwnStates, rows: IntArray, out: Int8Array) -> None:
        """Write the codes of ``rows`` into ``out`` int8 [L, C]."""
        rule_kernels.codes(states, rows, out, self.board, self.desk())

    def lead(self, cells: Int8Array) -> float:
        """Return black's points less white's with the komi, of cells int8 [points] as they lie."""
        board = np.ascontiguousarray(cells, np.int8)[None]
        return float(rule_kernels.lead(board, self.board, self.desk())) - self.komi

    def why_illegal(self, states: OwnStates, action: int) -> str:
        """Explain which rule forbids a stone on an empty point."""
        if states.winner[0] != ONGOING or not 0 <= action < self.board_size**2:
            return ""
        return _WORDS.get(rule_kernels.forbidden(states, 0, action, self.board, self.desk()), "")

    def desk(self) -> Desk:
        """Return room for one call of a kernel."""
        area = self.board_size**2
        return Desk(np.empty(area, np.int16), np.empty(area, np.int16), np.zeros(area + 1, np.int32))


def _neighbours(n: int) -> Int16Array:
    """List the neighbours of each point of n x n, -1 after the last: int16 [n * n, 4]."""
    table = np.full((n * n, 4), -1, np.int16)
    for row, column in np.ndindex(n, n):
        around = ((row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column))
        inside = [i * n + j for i, j in around if 0 <= i < n and 0 <= j < n]
        table[row * n + column, : len(inside)] = inside
    return table
