"""The options of Go."""

from __future__ import annotations

from pydantic import Field, model_validator

from hexpipe.config.game_options import GameOptions
from hexpipe.config.section import RefusedError

MIN_SIDE, MAX_SIDE = 3, 19
DEFAULT_KOMI = 7.5


class GoOptions(GameOptions):
    """The options of Go: the board, 9x9 unless it is set, and the komi."""

    komi: float = Field(
        DEFAULT_KOMI,
        ge=-(MAX_SIDE**2),
        le=MAX_SIDE**2,
        multiple_of=0.5,
        description="points that the second player gets for moving second, in halves; a whole number lets games end in "
        "a draw",
    )

    @model_validator(mode="after")
    def _possible(self) -> GoOptions:
        self.refuse_rectangles("Go")
        if not MIN_SIDE <= self.board_size <= MAX_SIDE:
            words = f"game.board_size: boards of Go have {MIN_SIDE} to {MAX_SIDE} points a side (got {self.board_size})"
            raise RefusedError(words, kind="range", setting="game.board_size", low=MIN_SIDE, high=MAX_SIDE)
        return self
