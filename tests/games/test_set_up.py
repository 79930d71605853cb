"""Stones that were set up, against the same stones from moves and against walking the board."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import GameSettings
from hexpipe.errors import IllegalMoveError, NotationError
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.set_up import SetUp, checked_position, moves_of
from tests.games.reference import has_connected
from tests.refusals import refused

N = 4


def legal_actions(game: Hex, position: SetUp | list[int]) -> list[int]:
    legal = np.zeros((1, game.num_actions), np.bool_)
    game.legal_mask(checked_position(game, position), np.zeros(1, np.int32), legal)
    return [int(action) for action in np.flatnonzero(legal[0])]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=N * N, max_size=N * N), st.integers(0, 1))
def test_any_counts_of_stones_and_either_side_to_move(cells: list[int], colour: int) -> None:
    game = Hex(N)
    board = np.array(cells, np.int8).reshape(N, N)
    black, white = (tuple(int(cell) for cell in np.flatnonzero(board == 1 + stone)) for stone in (0, 1))
    start = SetUp(black, white, colour)
    if any(has_connected(tuple(cells), stone, N) for stone in (0, 1)):
        with refused(IllegalMoveError, kind="over"):
            checked_position(game, start)
        return
    states = checked_position(game, start)
    assert states.cells[0].tolist() == cells
    assert (int(states.to_move[0]), int(states.view[0]), int(states.winner[0])) == (colour, colour, -1)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    game.codes(states, np.zeros(1, np.int32), codes)
    mover_first = {0: board, 1: np.where(board == 0, 0, 3 - board).T}[colour]
    assert codes[0].reshape(N, N).tolist() == mover_first.tolist()
    free = [cell for cell in range(N * N) if not cells[cell]]
    if free:
        after = checked_position(game, SetUp(black, white, colour, (free[0],)))
        assert int(after.cells[0, free[0]]) == 1 + colour
        assert int(after.view[0]) == 1 - colour


@settings(deadline=None)
@given(st.permutations(range(N * N)), st.integers(0, N * N), st.booleans(), st.booleans())
def test_a_game_and_its_stones_are_one_position(order: list[int], plies: int, allow_swap: bool, swapped: bool) -> None:
    game = Hex(N, allow_swap)
    moves = order[:plies]
    start = SetUp(tuple(moves[::2]), tuple(moves[1::2]), plies % 2)
    if allow_swap and swapped and plies:
        moves.insert(1, N * N)
        start = SetUp(tuple(order[:plies:2]), tuple(order[1:plies:2]), plies % 2, may_swap=False)
    try:
        by_moves = game.play(moves)
    except IllegalMoveError:  # over before the last of them
        return
    if by_moves.winner[0] >= 0:
        return
    by_stones = checked_position(game, start)
    for field in ("cells", "view", "winner"):
        assert getattr(by_moves, field).tolist() == getattr(by_stones, field).tolist()
    assert legal_actions(game, moves) == legal_actions(game, start)


def test_when_a_set_up_may_still_be_swapped() -> None:
    game = Hex(N, swap=True)
    swap = N * N
    assert swap in legal_actions(game, SetUp((5,), (), 1))
    assert swap in legal_actions(game, SetUp((), (5,), 0))
    for colour in (0, 1):
        assert swap not in legal_actions(game, SetUp(to_move=colour))
        assert swap in legal_actions(game, SetUp(to_move=colour, moves=(5,)))
    for closed in (
        SetUp((5,), (), 1, may_swap=False),
        SetUp((5,), (), 0),
        SetUp((), (5,), 1),
        SetUp((5,), (6,), 1),
        SetUp((5,), (), 1, (6,)),
        SetUp((), (), 0, (5,), may_swap=False),
    ):
        assert swap not in legal_actions(game, closed)
    with refused(IllegalMoveError, "swap", kind="rule", move=1):
        checked_position(game, SetUp((5, 6), (), 1, (swap,)))
    after = checked_position(game, SetUp((5,), (), 1, (swap,)))
    assert (int(after.to_move[0]), int(after.view[0])) == (0, 1)


def test_what_is_no_position_is_told_in_words() -> None:
    game = Hex(3)
    with refused(NotationError, "b1", kind="occupied"):
        checked_position(game, SetUp((1, 2), (1,)))
    with refused(NotationError, "c1", kind="occupied"):
        checked_position(game, SetUp((2, 2)))
    for cell in (-1, 9):
        with refused(NotationError, f"{cell}", "3x3", kind="coordinate"):
            checked_position(game, SetUp((cell,)))
    with refused(IllegalMoveError, "white", kind="over"):
        checked_position(game, SetUp((), (0, 1, 2)))
    with refused(IllegalMoveError, "a1", kind="occupied", move=2):
        checked_position(game, SetUp((0,), (), 1, (1, 0)))
    with refused(NotationError, "inarow", kind="foreign"):
        checked_position(InARow(GameSettings(name="inarow", board_size=3, win_length=3)), SetUp((0,)))


def test_moves_of_either_kind() -> None:
    assert moves_of([3, 4]) == [3, 4]
    assert moves_of(SetUp((1,), moves=(3, 4))) == (3, 4)
    assert checked_position(Hex(3), [3, 4]).cells[0].tolist() == [0, 0, 0, 1, 2, 0, 0, 0, 0]
