"""Round trips of every notation, and what cannot be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.games import format_conversion as notation
from hexpipe.games.hex import Hex


@st.composite
def games(draw: st.DrawFn, swap: bool = True) -> tuple[int, list[int]]:
    """(board size, moves), perhaps with a swap; stones are on different cells."""
    n = draw(st.integers(3, 27))
    moves = draw(st.lists(st.integers(0, n * n - 1), unique=True, max_size=20))
    if swap and moves and draw(st.booleans()):
        moves.insert(1, n * n)
    return n, moves


@given(games(), st.sampled_from([" ", ",", ", ", "", "\n"]))
def test_move_lists(game: tuple[int, list[int]], between: str) -> None:
    n, moves = game
    text = notation.format_moves(moves, n)
    assert notation.parse_moves(text, n, swap=True) == moves
    assert notation.parse_moves(text.upper().replace(" ", between), n, swap=True) == moves


@given(games(swap=False), st.sampled_from(["", "https://trmph.com/hex/board", "http://www.trmph.com/hex/board"]))
def test_trmph(game: tuple[int, list[int]], address: str) -> None:
    assert notation.from_trmph(address + notation.to_trmph(game[1], game[0])) == game


@given(games(), st.sampled_from(["", "https://hexworld.org/board/"]), st.sampled_from(["", ":rb", ":fw", ",a1b2"]))
def test_hexworld(game: tuple[int, list[int]], address: str, end: str) -> None:
    assert notation.from_hexworld(address + notation.to_hexworld(game[1], game[0]) + end) == game


@given(games(), st.sampled_from(["", "PB[a (fine\\] player;)]", "C[x];W[resign]"]))
def test_sgf(game: tuple[int, list[int]], extra: str) -> None:
    text = notation.to_sgf(game[1], game[0])
    assert notation.from_sgf(text[:-1] + extra + ")") == game


def test_examples() -> None:
    assert notation.to_trmph([0, 12, 24], 11) == "#11,a1b2c3"
    assert notation.to_hexworld([1, 25, 2], 5) == "#5c1,b1:sa3"
    assert notation.to_sgf([1, 25, 2], 5) == "(;FF[4]GM[11]SZ[5];B[b1];W[swap-sides];W[c1])"
    assert notation.from_hexworld("11r9c1,b4e5") == (11, [34, 48])
    assert notation.action_name(26, 27) == "aa1"
    assert notation.parse_action("AA27", 27) == 27 * 27 - 1


def test_swapped_pieces_are_the_same_game_transposed() -> None:
    pieces = "(;GM[11]SZ[5];B[b1];W[swap-pieces];B[c3];W[e4])"
    size, moves = notation.from_sgf(pieces)
    assert (size, moves) == (5, [1, 25, 12, 3 + 4 * 5])
    states = Hex(5, swap=True).play(moves)
    # There black's c3 is to move against white's a2; here both are seen from the other side.
    assert states.cells[0].tolist() == notation.cells_from_moves(moves, 5).tolist()
    assert (states.cells[0, 1], states.cells[0, 12], states.cells[0, 23]) == (1, 2, 1)


@given(
    games(),
    st.sampled_from(["render", "text", "flat", "square", "list", "minus", "planes", "words", "sgf", "hexworld"]),
)
def test_boards_from_every_form(game: tuple[int, list[int]], form: str) -> None:
    n, moves = game
    cells = notation.cells_from_moves(moves, n)
    square = cells.reshape(n, n)
    board: Any = {
        "render": notation.render(cells, n),
        "text": notation.cells_to_text(cells, n),
        "flat": cells,
        "square": square.astype(np.float32),
        "list": square.tolist(),
        "minus": np.where(square == 2, -1, square),
        "planes": np.stack([square == 1, square == 2]),
        "words": notation.format_moves(moves, n).split(),
        "sgf": notation.to_sgf(moves, n),
        "hexworld": notation.to_hexworld(moves, n),
    }[form]
    if isinstance(board, list) and not board:
        board = ""
    found = notation.to_cells(board, n)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, cells)


def test_cells_of_moves_are_those_of_the_rules() -> None:
    moves = [3, 25, 7, 11, 2]
    np.testing.assert_array_equal(notation.cells_from_moves(moves, 5), Hex(5, swap=True).play(moves).cells[0])
    np.testing.assert_array_equal(notation.to_cells("#5,d1c2", 5), Hex(5).play([3, 7]).cells[0])


def test_picture() -> None:
    assert notation.render(notation.to_cells("a1 c2", 3), 3) == "   a b c\n 1 X . .\n  2 . . O\n   3 . . ."
    assert notation.cells_to_text(notation.to_cells("a1 c2", 3), 3) == "X../..O/..."


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (notation.from_trmph, "11,a1"),
        (notation.from_trmph, "#2,a1"),
        (notation.from_trmph, "#28,a1"),
        (notation.from_trmph, "#5,a6"),
        (notation.from_trmph, "#5,a1x"),
        (notation.from_trmph, "#5,a1swap"),
        (notation.from_hexworld, "#x"),
        (notation.from_hexworld, "#5c1,a1:p"),
        (notation.from_hexworld, "#5c1,:sa1"),
        (notation.from_hexworld, "#5c1,a1b1:s"),
        (notation.from_sgf, "(;GM[1]SZ[5];B[a1])"),
        (notation.from_sgf, "(;GM[11]SZ[5]AB[a1])"),
        (notation.from_sgf, "(;GM[11]SZ[5];B[a1](;W[b1])(;W[b2]))"),
        (notation.from_sgf, "(;GM[11]SZ[5];B[a1];B[b1])"),
        (notation.from_sgf, "(;GM[11]SZ[5];W[a1])"),
        (notation.from_sgf, "(;GM[11]SZ[5];B[])"),
        (notation.from_sgf, "(;GM[11]SZ[5:6];B[a1])"),
        (notation.from_sgf, "(;GM[11]SZ[5];B[a1];W[b1];B[swap-sides])"),
        (notation.from_sgf, "no game"),
    ],
)
def test_what_cannot_be_read(read: Any, text: str) -> None:
    with pytest.raises(NotationError):
        read(text)


def test_trmph_cannot_say_swap() -> None:
    with pytest.raises(NotationError, match="HexWorld"):
        notation.to_trmph([0, 25], 5)


@pytest.mark.parametrize(
    "board",
    [
        "#6,a1",
        "a1 a1",
        "a1 f1",
        "X../..O/..",
        "hello",
        "a1-b2",
        np.zeros((4, 4)),
        np.full((5, 5), 3),
        np.ones((2, 5, 5)),
        [[0] * 5] * 4 + [[0] * 4],
        [0, 1, 2],
        ["a1", 5],
        None,
    ],
)
def test_boards_that_cannot_be_read(board: Any) -> None:
    with pytest.raises(NotationError):
        notation.to_cells(board, 5)


def test_moves_that_are_not_on_the_board() -> None:
    with pytest.raises(NotationError, match="no move 30"):
        notation.cells_from_moves([30], 5)
