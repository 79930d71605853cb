"""Whose turn it is, told by the stones on a Hex board."""

from __future__ import annotations

import numpy as np

from hexpipe.errors import NotationError
from hexpipe.games.game_env import Int8Array

COLOURS = ("black", "white")


def side_to_move(cells: Int8Array) -> int:
    """The colour to move, 0 black or 1 white, on absolute cells int8 [n * n] or [n, n].

    Black places the first stone and colours alternate, with the swap rule too (seats change colours, stones stay).
    NotationError if the numbers of stones fit neither side.
    """
    black = int(np.count_nonzero(cells == 1))
    white = int(np.count_nonzero(cells == 2))
    if black - white not in (0, 1):
        raise NotationError(
            f"{black} black and {white} white stones: black moves first, so it has as many as white or one more"
        )
    return black - white
