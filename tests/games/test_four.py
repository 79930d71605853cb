"""Connect Four as hexpipe/games/README.md has it, beside the one in the box."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.config import ConnectFourOptions, GameSettings
from hexpipe.errors import SettingsError
from hexpipe.games import conformance
from hexpipe.games.connect4.rules import ConnectFour
from tests.games.four import Four

NAME = "tests.games.four:Four"


@pytest.mark.parametrize("board", [(4, 4), (4, 5), (6, 7)])
def test_it_is_the_game_in_the_box(board: tuple[int, int]) -> None:
    rows, columns = board
    page = Four(GameSettings(name=NAME, board_size=rows, board_width=columns))
    box = ConnectFour(ConnectFourOptions(name="connect4", board_size=rows, board_width=columns))
    np.testing.assert_array_equal(page.symmetries, box.symmetries)
    assert page.shapes == box.shapes
    rng = np.random.default_rng(0)
    for _ in range(20):
        line, other = conformance.Line(page), conformance.Line(box)
        while not line.over:
            assert line.legal().tolist() == other.legal().tolist()
            np.testing.assert_array_equal(line.codes(), other.codes())
            move = int(rng.choice(line.legal()))
            line.play(move)
            other.play(move)
        np.testing.assert_array_equal(line.outcome(), other.outcome())
        assert other.over


def test_boards_that_are_too_large_are_refused() -> None:
    with pytest.raises(SettingsError, match="4 to 10 cells a side"):
        Four(GameSettings(name=NAME, board_size=11))
