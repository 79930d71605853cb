"""The options of Othello."""

from __future__ import annotations

from pydantic import model_validator

from hexpipe.config.game_options import GameOptions
from hexpipe.config.section import RefusedError

SIZES = (4, 6, 8)


class OthelloOptions(GameOptions):
    """The options of Othello: the board alone, 8x8 unless it is set."""

    @model_validator(mode="after")
    def _possible(self) -> OthelloOptions:
        self.refuse_rectangles("Othello")
        if self.board_size not in SIZES:
            words = f"game.board_size: boards of Othello have 4, 6 or 8 cells a side (got {self.board_size})"
            raise RefusedError(words, kind="range", setting="game.board_size", low=SIZES[0], high=SIZES[-1])
        return self
