"""Conversion of all forms of Hex boards and games: the entry point to all notations, and the only place of board
arrays.

Coordinates and moves are in `coordinates`, pictures in `boards`, games as text in `game_texts` (with the programs'
`conventions`) and `hex_sgf`, files of games in `game_sources`; their names are also exported here. Unreadable input
raises NotationError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import NotationError
from hexpipe.games import player_utils
from hexpipe.games.boards import (
    cells_from_moves,
    cells_from_text,
    cells_to_text,
    render,
    render_square,
)
from hexpipe.games.coordinates import (
    SWAP,
    action_name,
    cell_name,
    column_name,
    format_moves,
    mirror_after_swap,
    moves_of_words,
    parse_action,
    parse_cell,
    parse_moves,
)
from hexpipe.games.game_env import Int8Array, States
from hexpipe.notation.game_sources import decode_games, split_games
from hexpipe.notation.game_texts import (
    HexGame,
    from_hexworld,
    from_json,
    from_moves,
    from_sgf,
    from_trmph,
    read_game,
    to_hexworld,
    to_json,
    to_moves,
    to_sgf,
    to_trmph,
)

__all__ = [
    "SWAP",
    "HexGame",
    "action_name",
    "cell_name",
    "cells_from_moves",
    "cells_from_text",
    "cells_to_planes",
    "cells_to_text",
    "column_name",
    "decode_games",
    "format_moves",
    "from_hexworld",
    "from_json",
    "from_moves",
    "from_sgf",
    "from_trmph",
    "mirror_after_swap",
    "parse_action",
    "parse_cell",
    "parse_moves",
    "read_game",
    "render",
    "render_square",
    "split_games",
    "stacked_cells",
    "to_cells",
    "to_hexworld",
    "to_json",
    "to_moves",
    "to_sgf",
    "to_trmph",
]


def to_cells(board: Any, board_size: int, mirrored_swap: bool = False) -> Int8Array:
    """Read absolute cells int8 [n * n] (0 empty, 1 black, 2 white) from a board in any supported form.

    Arrays, nested lists and tensors (of any device; torch is not needed for it): n * n cells, flat or [n, n], white as
    2 or -1; two planes [2, n, n] of zeros and ones, black's stones and white's; or three, the third of the empty cells
    or, alike everywhere, of the side to move (0 black, 1 white), which must agree with the stones (see
    `player_utils.side_to_move` for ``mirrored_swap``). A `HexGame`, or `States` of one row. Lists of words ("a1", "c3")
    and strings: moves, TRMPH, HexWorld (up to the page's cursor), SGF, JSON, `cells_to_text` and `render`. An empty
    string is the empty board.
    """
    n = board_size
    if isinstance(board, str):
        return _cells_from_string(board, n)
    if isinstance(board, HexGame):
        return _cells_of_game(board, n)
    if isinstance(board, States):
        board = _cells_of_states(board)
    elif isinstance(board, Sequence) and any(isinstance(word, str) for word in board):
        moves, turned = moves_of_words([str(word) for word in board], n)
        return cells_from_moves(mirror_after_swap(moves, n) if turned else moves, n)
    array = _as_array(board)
    if array.shape in ((2, n, n), (3, n, n)) and np.isin(array, (0, 1)).all() and not (array[0] * array[1]).any():
        cells = np.asarray(array[0] + 2 * array[1], np.int8).reshape(-1)
        if len(array) == 3:
            _check_third_plane(array[2].reshape(-1), cells, mirrored_swap)
        return cells
    if array.shape not in ((n * n,), (n, n)) or not np.isin(array, (-1, 0, 1, 2)).all():
        raise NotationError(
            f"an array of shape {array.shape} is no {n}x{n} board here; "
            f"give [{n}, {n}] cells of 0 (empty), 1 (black) and 2 (white), or 2 or 3 planes of 0 and 1",
            kind="board",
        )
    return np.where(array == -1, 2, array).reshape(-1).astype(np.int8)


def stacked_cells(boards: Any, board_size: int) -> Int8Array | None:
    """Read absolute cells int8 [B, n * n] of B boards at once, with the results of `to_cells`.

    The boards are one array or tensor [B, n, n] or [B, n * n] of cells, or a list of arrays [n, n] or [n * n] of one
    dtype; None if they are anything else, or hold invalid cells.
    """
    n = board_size
    forms = ((n, n), (n * n,))
    if hasattr(boards, "detach"):
        boards = boards.detach().cpu()
        boards = (boards.float() if boards.is_floating_point() else boards).numpy()
    if not isinstance(boards, np.ndarray):
        if not isinstance(boards, Sequence) or not all(isinstance(board, np.ndarray) for board in boards):
            return None
        if len({(board.shape, board.dtype) for board in boards}) != 1 or boards[0].shape not in forms:
            return None
        boards = np.array(boards)
    if boards.ndim < 2 or boards.shape[1:] not in forms or boards.dtype.kind not in "biuf":
        return None
    with np.errstate(invalid="ignore"):  # NaN is no cell, and is found below
        cells: Int8Array = boards.reshape(len(boards), n * n).astype(np.int8)
    same = boards.dtype in (np.int8, np.bool_) or np.array_equal(cells, boards.reshape(cells.shape))
    if not same or cells.min(initial=0) < -1 or cells.max(initial=0) > 2:
        return None
    if cells.min(initial=0) < 0:
        cells[cells == -1] = 2
    return cells


def cells_to_planes(cells: Int8Array, board_size: int, to_move: int | None = None) -> NDArray[np.float32]:
    """Return planes float32 [2, n, n] of black's and white's stones; with ``to_move`` a third, 0 for black and 1 for
    white."""
    square = np.asarray(cells).reshape(board_size, board_size)
    planes = [square == 1, square == 2]
    if to_move is not None:
        planes.append(np.full(square.shape, bool(to_move)))
    return np.stack(planes).astype(np.float32)


def _as_array(board: Any) -> NDArray[Any]:
    """Convert ``board`` to an array of numbers."""
    if hasattr(board, "detach"):  # a tensor of torch, on any device and of any dtype
        board = board.detach().cpu().float().numpy()
    try:
        array = np.asarray(board)
    except ValueError as error:
        raise NotationError(f"the rows of the board differ in length ({error})", kind="board") from error
    if array.dtype == np.bool_:
        return array.astype(np.int8)
    if array.dtype.kind not in "iuf":
        raise NotationError(
            f"{type(board).__name__} is no board; give an array of cells, a move list or a game's text", kind="type"
        )
    return array


def _cells_of_game(game: HexGame, board_size: int) -> Int8Array:
    if game.size != board_size:
        raise NotationError(
            f"this is a game on a {game.size}x{game.size} board, not {board_size}x{board_size}", kind="board"
        )
    return cells_from_moves(game.moves, board_size)


def _cells_of_states(states: States) -> Int8Array:
    if len(states.cells) != 1:
        raise NotationError(f"these are {len(states.cells)} states; give one of them, a row of its own", kind="board")
    cells: Int8Array = states.cells[0]
    return cells


def _check_third_plane(plane: NDArray[Any], cells: Int8Array, mirrored_swap: bool) -> None:
    """Check a third plane: it must mark the empty cells, or give the side to move, in agreement with the stones."""
    if np.array_equal(plane, cells == 0):
        return
    if plane.min() != plane.max():
        raise NotationError(
            "the third plane is neither the empty cells nor the side to move alike everywhere", kind="turn"
        )
    player_utils.check_side_to_move(cells, int(plane[0]), mirrored_swap)


def _cells_from_string(text: str, board_size: int) -> Int8Array:
    stripped = text.strip()
    is_game = stripped[:1] in ("(", "{") or "#" in stripped or stripped[:1].isdigit()
    stones = sum(character in ".XO" for character in stripped)
    if not is_game and ("." in stripped or stones == board_size**2):
        return cells_from_text(stripped, board_size)
    return _cells_of_game(read_game(stripped, board_size, whole=False), board_size)
