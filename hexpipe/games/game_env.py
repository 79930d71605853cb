"""The protocol of all games: batched states, seats and int8 codes.

States live in arrays over R rows that a search, a generator or a test allocates once (`Game.new_states`) and then
addresses by row number; the kernels of a game write rows and allocate nothing.

Terms: a *seat* is a player (0 moves first). A *view* is the frame in which a state is seen: for Hex the colour to move
(0 black, 1 white), for n in a row the seat to move. A *cell* is a board index ``row * n + column``. The *local view* is
the window of V x V cells that a state is seen through, known by its *origin*: the board row and column of its first
cell. An *absolute action* is a cell of the local view (``i * V + j`` is the board's cell at origin + (i, j)), then the
actions that are no cell; where the view is the whole board, as for Hex, cells and actions are the same. The *net frame*
is the view as its mover sees it; ``Game.action_view[view, action]`` is an absolute action's place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from hexpipe.config import Shapes

Int8Array = npt.NDArray[np.int8]
UInt8Array = npt.NDArray[np.uint8]
Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]

ONGOING = -1
"""``States.winner`` of a game that is not over. A draw is ``num_seats``; Hex has none."""


class States(NamedTuple):
    """R states as C-contiguous arrays; passed to numba kernels as it is.

    A game whose replay does not place stones (`places_stones`) may have a named tuple of its own: cells, to_move, view,
    winner, ply and origin as here, and any further arrays [R, ...].

    Shapes: cells int8 [R, n * n] (0 empty, 1 + view of the stone's mover); parents int16 [R, P] (union-find, P = 0 for
    games without); to_move int8 [R] (seat); view int8 [R]; winner int8 [R] (-1 ongoing, else a seat, or num_seats for a
    draw); ply int32 [R] (actions played so far); last int32 [R] (cell of the last stone, -1 before there is one, and
    always where a game's views stay put); origin int16 [R, 2] (of the local view, negative where that is larger than
    the board); pooled int16 [R, S * V * V] (stones of each seat in each bucket of the thumbnail; [R, 0] without one);
    longest int16 [R, S] (stones in each seat's longest chain; [R, 0] for games without).
    """

    cells: Int8Array
    parents: Int16Array
    to_move: Int8Array
    view: Int8Array
    winner: Int8Array
    ply: Int32Array
    last: Int32Array
    origin: Int16Array
    pooled: Int16Array
    longest: Int16Array


OwnStates = Any
"""A named tuple of a game's own, see `States`."""


class Game(Protocol):
    """A game's rules over batches of states. L is the number of rows in one call.

    For views of the whole board `whole_board.WholeBoard` has most of this, and README.md beside this module develops
    such a game step by step. Larger boards need more: `LocalViewGame`.

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
    def terms(self) -> dict[str, Any]:
        """All that a game's moves and outcome depend on, to be stored with them: names and JSON values."""
        ...

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
        """Allocate ``count`` rows, all at the initial position."""
        ...

    def reset(self, states: States, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the initial position."""
        ...

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play the absolute action actions[i] there, for i in order.

        A parent may be its own child. Neither legality nor the rows' range is checked: this is a hot path.
        """
        ...

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        """Write into ``out`` bool [L, A] which absolute actions are legal: at least one, or none if the game is
        over."""
        ...

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the net-frame codes of ``rows`` into ``out`` int8 [L, C]."""
        ...

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        """Write what `codes` would write, from cells of positions that are not over, into ``out`` int8 [B, C].

        Board cells int8 [B, n * n], views [B], plies [B] and origins int16 [B, 2].
        """
        ...

    def terminal_values(self, states: States, rows: IntArray, out: Float32Array) -> None:
        """Write the outcome of ``rows`` by absolute seat into ``out`` float32 [L, S]; 0 while a game is not over.

        Values are in [-1, 1]. Of two seats the winner has 1 and the loser -1. More seats are ranked, the winner first,
        and get the game's reward for their places. A draw is 0 for all unless the game ranks seats in a draw.
        """
        ...

    def cell_name(self, cell: int) -> str:
        """Return the name of the board's cell: "c3"."""
        ...

    def parse_cell(self, text: str) -> int:
        """Return the cell that ``text`` names; NotationError if this board has no such cell."""
        ...

    def action_name(self, action: int) -> str:
        """Return the name of the absolute action in the initial position: "c3", "swap"."""
        ...

    def parse_action(self, text: str) -> int:
        """Return the absolute action in the initial position that ``text`` names; NotationError if it names none."""
        ...

    def render(self, cells: Int8Array) -> str:
        """Draw an ASCII picture of absolute cells int8 [n * n]."""
        ...

    def play(self, moves: Sequence[int]) -> States:
        """Return one row after ``moves`` from the start; IllegalMoveError names the move that is not legal, and why."""
        ...


class LocalViewGame(Game, Protocol):
    """The further protocol of games whose board may be larger than the view: n in a row.

    `moves_view` and `tells_threats` tell whether a `Game` is one, and of what kind.
    """

    @property
    def bucket_cells(self) -> Int32Array:
        """Middle cell of each of a thumbnail's buckets, where a net may look: int32 [V * V], -1 for an empty bucket."""
        ...

    def place_views(self, states: States, rows: IntArray, centres: IntArray) -> None:
        """Put the local views of ``rows`` [L] around the cells ``centres`` [L], -1 for around the last stone.

        Views stay on the board, and a view without a legal move is moved to the nearest place with one. This changes
        the meaning of these rows' actions. `step` keeps the parent's view, unless it is full after the move; then it is
        placed around that move. Does nothing if the view is the whole board.
        """
        ...

    def threat_levels(self, states: States, rows: IntArray, out: UInt8Array) -> None:
        """Write the threat levels of ``rows`` into ``out`` uint8 [L], two bits a seat, seat 0 lowest.

        A seat's level is how many of win_length - 3, - 2 and - 1 its longest chain reaches. Only with
        ``shapes.threats``.
        """
        ...

    def replay_threats(self, actions: Int16Array, origins: Int16Array, out: UInt8Array) -> None:
        """Write the threat levels before each ply of a game into ``out`` uint8 [T], by replaying it.

        Its ``actions`` int16 [T] are legal, in views at ``origins`` int16 [T, 2] ([0, 2] for fixed views).
        """
        ...


class PieceGame(Game, Protocol):
    """The further protocol of games whose every move takes a piece from one cell to another: Breakthrough.

    An action may be one move of a seat and another one of the next, so that its name depends on who plays it.
    `moves_pieces` tells whether a `Game` is one.
    """

    def move_cells(self, action: int, seat: int) -> tuple[int, int] | None:
        """Return the cell where the piece stands that ``seat`` moves by ``action``, and the one where it goes.

        None where one of them is off the board, so that the action is never legal.
        """
        ...

    def move_name(self, action: int, seat: int) -> str:
        """Return the name of ``action`` where ``seat`` plays it: "a2a3"."""
        ...

    def parse_move(self, text: str, seat: int) -> int:
        """Return the action of ``seat`` that ``text`` names; NotationError if it names none."""
        ...


def moves_pieces(game: Game) -> TypeGuard[PieceGame]:
    """Return whether moves of ``game`` take a piece from one cell to another."""
    return hasattr(game, "move_cells")


def moves_view(game: Game) -> TypeGuard[LocalViewGame]:
    """Return whether the local view of ``game`` is smaller than its board, so that it moves."""
    return game.shapes.view_size < game.board_size


def places_stones(game: Game) -> bool:
    """Return whether a move of ``game`` places one stone of its mover, or none, and changes no other cell.

    That is so unless a game sets ``places_stones = False``. The replay then rebuilds a position by placing stones, and
    otherwise by the game's own `step` from a snapshot (`snapshot_bits`).
    """
    return bool(getattr(game, "places_stones", True))


def snapshot_bits(game: Game) -> dict[str, int]:
    """Return which arrays of its states a game's snapshots keep, with the bits of each element: 1, 2 or 4 for numbers
    from 0 to 2 ** bits - 1, or 8, 16, 32, 64 for any that fit.

    Together with ply, seat and view they tell a position. A game says so in ``snapshot_bits``; one that says {} is
    played anew from its start. By default they are cells and parents, as they are.
    """
    told: dict[str, int] = getattr(game, "snapshot_bits", {"cells": 8, "parents": 16})
    return told


def tells_threats(game: Game) -> TypeGuard[LocalViewGame]:
    """Return whether ``game`` has threat levels."""
    return game.shapes.threats


def as_stages(games: Game | Sequence[Game]) -> tuple[Game, ...]:
    """Return the stages of a curriculum in order (`factory.make_stages`); for one game that alone."""
    return tuple(games) if isinstance(games, Sequence) else (games,)
