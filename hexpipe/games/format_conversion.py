"""Every text form of coordinates, and of Hex games and boards, and arrays <-> strings: the only place.

Coordinates are letters for the column and a number for the row, a1 at the top left. Moves of Hex are absolute actions:
``row * n + column``, and ``n * n`` for swap, after which stones stay and the players have changed colours. HexWorld and
SGF's "swap-pieces" mirror the stone instead: what they write after a swap is transposed here (`mirror_after_swap`).
Everything that cannot be read raises NotationError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.errors import NotationError
from hexpipe.games import symmetry
from hexpipe.games.game_env import Int8Array

SWAP = "swap"
STONES = ".XO"
"""Empty, black and white in a picture of a board."""
SQUARE_STONES = ".XO#"
"""Empty and the stones of seats 0, 1 and 2 in a picture of a board of squares."""

_COORDINATE = re.compile(r"([a-z]{1,2})([1-9][0-9]{0,2})")
_WORD = re.compile(r"swap|[a-z]{1,2}[1-9][0-9]?")
_TRMPH = re.compile(r"(?:\S*#)(\d+),(\S*)")
_HEXWORLD = re.compile(r"(?:\S*#)?(\d+)(?:r\d+|n)?(?:c\d+)?(?:,([^,\s]*))?(?:,\S*)?")
_HEXWORLD_WORD = re.compile(r":s|[a-z]{1,2}[1-9][0-9]?")
_SGF_PROPERTY = re.compile(r"([A-Za-z]+)\s*((?:\[(?:\\.|[^\]\\])*\]\s*)+)", re.DOTALL)
_SGF_VALUE = re.compile(r"\[((?:\\.|[^\]\\])*)\]", re.DOTALL)


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


def mirror_after_swap(moves: Sequence[int], board_size: int) -> list[int]:
    """``moves`` with those after a swap transposed: from a swap of seats to a swap of pieces, and back.

    A swap of pieces makes a black stone on row i, column j a white one on row j, column i. That is this board
    transposed with the colours exchanged, so every later move is found transposed too.
    """
    swap = board_size**2
    if swap not in moves:
        return list(moves)
    turned = symmetry.transposition(board_size)
    after = list(moves).index(swap) + 1
    return [*moves[:after], *(int(turned[move]) for move in moves[after:])]


def to_trmph(moves: Sequence[int], board_size: int) -> str:
    """ "#11,a1b2c3". TRMPH has no word for swap."""
    if board_size**2 in moves:
        raise NotationError("TRMPH cannot say swap; write the game as HexWorld or SGF")
    return f"#{board_size}," + "".join(action_name(move, board_size) for move in moves)


def from_trmph(text: str) -> tuple[int, list[int]]:
    """(board size, moves) of "#11,a1b2c3", with or without an address before it."""
    match = _TRMPH.fullmatch(text.strip())
    if not match:
        raise NotationError(f"{text!r} is no TRMPH string; it looks like #11,a1b2c3")
    size = _board_size(match[1])
    return size, parse_moves(match[2], size)


def to_hexworld(moves: Sequence[int], board_size: int) -> str:
    """ "#11c1,a1:sb2": what stands after hexworld.org/board/."""
    words = [action_name(move, board_size) for move in mirror_after_swap(moves, board_size)]
    return f"#{board_size}c1," + "".join(":s" if word == SWAP else word for word in words)


def from_hexworld(text: str) -> tuple[int, list[int]]:
    """(board size, moves) of "#11c1,a1:sb2", with or without an address before it.

    Moves after a second comma (those that the page's cursor has not come to) and an outcome at the end are left out.
    """
    match = _HEXWORLD.fullmatch(text.strip())
    if not match:
        raise NotationError(f"{text!r} is no HexWorld string; it looks like #11c1,a1b2c3")
    size = _board_size(match[1])
    line = re.sub(r":[rf][bw]$", "", (match[2] or "").lower())
    words = _HEXWORLD_WORD.findall(line)
    if "".join(words) != line:
        raise NotationError(f"{line!r} holds what is no move of Hex here (only stones and :s are)")
    moves = [parse_action(SWAP if word == ":s" else word, size, swap=True) for word in words]
    return size, mirror_after_swap(_swapped_in_place(moves, size), size)


def to_sgf(moves: Sequence[int], board_size: int) -> str:
    """One game in SGF (FF[4]GM[11], red-bean.com/sgf/hex.html); a swap is "swap-sides", each stone has its colour."""
    nodes, stones = [], 0
    for move in moves:
        if move == board_size**2:
            nodes.append(";W[swap-sides]")
        else:
            nodes.append(f";{'BW'[stones % 2]}[{action_name(move, board_size)}]")
            stones += 1
    return f"(;FF[4]GM[11]SZ[{board_size}]" + "".join(nodes) + ")"


def from_sgf(text: str) -> tuple[int, list[int]]:
    """(board size, moves) of a game in SGF without variations or set-up stones; resignations end it."""
    size, words, pieces = 11, [], False
    for name, values in _SGF_PROPERTY.findall(text):
        value = _SGF_VALUE.findall(values)[0].strip().lower()
        if name == "SZ":
            size = _board_size(value)
        elif name == "GM" and value != "11":
            raise NotationError(f"GM[{value}] is not Hex, which is GM[11]")
        elif name in ("AB", "AW", "AE"):
            raise NotationError(f"{name}: a game with set-up stones cannot be read; give its moves")
        elif name in ("B", "W") and value not in ("resign", "forfeit"):
            pieces |= value == "swap-pieces"
            words.append((name, SWAP if value in ("swap-pieces", "swap-sides") else value))
    skeleton = re.sub(r"\s", "", _SGF_PROPERTY.sub("", text))
    if not re.fullmatch(r"\(;+\)", skeleton):
        raise NotationError("this is no single SGF game without variations; it looks like (;FF[4]GM[11]SZ[11];B[a1])")
    moves = _swapped_in_place([parse_action(word, size, swap=True) for _, word in words], size)
    stones = [name for name, word in words if word != SWAP]
    # Where the pieces were swapped the first stone has become white's, and black places the second one.
    wanted = ["B", *("BW"[(index + (not pieces)) % 2] for index in range(len(stones) - 1))][: len(stones)]
    if stones != wanted:
        raise NotationError("black and white do not take turns in this SGF game; it cannot be read")
    return size, mirror_after_swap(moves, size) if pieces else moves


def _swapped_in_place(moves: list[int], board_size: int) -> list[int]:
    if board_size**2 in moves[:1] + moves[2:]:
        raise NotationError("a swap can only answer the first stone")
    return moves


def _board_size(text: str) -> int:
    size = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not MIN_HEX_SIZE <= size <= MAX_HEX_SIZE:
        raise NotationError(f"board size {text!r}: boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side")
    return size


def render(cells: Int8Array, board_size: int) -> str:
    """A picture of absolute cells int8 [n * n]: ``.`` empty, ``X`` black (top to bottom), ``O`` white; rows lean."""
    n = board_size
    lines = ["   " + " ".join(column_name(column) for column in range(n))]
    for row, line in enumerate(np.asarray(cells).reshape(n, n)):
        lines.append(" " * row + f"{row + 1:>2} " + " ".join(STONES[cell] for cell in line))
    return "\n".join(lines)


def render_square(cells: Int8Array, board_size: int) -> str:
    """A picture of cells int8 [n * n] of a board of squares: ``.`` empty, ``X``, ``O`` and ``#`` the seats' stones."""
    n = board_size
    columns = [column_name(column) for column in range(n)]
    wide = len(columns[-1])
    margin = max(2, len(str(n)))
    lines = [" " * margin + " " + " ".join(f"{name:>{wide}}" for name in columns)]
    for row, line in enumerate(np.asarray(cells).reshape(n, n)):
        lines.append(f"{row + 1:>{margin}} " + " ".join(f"{SQUARE_STONES[cell]:>{wide}}" for cell in line))
    return "\n".join(lines)


def cells_to_text(cells: Int8Array, board_size: int) -> str:
    """Absolute cells int8 [n * n] as rows of ``.XO`` with slashes between: "X../.O./..."."""
    return "/".join("".join(STONES[cell] for cell in row) for row in np.asarray(cells).reshape(board_size, board_size))


def cells_from_text(text: str, board_size: int) -> Int8Array:
    """Absolute cells int8 [n * n] from `cells_to_text` or `render`: whatever is no ``.``, ``X`` or ``O`` is skipped."""
    stones = [character for character in text if character in STONES]
    if len(stones) != board_size**2:
        raise NotationError(f"a {board_size}x{board_size} board has {board_size**2} cells, not {len(stones)}")
    return np.array([STONES.index(stone) for stone in stones], np.int8)


def cells_from_moves(moves: Sequence[int], board_size: int) -> Int8Array:
    """Absolute cells int8 [n * n] after ``moves``: black and white stones in turn, swaps place none."""
    cells = np.zeros(board_size**2, np.int8)
    for number, move in enumerate(move for move in moves if move != board_size**2):
        if not 0 <= move < len(cells):
            raise NotationError(f"there is no move {move} on a {board_size}x{board_size} board")
        if cells[move]:
            raise NotationError(f"{action_name(move, board_size)} is played twice")
        cells[move] = 1 + number % 2
    return cells


def to_cells(board: Any, board_size: int) -> Int8Array:
    """Absolute cells int8 [n * n] (0 empty, 1 black, 2 white) from a board in any form known here.

    Arrays and nested lists: n * n cells, flat or [n, n], white as 2 or -1; or two planes [2, n, n] of zeros and ones,
    black's stones and white's. Lists of words ("a1", "c3") and strings: moves, TRMPH, HexWorld, SGF, `cells_to_text`
    and `render`. An empty string is the empty board.
    """
    if isinstance(board, str):
        return _cells_from_string(board, board_size)
    if isinstance(board, Sequence) and any(isinstance(word, str) for word in board):
        return cells_from_moves([parse_action(str(word), board_size, swap=True) for word in board], board_size)
    n = board_size
    try:
        array = np.asarray(board)
    except ValueError as error:
        raise NotationError(f"the rows of the board differ in length ({error})") from error
    if array.shape == (2, n, n) and np.isin(array, (0, 1)).all() and not (array[0] * array[1]).any():
        return np.asarray(array[0] + 2 * array[1], np.int8).reshape(-1)
    if array.shape not in ((n * n,), (n, n)) or not np.isin(array, (-1, 0, 1, 2)).all():
        raise NotationError(
            f"an array of shape {array.shape} is no {n}x{n} board here; "
            f"give [{n}, {n}] cells of 0 (empty), 1 (black) and 2 (white)"
        )
    return np.where(array == -1, 2, array).reshape(-1).astype(np.int8)


def _cells_from_string(text: str, board_size: int) -> Int8Array:
    stripped = text.strip()
    if stripped.startswith("("):
        size, moves = from_sgf(stripped)
    elif "#" in stripped or stripped[:1].isdigit():
        size, moves = from_trmph(stripped) if _TRMPH.fullmatch(stripped) else from_hexworld(stripped)
    elif "." in stripped or sum(character in STONES for character in stripped) == board_size**2:
        return cells_from_text(stripped, board_size)
    else:
        size, moves = board_size, parse_moves(stripped, board_size, swap=True)
    if size != board_size:
        raise NotationError(f"this is a game on a {size}x{size} board, not {board_size}x{board_size}")
    return cells_from_moves(moves, board_size)
