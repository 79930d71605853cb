"""The base of every game's options."""

from __future__ import annotations

from pydantic import Field

from hexpipe.config.section import RefusedError, Section

MIN_BOARD_SIZE, MAX_BOARD_SIZE = 3, 200
MAX_NAME = 100


class GameOptions(Section):
    """The options of a game: a subclass has a field for each of its own, with default, range and description.

    A check of several options together raises ValueError in a validator, and names them as ``game.NAME``.
    """

    name: str = Field(
        "hex",
        max_length=MAX_NAME,
        description="the game: hex, n in a row (inarow), connect4, othello, breakthrough, go, one of OpenSpiel's "
        "(openspiel:NAME), or one of your own, an importable class",
    )
    board_size: int = Field(
        11, ge=MIN_BOARD_SIZE, le=MAX_BOARD_SIZE, description="cells along a side, or rows; Hex: 27 at the most"
    )
    board_width: int | None = Field(
        None,
        ge=MIN_BOARD_SIZE,
        le=MAX_BOARD_SIZE,
        description="columns of a board that is no square, of board_size rows; unset: as many; not Hex, nor inarow",
    )

    @property
    def board(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.board_size, self.board_width or self.board_size

    def refuse_rectangles(self, game: str) -> None:
        """Raise RefusedError unless the board is square."""
        if self.board_width not in (None, self.board_size):
            words = f"game.board_width: boards of {game} are square, leave it unset"
            raise RefusedError(words, kind="conflict", setting="game.board_width")
