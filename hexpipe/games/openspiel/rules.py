"""A game of OpenSpiel as one of hexpipe's: any that is deterministic, open and sequential, for two or three.

Seats move in turn here. Where OpenSpiel has the same player move twice, the others pass in between. What the net sees
is OpenSpiel's observation of the mover, as float16 numbers: a plane each where the tensor is one of planes, else a
vector, on a board of one cell. To that come planes that say who is to move, which some observations do not tell, and
whether the mover must pass.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from hexpipe.config import NUMBERS, OpenSpielOptions, Plane, Shapes
from hexpipe.config.openspiel_options import openspiel_name
from hexpipe.errors import NotationError
from hexpipe.games.game_env import (
    ONGOING,
    BoolArray,
    Float32Array,
    Int8Array,
    Int16Array,
    Int32Array,
    IntArray,
    OwnStates,
)
from hexpipe.games.openspiel.loading import load_spiel_game, tensor_planes
from hexpipe.games.whole_board import SteppedBoard, state_arrays

PASS = "pass"
_NUMBERED = re.compile(r"m(0|[1-9][0-9]{0,5})")
MAX_PLIES = 1000
"""A longer game is a draw; some of OpenSpiel's may take 20,000 moves."""


class SpielStates(NamedTuple):
    """R states: `game_env.States` without what is not needed here, and ``state`` object [R], each a ``pyspiel.State``.

    Those are never changed: rows may share one, and it is freed with the last row that has it. ``cells`` are the stones
    of a picture, where actions are cells; else they are empty.
    """

    cells: Int8Array
    to_move: Int8Array
    view: Int8Array
    winner: Int8Array
    ply: Int32Array
    origin: Int16Array
    state: npt.NDArray[np.object_]


class OpenSpiel(SteppedBoard):
    """The rules of a game of OpenSpiel as a `game_env.Game`."""

    snapshot_bits: ClassVar[dict[str, int]] = {}  # OpenSpiel's states know their history: a position is played anew

    def __init__(self, options: OpenSpielOptions) -> None:
        """Make the game; SettingsError where it is not there, or hexpipe cannot play it (`loading.load_spiel_game`)."""
        self.spiel = spiel = load_spiel_game(openspiel_name(options.name) or "")
        self._planes, rows, columns = tensor_planes(spiel.observation_tensor_shape())
        cells = np.arange(rows * columns, dtype=np.int16)[None]
        super().__init__(options.name, rows, cells, board_width=columns, num_seats=spiel.num_players())
        self._start = spiel.new_initial_state()
        self._first: int = self._start.current_player()  # seat 0; in OpenSpiel's chess that is player 1
        self.pass_action: int = spiel.num_distinct_actions()
        self.num_actions = actions = self.pass_action + 1
        self.max_plies = min(MAX_PLIES, self.num_seats * spiel.max_game_length())
        self._numbers = self._planes * rows * columns
        seat_at = 2 * self._numbers
        self._legal_at = seat_at + 1
        whole, step = (rows, columns) == (1, 1), 2 * rows * columns
        self.shapes = Shapes(
            board_size=rows,
            board_width=columns,
            num_actions=actions,
            num_seats=self.num_seats,
            code_length=self._legal_at + actions,
            cell_actions=int(self.pass_action - rows * columns in (0, 1) and not whole),
            declared=(
                *(Plane(number * step, NUMBERS) for number in range(self._planes)),
                *(Plane(seat_at, seat, whole=True) for seat in range(1, self.num_seats)),
                Plane(self._legal_at + self.pass_action, 1, whole=True),
            ),
        )
        every, codes = np.arange(actions, dtype=np.int16), np.arange(self.shapes.code_length, dtype=np.int16)
        turn = (np.arange(self.num_seats, dtype=np.int8) + 1) % self.num_seats
        self.action_view = np.tile(every, (self.num_seats, 1))
        self.next_view = np.tile(turn[:, None], (1, actions)).astype(np.int8)
        self.symmetries, self.code_symmetries = every[None], codes[None]
        self._colours: list[int] | None = None
        if self.shapes.cell_actions:
            self._colours = self._colour_planes()

    def new_states(self, count: int) -> OwnStates:
        """Allocate ``count`` rows, all at the initial position."""
        states = SpielStates(
            **state_arrays(count, self.shapes.board_cells),
            state=np.empty(count, np.object_),
        )
        self.reset(states, np.arange(count, dtype=np.int32))
        return states

    def reset(self, states: OwnStates, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the initial position."""
        super().reset(states, rows)
        states.state[rows] = self._start

    def step(self, states: OwnStates, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        for parent, action, child in zip(parents.tolist(), actions.tolist(), children.tolist(), strict=True):
            state, ply = states.state[parent], states.ply[parent] + 1
            states.cells[child] = states.cells[parent]
            if action != self.pass_action:
                state = state.child(action)
                self._draw(states.cells[child], state, action, states.to_move[parent])
            states.state[child], states.ply[child] = state, ply
            states.to_move[child] = states.view[child] = ply % self.num_seats
            states.winner[child] = self._winner(state, ply)

    def _player(self, seat: int) -> int:
        """Return OpenSpiel's number of a seat."""
        return (self._first + seat) % self.num_seats

    def _returns(self, state: Any) -> list[float]:
        """Return a finished game's rewards by seat."""
        returns = state.returns()
        return [returns[self._player(seat)] for seat in range(self.num_seats)]

    def _winner(self, state: Any, ply: int) -> int:
        if state.is_terminal():
            returns = self._returns(state)
            return returns.index(1) if returns.count(1) == 1 else self.num_seats
        return self.num_seats if ply >= self.max_plies else ONGOING

    def _legal(self, state: Any, seat: int) -> list[int]:
        """Return the actions of a game that goes on; to pass where OpenSpiel has another player move."""
        if state.current_player() != self._player(seat):
            return [self.pass_action]
        legal: list[int] = state.legal_actions()
        return legal

    def legal_mask(self, states: OwnStates, rows: IntArray, out: BoolArray) -> None:
        """Write the legal actions of ``rows`` into ``out`` bool [L, A]."""
        out[:] = False
        for k, row in enumerate(rows.tolist()):
            if states.winner[row] == ONGOING:
                out[k, self._legal(states.state[row], states.to_move[row])] = True

    def codes(self, states: OwnStates, rows: IntArray, out: Int8Array) -> None:
        """Write the codes of ``rows`` into ``out`` int8 [L, C]; of a game that is over all 0."""
        out[:] = 0
        for k, row in enumerate(rows.tolist()):
            if states.winner[row] == ONGOING:
                seat = int(states.view[row])
                seen = np.array(states.state[row].observation_tensor(self._player(seat)), np.float32).astype(np.float16)
                out[k, : 2 * self._numbers] = seen.view(np.int8)
                out[k, 2 * self._numbers] = seat
                out[k, [self._legal_at + action for action in self._legal(states.state[row], seat)]] = 1

    def terminal_values(self, states: OwnStates, rows: IntArray, out: Float32Array) -> None:
        """Write OpenSpiel's returns into float32 [L, S]; 0 while a game goes on, and where it was too long."""
        out[:] = 0
        for k, row in enumerate(rows.tolist()):
            if states.state[row].is_terminal():
                out[k] = self._returns(states.state[row])

    def _seen(self, state: Any) -> Float32Array:
        """Return what seat 0 sees: float32 [planes, cells]."""
        return np.array(state.observation_tensor(self._first), np.float32).reshape(self._planes, -1)

    def _draw(self, cells: Int8Array, state: Any, action: int, mover: int) -> None:
        """Write the stones of ``state``, which ``action`` led to, into ``cells`` int8 [cells].

        At a game's end there is no tensor: its last stone is put beside those before.
        """
        if self._colours is None:
            return
        if state.is_terminal():
            if action < len(cells):
                cells[action] = 1 + mover
            return
        planes = self._seen(state)
        cells[:] = 0
        for seat, number in enumerate(self._colours):
            cells[planes[number] == 1] = 1 + seat

    def _colour_planes(self) -> list[int] | None:
        """Return which plane shows each seat's stones to seat 0, from a stone of each; None where none does."""
        state, found = self._start, []
        for _ in range(self.num_seats):
            action = state.legal_actions()[0]
            before, state = state, state.child(action)
            if state.is_terminal() or action >= self.shapes.board_cells:
                return None
            shown = (self._seen(state)[:, action] == 1) & (self._seen(before)[:, action] != 1)
            if not shown.any():
                return None
            found.append(int(np.flatnonzero(shown)[0]))
        return found

    def cell_of_action(self, action: int, origin: object = None) -> int:
        """Return the cell of the action, -1 if it is none."""
        return action if self.shapes.cell_actions and action < self.shapes.board_cells else -1

    def action_name(self, action: int, origin: object = None) -> str:
        """Return the name of the action: its cell where it is one, "m" and OpenSpiel's number, or "pass"."""
        if action == self.pass_action:
            return PASS
        return self.cell_name(action) if self.cell_of_action(action) >= 0 else f"m{action}"

    def parse_action(self, text: str, origin: object = None) -> int:
        """Return the action that ``text`` names; NotationError if this game has none."""
        word = text.strip().lower()
        if word == PASS:
            return self.pass_action
        if number := _NUMBERED.fullmatch(word):
            action = int(number[1])
            if action < self.pass_action and self.cell_of_action(action) < 0:
                return action
        if self.shapes.cell_actions:
            return self.parse_cell(text)
        words = f"{word[:20]!r} is no move: write pass, or m and OpenSpiel's number, m0 to m{self.pass_action - 1}"
        raise NotationError(words, kind="coordinate")
