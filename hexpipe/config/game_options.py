"""The base of every game's options."""

from __future__ import annotations

from pydantic import Field

from hexpipe.config.section import Section

MIN_BOARD_SIZE, MAX_BOARD_SIZE = 3, 200
MAX_NAME = 100


class GameOptions(Section):
    """The options of a game: a subclass has a field for each of its own, with default, range and description.

    A check of several options together raises ValueError in a validator, and names them as ``game.NAME``.
    """

    name: str = Field(
        "hex",
        max_length=MAX_NAME,
        description="the game: Hex, n in a row (inarow), or one of your own, an importable class",
    )
    board_size: int = Field(
        11, ge=MIN_BOARD_SIZE, le=MAX_BOARD_SIZE, description="cells along a side; Hex: 27 at the most"
    )
