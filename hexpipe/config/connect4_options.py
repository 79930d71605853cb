"""The options of Connect Four."""

from __future__ import annotations

from pydantic import model_validator

from hexpipe.config.game_options import GameOptions
from hexpipe.config.section import RefusedError

MIN_SIDE, MAX_SIDE = 4, 30


class ConnectFourOptions(GameOptions):
    """The options of Connect Four: the board alone, 6 rows and 7 columns unless it is set."""

    @model_validator(mode="after")
    def _possible(self) -> ConnectFourOptions:
        rows, columns = self.board
        for setting, side in (("game.board_size", rows), ("game.board_width", columns)):
            if not MIN_SIDE <= side <= MAX_SIDE:
                words = f"{setting}: boards of Connect Four have {MIN_SIDE} to {MAX_SIDE} cells a side (got {side})"
                raise RefusedError(words, kind="range", setting=setting, low=MIN_SIDE, high=MAX_SIDE)
        return self
