"""The protocol that every game follows: batched states, seats and int8 codes.

States live in arrays over R rows that a search, a generator or a test allocates once (`Game.new_states`) and then
addresses by row number; the kernels of a game write rows and allocate nothing.

Words: a *seat* is a player (0 moves first). A *view* says in which frame a state is seen: for Hex the colour to move
(0 black, 1 white). An *absolute action* is a cell index ``row * n + column``, then the actions that are no cell. The
*net frame* is the board as its mover sees it; ``Game.action_view[view, action]`` is an absolute action's place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hexpipe.config import Shapes

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]

ONGOING = -1
"""``States.winner`` of a game that is not over. A draw is ``num_seats``; Hex has none."""


class States(NamedTuple):
    """R states as C-contiguous arrays; handed to numba kernels as it is.

    Shapes: cells int8 [R, n * n] (0 empty, 1 + view of the stone's mover); parents int16 [R, P] (union-find, P = 0
    where a game needs none); to_move int8 [R] (seat); view int8 [R]; winner int8 [R] (-1 ongoing, else a seat, or
    num_seats for a draw); ply int16 [R] (actions played so far).
    """

    cells: Int8Array
    parents: Int16Array
    to_move: Int8Array
    view: Int8Array
    winner: Int8Array
    ply: Int16Array


class Game(Protocol):
    """A game's rules over batches of states. L is the number of rows that one call is about.

    symmetries int16 [num_symmetries, A] and code_symmetries int16 [num_symmetries, C] permute the net frame:
    ``new_policy = old_policy[symmetries[k]]``, ``new_codes = old_codes[code_symmetries[k]]``; row 0 is the identity.
    action_view int16 [num_views, A] maps absolute actions to the net frame; next_view int8 [num_views, A] is the view
    after an action. Seats move in turn.
    """

    @property
    def name(self) -> str: ...
    @property
    def board_size(self) -> int: ...
    @property
    def swap(self) -> bool: ...
    @property
    def num_seats(self) -> int: ...
    @property
    def num_actions(self) -> int: ...
    @property
    def num_views(self) -> int: ...
    @property
    def max_plies(self) -> int: ...
    @property
    def shapes(self) -> Shapes: ...
    @property
    def action_view(self) -> Int16Array: ...
    @property
    def next_view(self) -> Int8Array: ...
    @property
    def symmetries(self) -> Int16Array: ...
    @property
    def code_symmetries(self) -> Int16Array: ...

    def new_states(self, count: int) -> States:
        """``count`` rows, all at the start position."""
        ...

    def reset(self, states: States, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the start position."""
        ...

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play the absolute action actions[i] there, for i in order.

        A parent may be its own child. Neither legality nor the rows' range is checked: this is the hot path.
        """
        ...

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        """Write into ``out`` bool [L, A] which absolute actions are legal; nothing is where a game is over."""
        ...

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the net-frame codes of ``rows`` into ``out`` int8 [L, C]."""
        ...

    def codes_from_cells(self, cells: Int8Array, views: Int8Array, plies: Int16Array, out: Int8Array) -> None:
        """Write what `codes` would write, from absolute cells int8 [B, n * n], views [B] and plies [B] of
        positions that are not over, into ``out`` int8 [B, C]."""
        ...

    def terminal_values(self, states: States, rows: IntArray, out: Float32Array) -> None:
        """Write the outcome of ``rows`` by absolute seat into ``out`` float32 [L, S]; 0 where a game goes on.

        The winner has 1, each other seat -1 / (S - 1); a draw is 0 for all.
        """
        ...

    def action_name(self, action: int) -> str:
        """The absolute action in words: "c3", "swap"."""
        ...

    def parse_action(self, text: str) -> int:
        """The absolute action that ``text`` names; NotationError if it names none on this board."""
        ...

    def render(self, cells: Int8Array) -> str:
        """An ASCII picture of absolute cells int8 [n * n]."""
        ...

    def play(self, moves: Sequence[int]) -> States:
        """One row after ``moves`` from the start; IllegalMoveError names the move that is not legal, and why."""
        ...
