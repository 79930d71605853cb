"""Hex, boards of 3 to 27 cells a side, with or without the swap rule.

Black (seat 0 to begin with) connects top to bottom and moves first, white left to right. Swap is a swap of seats: with
the rule on, the second player may answer the first stone by taking over its colour; stones stay and colours keep
alternating, so the first player, white from then on, plays the next stone.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from hexpipe import kernel_cache
from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.errors import IllegalMoveError, NotationError, SettingsError
from hexpipe.games import boards, coordinates, hex_kernels, symmetry
from hexpipe.games.game_env import (
    ONGOING,
    BoolArray,
    Float32Array,
    Int8Array,
    Int16Array,
    IntArray,
    States,
)
from hexpipe.games.hex_game import HexGame
from hexpipe.games.plain_rules import is_won
from hexpipe.games.player_utils import COLOURS
from hexpipe.games.whole_board import WholeBoard


class Hex(WholeBoard):
    """The rules of Hex as a `game_env.Game`; `WholeBoard` has what is not specific to Hex."""

    name = "hex"

    def __init__(self, board_size: int = 11, swap: bool = False) -> None:
        check_board_size(board_size)
        kernel_cache.need("hex")
        area = board_size**2
        same = np.arange(area, dtype=np.int16)
        super().__init__(
            self.name,
            board_size,
            np.stack([same, symmetry.half_turn(board_size)]),
            extra_action=coordinates.SWAP if swap else "",
            num_parents=area + 4,
            turns_frame=True,
        )
        self.swap = swap
        self.action_view = np.stack(
            [symmetry.with_fixed_tail(cells, int(swap)) for cells in (same, symmetry.transposition(board_size))]
        )
        self.next_view[:, area:] = np.arange(2)[:, None]  # a swap places no stone: the colour to move stays the same

    def reset(self, states: States, rows: IntArray) -> None:
        """Put the rows ``rows`` [L] back to the empty board."""
        hex_kernels.reset(states, rows)

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        """Copy row parents[i] to row children[i] and play actions[i] there; without checks."""
        hex_kernels.step(states, parents, actions, children, self.board_size)

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        """Write the legal absolute actions of ``rows`` into ``out`` bool [L, A]."""
        hex_kernels.legal_mask(states, rows, out)

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        """Write the net-frame codes of ``rows`` into ``out`` int8 [L, C]."""
        hex_kernels.codes(states, rows, self.board_size, out)

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        """Write the codes of positions given as absolute cells int8 [B, n * n] into ``out`` int8 [B, C]."""
        hex_kernels.codes_from_cells(cells, views, plies, self.board_size, out)

    def terminal_values(self, states: States, rows: IntArray, out: Float32Array) -> None:
        """Write 1 for the winner and -1 for the loser, 0 while a game goes on, into ``out`` float32 [L, 2]."""
        hex_kernels.terminal_values(states, rows, out)

    def parse_action(self, text: str, origin: object = None) -> int:
        """Return the action that ``text`` names; NotationError if this board has none."""
        return coordinates.parse_action(text, self.board_size, swap=self.swap)

    def render(self, cells: Int8Array) -> str:
        """Draw an ASCII picture of absolute cells int8 [n * n]."""
        return boards.render(cells, self.board_size)

    def why_illegal(self, states: States, action: int) -> str:
        """Explain an illegal ``action``: colours win, not seats; and the rules of a swap."""
        if states.winner[0] != ONGOING:
            return f"{COLOURS[1 - states.view[0]]} has already won"
        if action == self.board_size**2:
            return "swap can only answer the first stone" if self.swap else "the swap rule is off"
        return ""


def check_board_size(board_size: int) -> None:
    """Raise SettingsError if Hex has no board of ``board_size`` cells a side."""
    if not MIN_HEX_SIZE <= board_size <= MAX_HEX_SIZE:
        words = f"game.board_size: Hex boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side"
        raise SettingsError(words, kind="range", setting="game.board_size", low=MIN_HEX_SIZE, high=MAX_HEX_SIZE)


def checked_game(game: HexGame) -> HexGame:
    """Play ``game`` by the rules and set the winner from the board; NotationError for an illegal move.

    A result that contradicts the board is replaced, with a note.
    """
    check_board_size(game.size)
    try:
        won = is_won(game.moves, game.size, game.swapped)
    except IllegalMoveError as error:
        raise NotationError(_as_written(str(error), game), kind=error.kind, move=error.move) from error
    if not won:
        return game
    winner = 1 - game.to_move  # the player of the last stone
    if game.winner in (None, winner):
        return dataclasses.replace(game, winner=winner)
    note = f"{COLOURS[game.winner]} is said to have won, but {COLOURS[winner]}'s stones connect"
    return dataclasses.replace(game, winner=winner, ending="", notes=(*game.notes, note))


def _as_written(message: str, game: HexGame) -> str:
    """Rewrite ``message`` about "move 5 (b3)" with that move as in the text of ``game``, whose colours may differ."""
    if game.swapped:
        message = re.sub(r"(black|white) has already won", "the game is won already", message)
    return re.sub(r"\bmove (\d+) \([^)]*\)", lambda match: f"move {match[1]} ({game.word(int(match[1]))})", message)
