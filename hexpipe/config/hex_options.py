"""The options of Hex."""

from __future__ import annotations

from pydantic import Field, model_validator

from hexpipe.config.game_options import GameOptions
from hexpipe.config.section import RefusedError

MIN_HEX_SIZE, MAX_HEX_SIZE = 3, 27


class HexOptions(GameOptions):
    """The options of Hex."""

    swap: bool = Field(False, description="the second player may take over the first stone's colour; Hex only")

    @model_validator(mode="after")
    def _possible(self) -> HexOptions:
        self.refuse_rectangles("Hex")
        if self.board_size > MAX_HEX_SIZE:
            words = (
                f"game.board_size: Hex boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side "
                f"(got {self.board_size})"
            )
            raise RefusedError(words, kind="range", setting="game.board_size", low=MIN_HEX_SIZE, high=MAX_HEX_SIZE)
        return self
