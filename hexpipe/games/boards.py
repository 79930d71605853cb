"""Conversion of boards to and from pictures, rows of letters and moves: int8 [n * n], 0 empty, 1 black, 2 white.

Unreadable input raises NotationError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hexpipe.errors import NotationError
from hexpipe.games.coordinates import action_name, column_name
from hexpipe.games.game_env import Int8Array

STONES = ".XO"
"""Letters of empty cells, black and white in a picture of a board."""
SQUARE_STONES = ".XO#"
"""Letters of empty cells and of seats 0, 1 and 2 in a picture of a board of square cells."""


def render(cells: Int8Array, board_size: int) -> str:
    """Draw absolute cells int8 [n * n]: ``.`` empty, ``X`` black (top to bottom), ``O`` white; rows are slanted."""
    n = board_size
    lines = ["   " + " ".join(column_name(column) for column in range(n))]
    for row, line in enumerate(np.asarray(cells).reshape(n, n)):
        lines.append(" " * row + f"{row + 1:>2} " + " ".join(STONES[cell] for cell in line))
    return "\n".join(lines)


def render_square(cells: Int8Array, columns: int) -> str:
    """Draw square cells int8 [rows * columns]: ``.`` empty, ``X``, ``O`` and ``#`` the seats' stones."""
    grid = np.asarray(cells).reshape(-1, columns)
    names = [column_name(column) for column in range(columns)]
    wide = len(names[-1])
    margin = max(2, len(str(len(grid))))
    lines = [" " * margin + " " + " ".join(f"{name:>{wide}}" for name in names)]
    for row, line in enumerate(grid):
        lines.append(f"{row + 1:>{margin}} " + " ".join(f"{SQUARE_STONES[cell]:>{wide}}" for cell in line))
    return "\n".join(lines)


def cells_to_text(cells: Int8Array, board_size: int) -> str:
    """Write absolute cells int8 [n * n] as rows of ``.XO`` with slashes between: "X../.O./..."."""
    return "/".join("".join(STONES[cell] for cell in row) for row in np.asarray(cells).reshape(board_size, board_size))


def cells_from_text(text: str, board_size: int) -> Int8Array:
    """Parse absolute cells int8 [n * n] from `cells_to_text` or `render`: all but ``.``, ``X`` and ``O`` is skipped."""
    stones = [character for character in text if character in STONES]
    if len(stones) != board_size**2:
        raise NotationError(
            f"a {board_size}x{board_size} board has {board_size**2} cells, not {len(stones)}", kind="board"
        )
    return np.array([STONES.index(stone) for stone in stones], np.int8)


def cells_from_moves(moves: Sequence[int], board_size: int) -> Int8Array:
    """Return absolute cells int8 [n * n] after ``moves``: black and white stones in turn, swaps place none."""
    cells = np.zeros(board_size**2, np.int8)
    for number, move in enumerate(move for move in moves if move != board_size**2):
        if not 0 <= move < len(cells):
            raise NotationError(f"there is no move {move} on a {board_size}x{board_size} board", kind="coordinate")
        if cells[move]:
            raise NotationError(f"{action_name(move, board_size)} is played twice", kind="occupied")
        cells[move] = 1 + number % 2
    return cells
