"""The game that a controller has put on a board: stones of either colour in any order, taken back one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hexpipe.errors import IllegalMoveError
from hexpipe.games.game_env import ONGOING, States
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import COLOURS
from hexpipe.games.set_up import SetUp, place_stones, stones_of
from hexpipe.notation.format_conversion import SWAP, cell_name, parse_cell, render

SWAP_WORD = "swap-pieces"
"""What HexGui and benzene call a swap of sides: no stone moves, and white goes on."""
RESIGN = "resign"

_SWAPS = (SWAP, "swap-pieces", "swap-sides")


class Play(NamedTuple):
    """A play of ``colour``: a stone on ``cell``, or else the ``word`` for something that is no stone."""

    colour: int
    cell: int
    word: str


class HtpGame:
    """The stones on a board of ``size`` cells a side, and whether white may swap after black's first stone."""

    def __init__(self, size: int, allow_swap: bool) -> None:
        self.size = size
        self.allow_swap = allow_swap
        self.plays: list[Play] = []
        self._start = SetUp()
        self.resigned: int | None = None
        """The colour that gave up in this position; no play, since GUIs keep none for it to take back."""
        self._rules = Hex(size)
        self._states: States = self._rules.new_states(1)

    @property
    def to_move(self) -> int:
        """The colour to move after the last play, 0 black or 1 white: the other one, after a swap white again."""
        if not self.plays:
            return self._start.to_move
        last = self.plays[-1]
        return last.colour if last.word == SWAP_WORD else 1 - last.colour

    @property
    def winner(self) -> int | None:
        """The colour that has connected its edges, None while there is none."""
        return None if self._states.winner[0] == ONGOING else int(self._states.winner[0])

    @property
    def result(self) -> int | None:
        """The colour that has won, by its stones or because the other one has resigned; None while the game goes on."""
        if self.winner is None and self.resigned is not None:
            return 1 - self.resigned
        return self.winner

    def may_swap(self, colour: int) -> bool:
        """Return whether ``colour`` may answer with a swap."""
        return self.allow_swap and self._answers_first_stone(colour)

    def legal_moves(self, colour: int) -> list[str]:
        """Return the names of the empty cells, none once the game is over, and of the swap where ``colour`` may."""
        if self.winner is not None:
            return []
        empty = np.flatnonzero(self._states.cells[0] == 0).tolist()
        return [cell_name(cell, self.size) for cell in empty] + ([SWAP_WORD] if self.may_swap(colour) else [])

    def play(self, colour: int, word: str) -> None:
        """Play for ``colour`` what ``word`` says: a cell, a swap, or that it resigns.

        Stones need not alternate, nor stop where the game is decided: that is how a GUI puts up a position. A swap
        counts whatever the rule is: the controller says what was played. To resign is to be remembered by `result`
        until the position changes. IllegalMoveError or NotationError where it cannot be.
        """
        word = word.lower()
        if word == RESIGN:
            self.resigned = colour
        elif word in _SWAPS:
            if not self._answers_first_stone(colour):
                raise IllegalMoveError("a swap is white's, and only answers the first stone, black's", kind="rule")
            self._add(Play(colour, -1, SWAP_WORD))
        elif word == "pass":
            raise IllegalMoveError("Hex has no pass", kind="rule")
        else:
            cell = parse_cell(word, self.size)
            if self._states.cells[0, cell]:
                raise IllegalMoveError(f"{cell_name(cell, self.size)} is taken", kind="occupied")
            self._add(Play(colour, cell, ""))

    def undo(self) -> None:
        """Take the last play back; IllegalMoveError if there is none."""
        if not self.plays:
            raise IllegalMoveError("nothing has been played", kind="moves")
        self._replay(self.plays[:-1])

    def load(self, position: SetUp) -> None:
        """Put up ``position``, of this size; its moves can be taken back, and a swap counts whatever the rule is."""
        colour, plays = position.to_move, list[Play]()
        for move in position.moves:
            swaps = move == self.size**2
            plays.append(Play(1, -1, SWAP_WORD) if swaps else Play(colour, move, ""))
            colour = colour if swaps else 1 - colour
        self._start = replace(position, moves=())
        self._replay(plays)

    def question(self, colour: int) -> SetUp:
        """Return the position with ``colour`` to move, for a search: any stones; the game must not be over."""
        may_swap = not self._states.cells.any() or self.may_swap(colour)
        return replace(stones_of(self._states, colour), may_swap=may_swap)

    def picture(self) -> str:
        """Return the board, and what happens next."""
        result = self.result
        state = f"{COLOURS[self.to_move]} to move" if result is None else f"{COLOURS[result]} has won"
        return f"{render(self._states.cells[0], self.size)}\nX black (top to bottom), O white; {state}"

    def _answers_first_stone(self, colour: int) -> bool:
        swapped = any(play.word == SWAP_WORD for play in self.plays)
        return colour == 1 and not swapped and self._states.cells[self._states.cells > 0].tolist() == [1]

    def _replay(self, plays: list[Play]) -> None:
        place_stones(self._rules, self._states, 0, self._start)
        self.plays, self.resigned = [], None
        for play in plays:
            self._add(play)

    def _add(self, play: Play) -> None:
        self.plays.append(play)
        self.resigned = None
        if play.cell >= 0:
            row = np.zeros(1, np.int32)
            # seats are colours here, and whose turn it is has no say
            self._states.to_move[0] = self._states.view[0] = play.colour
            self._rules.step(self._states, row, np.array([play.cell], np.int32), row)
