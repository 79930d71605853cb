"""A small board of Hex within a large one: the same game, move by move."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.games.game_env import ONGOING
from hexpipe.games.hex import Hex
from hexpipe.games.hex_frame import framed, make_frame
from hexpipe.games.hex_solver import HexSolver, random_positions
from hexpipe.records import GameRecord, unpack_policies
from tests.replay.reference import played_game

SIZES = [(3, 4), (3, 5), (4, 5), (3, 6)]


@pytest.mark.parametrize(("small", "large"), [*SIZES, (5, 7), (5, 9), (6, 13), (5, 5)])
def test_a_frame_has_as_many_stones_of_either_colour_and_decides_nothing(small: int, large: int) -> None:
    frame = make_frame(small, large)
    assert len(frame.opening) % 2 == 0
    assert len({*frame.opening.tolist(), *frame.cells.tolist()}) == len(frame.opening) + small * small
    assert large * large - len(frame.opening) - small * small == large - small  # dead corners
    states = Hex(large).play(frame.opening.tolist())
    assert states.winner[0] == ONGOING
    assert states.to_move[0] == 0


@pytest.mark.parametrize(("small", "large"), SIZES)
def test_positions_are_worth_the_same_within_a_frame_and_moves_win_alike(small: int, large: int) -> None:
    frame, outer = make_frame(small, large), HexSolver(large)
    at = {int(cell): action for action, cell in enumerate(frame.cells)}
    for moves, seat, _, winning in random_positions(small, 60, seed=large):
        around = Hex(large).play([*frame.opening.tolist(), *frame.cells[moves].tolist()])
        assert around.winner[0] == ONGOING
        found = outer.winning_moves(around.cells[0], seat)
        if winning:  # a dead corner is a pass, which may win too
            assert sorted(at[move] for move in found if move in at) == sorted(winning)
        else:
            assert not found


@pytest.mark.parametrize(("small", "large"), [(3, 5), (5, 7), (5, 6)])
def test_a_game_keeps_its_targets(small: int, large: int) -> None:
    record = played_game(Hex(small), 7)
    frame = make_frame(small, large)
    whole = framed(record, large)
    count = len(frame.opening)
    assert whole.num_positions == record.num_positions
    assert whole.opening_plies == count + record.opening_plies
    assert GameRecord.from_bytes(whole.to_bytes()).num_plies == count + record.num_plies
    states = Hex(large).play(whole.actions.tolist())
    assert states.winner[0] == Hex(small).play(record.actions.tolist()).winner[0]
    policies = unpack_policies(whole.policy_offsets, whole.policy_bytes, large * large)[count:]
    theirs = unpack_policies(record.policy_offsets, record.policy_bytes, small * small)
    np.testing.assert_array_equal(policies[:, frame.cells], theirs)
    assert policies.sum() == pytest.approx(theirs.sum())
    np.testing.assert_array_equal(whole.root_values[count:], record.root_values)
    np.testing.assert_array_equal(whole.outcome, record.outcome)


def test_what_has_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="5x5"):
        framed(played_game(Hex(6), 1), 5)
    with pytest.raises(ValueError, match="swap"):
        framed(played_game(Hex(5, swap=True), 1), 7)
