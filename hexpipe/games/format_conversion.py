"""Every text form of a Hex coordinate, move list and board, and arrays <-> strings: the only place.

Coordinates are a letter for the column and a number for the row, a1 at the top left; absolute action
``row * n + column``, and ``n * n`` for swap.
"""

from __future__ import annotations

import re

import numpy as np

from hexpipe.errors import NotationError
from hexpipe.games.game_env import Int8Array

SWAP = "swap"
_COORDINATE = re.compile(r"([a-z]{1,2})([1-9][0-9]?)")


def column_name(column: int) -> str:
    """ "a" to "z", then "aa"."""
    return chr(ord("a") + column) if column < 26 else "a" + chr(ord("a") + column - 26)


def action_name(action: int, board_size: int) -> str:
    """The absolute ``action`` in words: "c3", "swap"."""
    if action == board_size**2:
        return SWAP
    row, column = divmod(action, board_size)
    return f"{column_name(column)}{row + 1}"


def parse_action(text: str, board_size: int, swap: bool = False) -> int:
    """The absolute action that ``text`` names; NotationError if it is none on this board."""
    word = text.strip().lower()
    if word == SWAP:
        if swap:
            return board_size**2
        raise NotationError("swap: the swap rule is off in this game")
    match = _COORDINATE.fullmatch(word)
    last = action_name(board_size**2 - 1, board_size)
    if not match:
        raise NotationError(f"{text!r} is no coordinate; write a letter and a number, a1 to {last}")
    letters, digits = match.groups()
    column = ord(letters[-1]) - ord("a") + (26 if len(letters) == 2 else 0)
    row = int(digits) - 1
    if column >= board_size or row >= board_size or (len(letters) == 2 and letters[0] != "a"):
        raise NotationError(f"{text!r} is off the {board_size}x{board_size} board, which goes from a1 to {last}")
    return row * board_size + column


def render(cells: Int8Array, board_size: int) -> str:
    """An ASCII picture of absolute cells int8 [n * n]: ``.`` empty, ``X`` black (top to bottom), ``O`` white."""
    n = board_size
    header = " ".join(f"{column_name(column):<1}" for column in range(n))
    lines = ["   " + header]
    for row, line in enumerate(np.asarray(cells).reshape(n, n)):
        lines.append(" " * row + f"{row + 1:>2} " + " ".join(".XO"[cell] for cell in line))
    return "\n".join(lines)
