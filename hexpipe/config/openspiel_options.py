"""The options of a game of OpenSpiel: its name alone, with the parameters in it."""

from __future__ import annotations

import re

from pydantic import model_validator

from hexpipe.config.game_options import MIN_BOARD_SIZE, GameOptions
from hexpipe.config.section import RefusedError

OPENSPIEL = "openspiel:"
_FORM = re.compile(r"[a-z0-9_]+(\([A-Za-z0-9_=,;. +-]*\))?")


def openspiel_name(name: str) -> str | None:
    """Return what OpenSpiel calls the game that settings call ``name``, "hex(board_size=5)"; None for other games."""
    return name.removeprefix(OPENSPIEL) if name.startswith(OPENSPIEL) else None


class OpenSpielOptions(GameOptions):
    """The options of a game of OpenSpiel: its board is told by the parameters in its name."""

    @model_validator(mode="after")
    def _possible(self) -> OpenSpielOptions:
        if not _FORM.fullmatch(openspiel_name(self.name) or ""):
            words = f"game.name: {self.name!r} is not openspiel:NAME or openspiel:NAME(parameter=value,...)"
            raise RefusedError(words, kind="syntax", setting="game.name")
        if (self.board_size, self.board_width) != (MIN_BOARD_SIZE, None):
            words = (
                "game.board_size: a game of OpenSpiel has its size in its name, such as "
                "openspiel:hex(board_size=5); leave --size out"
            )
            raise RefusedError(words, kind="conflict", setting="game.board_size")
        return self
