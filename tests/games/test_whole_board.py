"""What the base of whole-board games brings, where Hex and Drop have something else or no use for it."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.config import GameSettings
from hexpipe.errors import IllegalMoveError, SettingsError
from hexpipe.games import symmetry
from hexpipe.games.game_env import BoolArray, Int8Array, Int16Array, IntArray, States
from hexpipe.games.whole_board import WholeBoard, copy_row
from tests.games.drop import Drop
from tests.refusals import refused


class Blank(WholeBoard):
    """A game of no rules: its turns pass, and nobody wins."""

    def step(self, states: States, parents: IntArray, actions: IntArray, children: IntArray) -> None:
        for parent, child in zip(parents, children, strict=True):
            copy_row(states, parent, child)
            states.ply[child] += 1

    def legal_mask(self, states: States, rows: IntArray, out: BoolArray) -> None:
        out[:] = True

    def codes_from_cells(
        self, cells: Int8Array, views: Int8Array, plies: IntArray, origins: Int16Array, out: Int8Array
    ) -> None:
        out[:] = cells + views[:, None] + 10 * plies[:, None].astype(np.int8)


def blank(n: int, **more: object) -> Blank:
    return Blank("blank", n, symmetry.square_symmetries(n), **more)  # type: ignore[arg-type]


def test_three_seats_move_in_turn_and_see_the_board_as_it_lies() -> None:
    game = blank(3, num_seats=3)
    assert (game.num_seats, game.num_views, game.num_actions, game.max_plies) == (3, 3, 9, 9)
    assert game.next_view.tolist() == [[1] * 9, [2] * 9, [0] * 9]
    assert game.action_view.tolist() == [list(range(9))] * 3
    assert (game.next_view.dtype, game.action_view.dtype) == (np.int8, np.int16)
    assert (game.shapes.num_seats, game.shapes.code_length, game.shapes.turns_frame) == (3, 9, False)


def test_the_winner_has_1_all_others_less_and_a_draw_is_0() -> None:
    game = blank(3, num_seats=3)
    states, values = game.new_states(5), np.full((4, 3), 9, np.float32)
    states.winner[1:] = 0, 2, 3, 1
    game.terminal_values(states, np.array([0, 2, 3, 4]), values)
    assert values.tolist() == [[0, 0, 0], [-1, -1, 1], [0, 0, 0], [-1, 1, -1]]


def test_codes_of_rows_are_those_of_their_cells() -> None:
    game = blank(3)
    states, out = game.new_states(3), np.zeros((2, 9), np.int8)
    states.cells[2, 4], states.view[2], states.ply[2] = 1, 1, 3
    game.codes(states, np.array([2, 0]), out)
    assert out.tolist() == [[31] * 4 + [32] + [31] * 4, [0] * 9]


def test_numbers_of_the_games_own_are_copied_and_reset() -> None:
    game = blank(3, num_parents=2)
    states = game.new_states(3)
    states.parents[1] = 7
    game.step(states, np.array([1, 2]), np.array([0, 0]), np.array([2, 2]))
    assert (states.parents.tolist(), states.ply.tolist()) == ([[0, 0], [7, 7], [7, 7]], [0, 0, 2])
    game.reset(states, np.array([2]))
    assert (states.parents.tolist(), states.ply.tolist()) == ([[0, 0], [7, 7], [0, 0]], [0, 0, 0])


def test_an_action_that_is_no_cell_has_its_name_and_stays_in_place() -> None:
    game = blank(3, extra_action="pass")
    assert (game.num_actions, game.max_plies, game.shapes.code_length) == (10, 10, 10)
    assert (game.action_name(9), game.parse_action(" PASS "), game.cell_of_action(9)) == ("pass", 9, -1)
    assert game.symmetries.shape == (8, 10)
    assert set(game.symmetries[:, 9].tolist()) == {9}


def test_boards_that_are_too_large_to_be_seen_whole() -> None:
    with refused(SettingsError, "blank", kind="range", setting="game.board_size", high=79):
        blank(80)


@pytest.mark.parametrize("moves", [[0], [16, 16]])
def test_what_a_game_forbids_without_a_word(moves: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drop, "why_illegal", WholeBoard.why_illegal)
    with refused(IllegalMoveError, kind="rule", move=len(moves)):
        Drop(GameSettings(name="tests.games.drop:Drop", board_size=4)).play(moves)
