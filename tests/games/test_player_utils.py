from __future__ import annotations

import numpy as np
import pytest

from hexpipe.errors import NotationError
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import side_to_move


def test_the_stones_tell_the_side_to_move() -> None:
    game = Hex(5, swap=True)
    for moves in ([], [3], [3, 25], [3, 4], [3, 25, 4], [3, 4, 5]):
        states = game.play(moves)
        assert side_to_move(states.cells[0]) == states.view[0]
        assert side_to_move(states.cells[0].reshape(5, 5)) == states.view[0]


@pytest.mark.parametrize("cells", [[2, 0, 0], [1, 1, 0], [1, 2, 2]])
def test_impossible_stones(cells: list[int]) -> None:
    with pytest.raises(NotationError, match="black moves first"):
        side_to_move(np.array(cells, np.int8))
