"""Names of cells and moves: letters for the column, a number for the row, a1 at the top left.

Moves of Hex are absolute actions: ``row * n + column``, and ``n * n`` for swap. Unreadable input raises NotationError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hexpipe.errors import NotationError

SWAP = "swap"

SWAPS = (SWAP, "swap-pieces", "swap-sides")
"""Programs' names of a swap: the first may mean either of the others."""

_COORDINATE = re.compile(r"([a-z]{1,2})([1-9][0-9]{0,2})")
_WORD = re.compile(r"swap(?:-pieces|-sides)?|[a-z]{1,2}[1-9][0-9]?")
_NUMBER = re.compile(r"([0-9]{1,3})[.):]*")


def column_name(column: int) -> str:
    """Return "a" to "z", then "aa" to "az", "ba" and so on, as in spreadsheets."""
    before, letter = divmod(column, 26)
    return (chr(ord("a") + before - 1) if before else "") + chr(ord("a") + letter)


def cell_name(cell: int, columns: int) -> str:
    """Return the name of ``cell`` of a board with so many columns: "c3"."""
    row, column = divmod(cell, columns)
    return f"{column_name(column)}{row + 1}"


def parse_cell(text: str, board_size: int, columns: int | None = None) -> int:
    """Return the cell that ``text`` names, on a board of ``board_size`` rows and ``columns``; unset: as many."""
    columns = board_size if columns is None else columns
    match = _COORDINATE.fullmatch(text.strip().lower())
    last = cell_name(board_size * columns - 1, columns)
    if not match:
        raise NotationError(f"{text!r} is no coordinate; write a letter and a number, a1 to {last}", kind="coordinate")
    letters, digits = match.groups()
    column = ord(letters[-1]) - ord("a") + (26 * (ord(letters[0]) - ord("a") + 1) if len(letters) == 2 else 0)
    row = int(digits) - 1
    if column >= columns or row >= board_size:
        raise NotationError(
            f"{text!r} is off the {board_size}x{columns} board, which goes from a1 to {last}", kind="coordinate"
        )
    return row * columns + column


def action_name(action: int, board_size: int) -> str:
    """Return the name of the absolute ``action``: "c3", "swap"."""
    return SWAP if action == board_size**2 else cell_name(action, board_size)


def parse_action(text: str, board_size: int, swap: bool = False) -> int:
    """Return the absolute action that ``text`` names; "swap" only if ``swap``."""
    if text.strip().lower() != SWAP:
        return parse_cell(text, board_size)
    if swap:
        return board_size**2
    raise NotationError("swap: the swap rule is off in this game", kind="rule")


def format_moves(moves: Sequence[int], board_size: int) -> str:
    """Write a move list: "a1 c3 swap"."""
    return " ".join(action_name(move, board_size) for move in moves)


def split_moves(text: str, numbered: bool = True) -> list[str]:
    """Split a move list into words.

    They are apart by blanks or commas ("a1 c3", "a1,c3"), run together ("a1c3"), or with numbers ("1. a1 2. c3", or by
    pairs "1. a1 c3 2. b2") if ``numbered``. NotationError for other words, or if the numbers do not count the moves.
    """
    words: list[str] = []
    numbers: list[tuple[int, int]] = []
    for part in re.split(r"[\s,]+", text.strip().lower()):
        number = _NUMBER.match(part) if numbered else None
        if number:
            numbers.append((int(number[1]), len(words) + 1))
        rest = part[number.end() :] if number else part
        found = _WORD.findall(rest)
        if "".join(found) != rest:
            raise NotationError(f"{_shortened(part)} is no list of moves; write them as a1 c3", kind="moves")
        words += found
    wrong = [pair for pair in numbers if pair[0] != pair[1]]
    if wrong and any(2 * count - 1 != ply for count, ply in numbers):
        count, ply = wrong[0]
        why = f"the numbers of this list do not count its moves: {count} stands where move {ply} begins"
        raise NotationError(why, kind="moves", move=ply)
    return words


def moves_of_words(words: Sequence[str], board_size: int, swap_means: str = "sides") -> tuple[list[int], bool]:
    """Parse the moves in ``words`` one by one; return them, and whether a swap among them mirrors the stone.

    Then the moves after it must be transposed (`mirror_after_swap`). "swap-pieces" does so, and "swap" if
    ``swap_means`` is "pieces".
    """
    plain = [word.strip().lower() for word in words]
    moves = [board_size**2 if word in SWAPS else parse_cell(word, board_size) for word in plain]
    return moves, "swap-pieces" in plain or (SWAP in plain and swap_means == "pieces")


def parse_moves(text: str, board_size: int, swap: bool = False) -> list[int]:
    """Parse a move list (`split_moves`); swaps only if ``swap``."""
    words = split_moves(text)
    if not swap and any(word in SWAPS for word in words):
        raise NotationError("swap: the swap rule is off in this game", kind="rule")
    moves, turned = moves_of_words(words, board_size)
    return mirror_after_swap(moves, board_size) if turned else moves


def mirror_after_swap(moves: Sequence[int], board_size: int) -> list[int]:
    """Transpose those of ``moves`` that follow a swap: from a swap of seats to a swap of pieces, and back."""
    swap = board_size**2
    if swap not in moves:
        return list(moves)
    after = list(moves).index(swap) + 1
    # a second swap is not legal, but may be written
    turned = [move if move == swap else move % board_size * board_size + move // board_size for move in moves[after:]]
    return [*moves[:after], *turned]


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
