"""Pictures and texts of boards: what is written is read again, and odd texts are refused with their reason."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.games.boards import cells_from_moves, cells_from_text, cells_to_text, render, render_square
from hexpipe.games.coordinates import format_moves, mirror_after_swap, parse_moves
from tests.refusals import refused

SIZES = st.integers(1, 27)


@given(st.data(), SIZES)
def test_a_written_board_is_read_again(data: st.DataObject, n: int) -> None:
    cells = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n * n, max_size=n * n)), np.int8)
    for text in (cells_to_text(cells, n), "\n".join(line.strip() for line in render(cells, n).splitlines()[1:])):
        np.testing.assert_array_equal(cells_from_text(text, n), cells)


def test_pictures_have_the_names_of_columns_and_rows() -> None:
    cells = np.array([1, 0, 2, 0, 1, 0, 0, 0, 2], np.int8)
    assert render(cells, 3).splitlines() == ["   a b c", " 1 X . O", "  2 . X .", "   3 . . O"]
    assert render_square(cells, 3).splitlines() == ["   a b c", " 1 X . O", " 2 . X .", " 3 . . O"]
    wide = render_square(np.full(30 * 30, 3, np.int8), 30).splitlines()
    assert wide[0].split()[-4:] == ["aa", "ab", "ac", "ad"]
    assert len({len(line) for line in wide}) == 1
    assert wide[30].split() == ["30", *["#"] * 30]


def test_a_board_of_another_size_is_refused() -> None:
    with refused(NotationError, "9", "8", kind="board"):
        cells_from_text("X.O/.X./..", 3)


@given(st.data(), st.integers(2, 12))
def test_moves_place_stones_in_turn_and_swaps_none(data: st.DataObject, n: int) -> None:
    moves = data.draw(st.lists(st.integers(0, n * n - 1), unique=True, max_size=20))
    cells = cells_from_moves(moves, n)
    assert {move: 1 + number % 2 for number, move in enumerate(moves)} == {
        int(cell): int(cells[cell]) for cell in np.flatnonzero(cells)
    }
    if moves:
        swapped = [moves[0], n * n, *moves[1:]]
        np.testing.assert_array_equal(cells_from_moves(swapped, n), cells)
        assert parse_moves(format_moves(swapped, n), n, swap=True) == swapped
        assert mirror_after_swap(mirror_after_swap(swapped, n), n) == swapped
    assert mirror_after_swap(moves, n) == moves


def test_a_cell_off_the_board_or_played_twice_is_refused() -> None:
    with refused(NotationError, "10", "3x3", kind="coordinate"):
        cells_from_moves([0, 10], 3)
    with refused(NotationError, "b1", kind="occupied"):
        cells_from_moves([1, 2, 1], 3)
