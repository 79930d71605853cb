"""The options of Breakthrough, and their values where unset."""

from __future__ import annotations

from pydantic import Field, model_validator

from hexpipe.config.game_options import GameOptions
from hexpipe.config.section import RefusedError

MAX_SIDE = 30


def usual_rows_of_pieces(rows: int) -> int:
    """Return the rows of pieces of each player on a board of ``rows``, as OpenSpiel has them, too."""
    return 2 if rows >= 6 else 1


class BreakthroughOptions(GameOptions):
    """The options of Breakthrough: the board, 8x8 unless it is set, and how many rows of it each player fills."""

    piece_rows: int | None = Field(
        None,
        ge=1,
        le=2,
        description="rows of pieces of each player at the start; unset: 2, on less than six rows 1",
    )

    @model_validator(mode="after")
    def _possible(self) -> BreakthroughOptions:
        rows, columns = self.board
        for setting, side in (("game.board_size", rows), ("game.board_width", columns)):
            if side > MAX_SIDE:
                words = f"{setting}: boards of Breakthrough have {MAX_SIDE} cells a side at the most (got {side})"
                raise RefusedError(words, kind="range", setting=setting, high=MAX_SIDE)
        if 2 * self.rows_of_pieces > rows:
            words = f"game.piece_rows: two rows of pieces a player need four rows, the board has {rows}; set 1"
            raise RefusedError(words, kind="conflict", setting="game.piece_rows")
        return self

    @property
    def rows_of_pieces(self) -> int:
        """Rows of pieces of each player."""
        return self.piece_rows or usual_rows_of_pieces(self.board_size)
