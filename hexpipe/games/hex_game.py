"""A game of Hex as moves and result.

Black moves first and connects top to bottom; a swap is one of seats: stones stay and the players exchange colours, so
that white places the next stone. Other programs swap the *pieces*: black's stone on row i, column j becomes white's on
row j, column i, and black plays next. That is this board transposed with the colours exchanged, so a reader transposes
what follows such a swap, and their black is white here (`game_told`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.errors import NotationError
from hexpipe.games.coordinates import action_name, mirror_after_swap
from hexpipe.wording import shortened

ENDINGS = ("", "resign", "time", "forfeit")
MOST_MOVES = MAX_HEX_SIZE**2 + 2
"""Most moves in a game's text: every cell of the largest board, a swap, and a resignation."""


@dataclass(frozen=True)
class HexGame:
    """A game on a board of ``size`` cells a side; ``moves`` are absolute actions, ``size ** 2`` is swap.

    ``winner`` is the winning colour, 0 black or 1 white, None if unknown; ``ending`` says how, if not by a chain of
    stones: "resign", "time" or "forfeit". ``notes`` tell what of a text is not kept here, and ``written`` are the moves
    in the text's words, if they differ from `action_name`, for messages. NotationError for inconsistent parts: cells
    off the board or played twice, a swap that does not answer the first stone, an ending without a winner. Whether the
    stones connect is not checked: `hex.checked_game` does that.
    """

    size: int
    moves: tuple[int, ...] = ()
    winner: int | None = None
    ending: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)
    written: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not MIN_HEX_SIZE <= self.size <= MAX_HEX_SIZE:
            words = f"board size {self.size}: boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side"
            raise NotationError(words, kind="board", low=MIN_HEX_SIZE, high=MAX_HEX_SIZE)
        swap, seen = self.size**2, dict[int, int]()
        for number, move in enumerate(self.moves, start=1):
            if not 0 <= move <= swap:
                raise NotationError(
                    f"there is no move {move} on a {self.size}x{self.size} board", kind="coordinate", move=number
                )
            if move == swap and number != 2:
                raise NotationError(
                    f"move {number} is a swap, which can only answer the first stone", kind="rule", move=number
                )
            if move in seen:
                raise NotationError(self._twice(seen[move], number), kind="occupied", move=number)
            seen[move] = number
        if self.winner not in (None, 0, 1) or self.ending not in ENDINGS:
            raise NotationError(
                f"winner {self.winner!r} and ending {self.ending!r}: they are 0 or 1, and {ENDINGS}", kind="type"
            )
        if self.ending and self.winner is None:
            raise NotationError(f"the game ended by {self.ending}, but nobody is said to have won", kind="over")

    @property
    def swapped(self) -> bool:
        """Whether the second player took over the first stone."""
        return self.size**2 in self.moves

    @property
    def to_move(self) -> int:
        """Colour that moves next, 0 black or 1 white, even if the game is over."""
        return (len(self.moves) - self.swapped) % 2

    @property
    def winning_seat(self) -> int | None:
        """Winning seat: 0 is the player of the first stone, whatever their colour since; None if unknown."""
        return None if self.winner is None else self.winner ^ self.swapped

    def word(self, number: int) -> str:
        """Return move ``number``, from 1, as in the game's text."""
        return self.written[number - 1] if self.written else action_name(self.moves[number - 1], self.size)

    def _twice(self, first: int, again: int) -> str:
        if self.word(first) == self.word(again):
            return f"{self.word(first)} is played twice, by move {again} again"
        turned = f"the swap has turned {self.word(first)} over to {self.word(again)}"
        return f"move {again} ({self.word(again)}) is on a cell that is taken: {turned}"


def game_told(
    size: int,
    moves: Sequence[int],
    written: Sequence[str],
    winner: int | None = None,
    ending: str = "",
    pieces_turned: bool = False,
    notes: Sequence[str] = (),
) -> HexGame:
    """Make the game of these parts, with a swap of seats even if they use a swap of pieces."""
    if pieces_turned:
        moves = mirror_after_swap(moves, size)
        winner = None if winner is None else 1 - winner
    return HexGame(size, tuple(moves), winner, ending, tuple(notes), tuple(written))


def board_size_of(text: str, other: str | None = None) -> int:
    """Parse the board size in ``text``; NotationError if there is none, or if ``other``, the rows, differs."""
    size = int(text) if re.fullmatch(r"\s*[0-9]{1,3}\s*", text, re.ASCII) else 0
    if other is not None and other.strip() != text.strip():
        sides = f"{shortened(text)} by {shortened(other)}"
        raise NotationError(f"a board of {sides} cells: only square boards are played here", kind="board")
    if not MIN_HEX_SIZE <= size <= MAX_HEX_SIZE:
        words = f"board size {shortened(text)!r}: boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side"
        raise NotationError(words, kind="board", low=MIN_HEX_SIZE, high=MAX_HEX_SIZE)
    return size


def check_length(moves: int) -> None:
    """Raise NotationError if a text has more ``moves`` than a game can."""
    if moves > MOST_MOVES:
        raise NotationError(
            f"{moves:,} moves: a game of Hex has {MOST_MOVES} at the most", kind="moves", high=MOST_MOVES
        )
