"""Names of cells and moves: letters for the column, a number for the row, a1 at the top left.

Moves of Hex are absolute actions: ``row * n + column``, and ``n * n`` for swap. What cannot be read raises
NotationError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hexpipe.errors import NotationError

SWAP = "swap"

_COORDINATE = re.compile(r"([a-z]{1,2})([1-9][0-9]{0,2})")
_WORD = re.compile(r"swap|[a-z]{1,2}[1-9][0-9]?")


def column_name(column: int) -> str:
    """ "a" to "z", then "aa" to "az", "ba" and so on, as spreadsheets count."""
    before, letter = divmod(column, 26)
    return (chr(ord("a") + before - 1) if before else "") + chr(ord("a") + letter)


def cell_name(cell: int, board_size: int) -> str:
    """The board's ``cell`` in words: "c3"."""
    row, column = divmod(cell, board_size)
    return f"{column_name(column)}{row + 1}"


def parse_cell(text: str, board_size: int) -> int:
    """The cell that ``text`` names."""
    match = _COORDINATE.fullmatch(text.strip().lower())
    last = cell_name(board_size**2 - 1, board_size)
    if not match:
        raise NotationError(f"{text!r} is no coordinate; write a letter and a number, a1 to {last}")
    letters, digits = match.groups()
    column = ord(letters[-1]) - ord("a") + (26 * (ord(letters[0]) - ord("a") + 1) if len(letters) == 2 else 0)
    row = int(digits) - 1
    if column >= board_size or row >= board_size:
        raise NotationError(f"{text!r} is off the {board_size}x{board_size} board, which goes from a1 to {last}")
    return row * board_size + column


def action_name(action: int, board_size: int) -> str:
    """The absolute ``action`` in words: "c3", "swap"."""
    return SWAP if action == board_size**2 else cell_name(action, board_size)


def parse_action(text: str, board_size: int, swap: bool = False) -> int:
    """The absolute action that ``text`` names; "swap" only where ``swap`` allows it."""
    if text.strip().lower() != SWAP:
        return parse_cell(text, board_size)
    if swap:
        return board_size**2
    raise NotationError("swap: the swap rule is off in this game")


def format_moves(moves: Sequence[int], board_size: int) -> str:
    """ "a1 c3 swap"."""
    return " ".join(action_name(move, board_size) for move in moves)


def parse_moves(text: str, board_size: int, swap: bool = False) -> list[int]:
    """A move list, apart by blanks or commas ("a1 c3", "a1,c3") or run together ("a1c3")."""
    moves = []
    for part in re.split(r"[\s,]+", text.strip().lower()):
        words = _WORD.findall(part)
        if "".join(words) != part:
            raise NotationError(f"{part!r} is no list of moves; write them as a1 c3")
        moves += [parse_action(word, board_size, swap) for word in words]
    return moves
