"""Tiny games whose values are known, as `game_env.Game`s: states hold the moves played, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexpipe.config import Shapes
from hexpipe.games.game_env import ONGOING, States


class ToyGame:
    """A game of exactly ``plies`` moves, all actions always legal; seats move in turn, each sees its own frame.

    Cells hold the moves made plus 1, in order, so that `winner_of` can tell the winner from them. In the frame of view
    v the action a stands at (a + v) % A.
    """

    name = "toy"
    swap = False

    def __init__(self, num_seats: int, plies: int, num_actions: int) -> None:
        self.num_seats = self.num_views = num_seats
        self.max_plies = plies
        self.num_actions = num_actions
        self.board_size = int(np.ceil(np.sqrt(max(plies, num_actions))))
        self._cells = self.board_size**2
        self.shapes = Shapes(self.board_size, num_actions, num_seats, self._cells + 1)
        frames = [(np.arange(num_actions) + v) % num_actions for v in range(num_seats)]
        self.action_view = np.array(frames, np.int16)
        self.next_view = np.array([[(v + 1) % num_seats] * num_actions for v in range(num_seats)], np.int8)
        self.symmetries = self.action_view[:1]
        self.code_symmetries = np.arange(self._cells + 1, dtype=np.int16)[None]

    def winner_of(self, moves: Sequence[int]) -> int:
        """The seat that wins the finished game of ``moves``, or num_seats for a draw."""
        raise NotImplementedError

    def new_states(self, count: int) -> States:
        return States(
            np.zeros((count, self._cells), np.int8),
            np.zeros((count, 0), np.int16),
            np.zeros(count, np.int8),
            np.zeros(count, np.int8),
            np.full(count, ONGOING, np.int8),
            np.zeros(count, np.int32),
            np.full(count, -1, np.int32),
            np.zeros((count, 2), np.int16),
            np.zeros((count, 0), np.int16),
            np.zeros((count, 0), np.int16),
        )

    def reset(self, states: States, rows: np.ndarray) -> None:
        for array, value in zip(states, (0, 0, 0, 0, ONGOING, 0, -1, 0, 0, 0), strict=True):
            array[rows] = value

    def step(self, states: States, parents: np.ndarray, actions: np.ndarray, children: np.ndarray) -> None:
        for parent, action, child in zip(parents, actions, children, strict=True):
            for array in states:
                array[child] = array[parent]
            assert states.winner[child] == ONGOING
            assert 0 <= action < self.num_actions
            ply = int(states.ply[child])
            states.cells[child, ply] = action + 1
            states.ply[child] = ply + 1
            states.to_move[child] = states.view[child] = (ply + 1) % self.num_seats
            if ply + 1 == self.max_plies:
                states.winner[child] = self.winner_of((states.cells[child, : ply + 1] - 1).tolist())

    def legal_mask(self, states: States, rows: np.ndarray, out: np.ndarray) -> None:
        out[...] = (states.winner[rows] == ONGOING)[:, None]

    def codes(self, states: States, rows: np.ndarray, out: np.ndarray) -> None:
        out[:, : self._cells] = states.cells[rows]
        out[:, self._cells] = states.view[rows]

    def codes_from_cells(
        self, cells: np.ndarray, views: np.ndarray, plies: np.ndarray, origins: np.ndarray, out: np.ndarray
    ) -> None:
        out[:, : self._cells] = cells
        out[:, self._cells] = views

    def terminal_values(self, states: States, rows: np.ndarray, out: np.ndarray) -> None:
        out[...] = 0
        for i, winner in enumerate(states.winner[rows]):
            if 0 <= winner < self.num_seats:
                out[i] = -1 / (self.num_seats - 1)
                out[i, winner] = 1

    def cell_name(self, cell: int) -> str:
        return str(cell)

    def parse_cell(self, text: str) -> int:
        return int(text)

    def action_name(self, action: int) -> str:
        return str(action)

    def parse_action(self, text: str) -> int:
        return int(text)

    def render(self, cells: np.ndarray) -> str:
        return str(cells.tolist())

    def play(self, moves: Sequence[int]) -> States:
        states, row = self.new_states(1), np.zeros(1, np.int32)
        for action in moves:
            self.step(states, row, np.array([action], np.int32), row)
        return states


class HalvesGame(ToyGame):
    """The winner is a fixed arithmetic mess of the moves, each seat often enough; some games are draws."""

    def winner_of(self, moves: Sequence[int]) -> int:
        return sum((k + 1) ** 2 * (action + 1) for k, action in enumerate(moves)) % (self.num_seats + 1)


class Bandit(ToyGame):
    """One move; the first seat wins with ``winning`` only."""

    def __init__(self, num_actions: int, winning: int) -> None:
        super().__init__(2, 1, num_actions)
        self.winning = winning

    def winner_of(self, moves: Sequence[int]) -> int:
        return 0 if moves[0] == self.winning else 1


class Trap(ToyGame):
    """Two moves. Action 0 loses to the one reply 3 and wins against all others; action 1 always draws; else a loss."""

    def __init__(self) -> None:
        super().__init__(2, 2, 4)

    def winner_of(self, moves: Sequence[int]) -> int:
        first, reply = moves
        if first == 0:
            return 1 if reply == 3 else 0
        return 2 if first == 1 else 1


class KingMaker(ToyGame):
    """Three seats, three moves. Seat 0 leaves the choice to seat 1 (action 0) or to seat 2 (action 1).

    Seat 1, given the choice, can win (its action 1) or make seat 0 win (its action 0); seat 2, given it, can win (its
    action 0) or make seat 0 win. With good play seat 0 never wins, and who does hangs on its move.
    """

    def __init__(self) -> None:
        super().__init__(3, 3, 2)

    def winner_of(self, moves: Sequence[int]) -> int:
        if moves[0] == 0:
            return 1 if moves[1] == 1 else 0
        return 2 if moves[2] == 0 else 0
