"""n in a row: two or three players, square boards of 3 to 200 cells a side.

Seats place a stone in turn; the first with ``win_length`` or more in a row, down, across or diagonally, wins. A full
board, or the move cap, is a draw. With ``row_rule`` "exact" more than ``win_length`` do not win, as in standard gomoku.
With "renju" they do for seat 1 alone; seat 0 may not make them, nor two fours or two threes at once: such moves are not
legal (`renju_kernels`). The rules of renju let a player pass, and a game in which both do is a draw; here nobody
passes, and where seat 0 has no legal move the game is a draw.

Large boards are played through a local view (`game_env`): only its cells are actions, and the net may see the whole
board as a thumbnail beside it, in which board row r is in the bucket floor((2r + 1) V / 2n).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import InARowOptions, Shapes
from hexpipe.config.game import OFF_BOARD
from hexpipe.errors import NotationError
from hexpipe.games import boards, chain_kernels, coordinates, inarow_kernels, renju_kernels, symmetry
from hexpipe.games.checked_play import checked_play
from hexpipe.games.game_env import (
    ONGOING,
    BoolArray,
    Float32Array,
    Int8Array,
    Int16Array,
    IntArray,
    States,
    UInt8Array,
)
from hexpipe.games.local_view import LocalView

_FORBIDDEN = {
    renju_kernels.OVERLINE: "an overline, six or more in a row, is forbidden to black",
    renju_kernels.DOUBLE_FOUR: "two fours at once are forbidden to black",
    renju_kernels.DOUBLE_THREE: "two threes at once are forbidden to black",
}


class InARow:
    """The rules of n in a row as a `game_env.Game`."""

    name = "inarow"
    swap = False

    def __init__(self, settings: InARowOptions) -> None:
        """Make the game that ``settings`` describe."""
        kernel_cache.need("inarow")
        chosen = settings.inarow_rules()
        n, v, seats = chosen.board_size, chosen.view_size, chosen.players
        self.board_size = n
        self.num_seats = self.num_views = seats
        self.win_length = chosen.win_length
        self.num_actions = v * v
        self.max_plies = chosen.max_plies
        self.local_view = LocalView(n, v)
        self.bucket_cells = self.local_view.bucket_cells()
        self.terms: dict[str, Any] = {
            "game": self.name,
            "board_size": n,
            "players": seats,
            "win_length": chosen.win_length,
            "move_cap": chosen.max_plies,
            "draws": "ranked" if chosen.ranked_draws else "shared",
            "placement_rewards": [*chosen.placement_rewards],
            "view_size": v,
        }
        if chosen.row_rule != "free":  # games from before there was another one have no word of it
            self.terms["row_rule"] = chosen.row_rule
        self._renju = chosen.row_rule == "renju"
        self._longer_from: int | None = {"free": None, "exact": seats, "renju": 1}[chosen.row_rule]
        self._longest_profile = self.win_length if chosen.row_rule == "free" else n
        self._rewards = np.array(chosen.placement_rewards, np.float32)
        self._ranked_draws = chosen.ranked_draws
        planes = 1 + (seats + 1) * chosen.thumbnail
        self.shapes = Shapes(
            board_size=n,
            num_actions=v * v,
            num_seats=seats,
            code_length=planes * v * v,
            view_size=v,
            thumbnail=chosen.thumbnail,
            threats=True,
        )
        buckets = self.local_view.buckets()
        sizes = np.bincount(buckets, minlength=v)
        areas = np.outer(sizes, sizes).ravel()
        self.rules = inarow_kernels.Rules(
            board_size=n,
            view_size=v,
            num_seats=seats,
            win_length=self.win_length,
            max_plies=self.max_plies,
            thumbnail=chosen.thumbnail,
            buckets=buckets,
            shades=np.where(areas > 0, 127 / np.maximum(areas, 1), 0.0),
        )
        self.action_view: Int16Array = np.tile(np.arange(v * v, dtype=np.int16), (seats, 1))
        self.next_view: Int8Array = np.tile((np.arange(seats, dtype=np.int8)[:, None] + 1) % seats, (1, v * v))
        self.symmetries: Int16Array = symmetry.square_symmetries(v)
        self.code_symmetries: Int16Array = symmetry.over_planes(self.symmetries, planes)

    def new_states(self, count: int) -> States:
        """Allocate ``count`` rows, all at the empty board."""
        pooled = self.num_seats * self.num_actions if self.shapes.thumbnail else 0
        states = States(
            cells=np.empty((count, self.board_size**2), np.int8),
            parents=np.empty((count, 0), np.int16),
            to_move=np.empty(count, np.int8),
            view=np.empty(count, np.int8),
            winner=np.empty(count, np.int8),
            ply=np.empty(count, np.int32),
            last=np.empty(count, np.int32),
            origin=np.empty((count, 2), np.int16),
            pooled=np.empty((count, pooled), np.int16),
            longest=np.empty((count, self.num_seats), np.int16),
        )
        inarow_kernels.reset(states, np.arange(count, dtype=np.int32), self.rules)
        return states

    def reset(self, states: States, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the empty board."""
        inarow_kernels.reset(states, rows, self.rules)

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        if self._longer_from is None:
            inarow_kernels.step(states, parents, actions, children, self.rules)
        else:
            inarow_kernels.step_strictly(states, parents, actions, children, self.rules, self._longer_from, self._renju)

    def place_views(self, states: States, rows: IntArray, centres: IntArray) -> None:
        """Put the views of ``rows`` [L] around the cells ``centres`` [L], -1 for around the last stone.

        A view without an empty cell moves to the nearest place with one: see `local_view_kernels.place_view`.
        """
        inarow_kernels.place_views(states, rows, centres, self.rules)

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        """Write the legal absolute actions of ``rows`` into ``out`` bool [L, A]."""
        inarow_kernels.legal_mask(states, rows, self.rules, out)
        if self._renju:
            self._shut(states.cells, rows, states.view, states.origin, False, out)

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the net-frame codes of ``rows`` (see `Shapes`) into ``out`` int8 [L, C]."""
        inarow_kernels.codes(states, rows, self.rules, out)
        if self._renju:
            self._shut(states.cells, rows, states.view, states.origin, np.int8(OFF_BOARD), out)

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        """Write the codes of positions given as board cells int8 [B, n * n] into ``out`` int8 [B, C]."""
        pooled = np.empty((1, self.num_seats * self.num_actions), np.int16)
        inarow_kernels.codes_from_cells(cells, views, origins, self.rules, pooled, out)
        if self._renju:
            self._shut(cells, np.arange(len(cells), dtype=np.int32), views, origins, np.int8(OFF_BOARD), out)

    def _shut(
        self, cells: Int8Array, rows: IntArray, views: Int8Array, origins: Int16Array, value: np.int8 | bool, out: Any
    ) -> None:
        """Write ``value`` to the actions in ``out`` that renju forbids (`renju_kernels.shut`)."""
        renju_kernels.shut(cells, rows, views, origins, self.board_size, self.local_view.view_size, value, out)

    def threat_levels(self, states: States, rows: IntArray, out: UInt8Array) -> None:
        """Write the threat levels of ``rows`` (`chain_kernels.threat_levels`) into ``out`` uint8 [L]."""
        chain_kernels.threat_levels(states.longest, rows, self.win_length, out)

    def replay_threats(self, actions: Int16Array, origins: Int16Array, out: UInt8Array) -> None:
        """Write the threat levels before each ply of the game of ``actions`` int16 [T] into ``out`` uint8 [T]."""
        inarow_kernels.replay_threats(self.new_states(1), actions, origins, self.rules, out)

    def terminal_values(self, states: States, rows: IntArray, out: Float32Array) -> None:
        """Write the rewards of the seats' places, 0 while a game goes on, into ``out`` float32 [L, S].

        The winner is first; the other seats, and in a ranked draw all of them, are ordered by their profiles of chains
        (`chain_kernels`); equal ones share the mean of their places' rewards.
        """
        counts = np.empty((self.num_seats, self._longest_profile + 1), np.int32)
        chain_kernels.terminal_values(states, rows, self.board_size, self._rewards, self._ranked_draws, counts, out)

    def cell_of_action(self, action: int, origin: Int16Array | None = None) -> int:
        """Return the board cell of the absolute action, -1 if that is off the board."""
        return self.local_view.cell_of_action(action, origin)

    def action_of_cell(self, cell: int, origin: Int16Array | None = None) -> int:
        """Return the absolute action that plays the board's ``cell``, -1 if it is outside the local view."""
        return self.local_view.action_of_cell(cell, origin)

    def cell_name(self, cell: int) -> str:
        """Return the name of the board's ``cell``: "c3", "aa7"."""
        return coordinates.cell_name(cell, self.board_size)

    def parse_cell(self, text: str) -> int:
        """Return the cell that ``text`` names; NotationError if this board has none."""
        return coordinates.parse_cell(text, self.board_size)

    def action_name(self, action: int, origin: Int16Array | None = None) -> str:
        """Return the name of the action's cell, or "action 7" if that is off the board."""
        cell = self.cell_of_action(action, origin)
        return f"action {action}" if cell < 0 else self.cell_name(cell)

    def parse_action(self, text: str, origin: Int16Array | None = None) -> int:
        """Return the action that plays the cell ``text`` names; NotationError if it is off the board or outside the
        view."""
        action = self.action_of_cell(self.parse_cell(text), origin)
        if action < 0:
            top, left = (self.local_view.start if origin is None else origin).tolist()
            n, v = self.board_size, self.local_view.view_size
            first, last = self.cell_name(top * n + left), self.cell_name((top + v - 1) * n + left + v - 1)
            raise NotationError(
                f"{text!r} is outside the local view, which goes from {first} to {last}", kind="coordinate"
            )
        return action

    def render(self, cells: Int8Array) -> str:
        """Draw an ASCII picture of board cells int8 [n * n]."""
        return boards.render_square(cells, self.board_size)

    def play(self, moves: Sequence[int]) -> States:
        """Return one row after ``moves``; IllegalMoveError names the move that is not legal, and why."""
        return checked_play(self, moves, self._why_illegal)

    def _why_illegal(self, states: States, action: int) -> str:
        """Return what of renju's forbids ``action`` in row 0; an empty text where nothing does."""
        ongoing = self._renju and states.winner[0] == ONGOING and states.to_move[0] == 0
        cell = self.cell_of_action(action, states.origin[0]) if ongoing and 0 <= action < self.num_actions else -1
        if cell < 0 or states.cells[0, cell]:
            return ""
        n = self.board_size
        return _FORBIDDEN.get(renju_kernels.judged(states.cells, 0, cell // n, cell % n, n), "")
