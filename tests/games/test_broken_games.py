"""Games that break the contract in one way each, and what `conformance.check` says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hexpipe.config import GameSettings
from hexpipe.errors import ConformanceError
from hexpipe.games import conformance
from hexpipe.games.game_env import States
from tests.games.drop import Drop


def steps_in_a_copy(game: Drop, step: Any, states: States, *turn: np.ndarray) -> None:
    step(States(*(array.copy() for array in states)), *turn)


def forgets_the_turn(game: Drop, step: Any, states: States, parents: Any, actions: Any, children: Any) -> None:
    step(states, parents, actions, children)
    states.to_move[children] = 0


def steps_in_the_parent(game: Drop, step: Any, states: States, parents: Any, actions: Any, children: Any) -> None:
    step(states, parents, actions, parents)
    for array in states:
        array[children] = array[parents]


def turns_a_stone_over(game: Drop, step: Any, states: States, parents: Any, actions: Any, children: Any) -> None:
    step(states, parents, actions, children)
    states.cells[children, -1] = np.where(states.ply[children] == 3, 2, states.cells[children, -1])


def everything_is_legal(game: Drop, legal_mask: Any, states: States, rows: Any, out: Any) -> None:
    legal_mask(states, rows, out)
    out[states.winner[rows] < 0] = True


def a_draw_is_a_win(game: Drop, terminal_values: Any, states: States, rows: Any, out: Any) -> None:
    terminal_values(states, rows, out)
    out[states.winner[rows] >= 0] = 1


def sees_the_others_stones(game: Drop, codes: Any, states: States, rows: Any, out: Any) -> None:
    codes(states._replace(view=np.int8(1) - states.view), rows, out)


def forgets_half(game: Drop, reset: Any, states: States, rows: Any) -> None:
    cells = states.cells.copy()
    reset(states, rows)
    states.cells[:, ::2] = np.where(states.ply[:, None] == 0, cells[:, ::2], states.cells[:, ::2])


def says_nothing(game: Drop, play: Any, moves: Any) -> States:
    return game.new_states(1)


BROKEN: list[tuple[str, Callable[..., object], str]] = [
    ("step", steps_in_a_copy, r"states\.ply is 0, not 1 after \w+"),
    ("step", forgets_the_turn, r"states\.to_move is 0, not 1 after \w+"),
    ("step", steps_in_the_parent, r"states\.cells of a row that is not the child is \d, not \d at \(1, \d+\)"),
    ("step", turns_a_stone_over, r"states\.cells, where .* is 2, not \d at 15 after \w+ \w+ \w+"),
    ("legal_mask", everything_is_legal, r"what is legal by codes, .* is False, not True at 0 at the start"),
    ("terminal_values", a_draw_is_a_win, r"terminal_values \[1\.0, 1\.0\] have more than one winner after \w+"),
    ("codes", sees_the_others_stones, r"the code of a cell, .* is [12], not [12] at \d+ after \w+"),
    ("reset", forgets_half, r"states\.cells .*(start|reset)"),
    ("play", says_nothing, r"states\.cells of a game played in one call of step, beside play"),
]


@pytest.mark.parametrize(("method", "wrong", "message"), BROKEN, ids=[wrong.__name__ for _, wrong, _ in BROKEN])
def test_what_is_broken_is_found_and_named(
    method: str, wrong: Callable[..., object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Drop(GameSettings(name="tests.games.drop:Drop", board_size=4))
    conformance.check(game)
    right = getattr(game, method)
    monkeypatch.setattr(game, method, lambda *asked: wrong(game, right, *asked))
    with pytest.raises(ConformanceError, match=message) as caught:
        conformance.check(game)
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("symmetries", lambda table: table.astype(np.int32), "symmetries is int32, not int16"),
        ("symmetries", lambda table: table[:, :-1], r"the shape of symmetries is 16, not 17 at 1"),
        ("symmetries", lambda table: table[::-1], r"symmetries\[0\] is 3, not 0 at 0"),
        ("action_view", lambda table: table * 0, r"action_view\[0\], sorted, is 0, not 1 at 1"),
        ("code_symmetries", lambda table: np.stack([table[0], np.roll(table[0], 1)]), "codes of the game turned by 1"),
        ("max_plies", lambda most: 3, "a game goes on after max_plies=3 moves after"),
        ("next_view", lambda table: 1 - table, "states.view, which next_view tells"),
        ("num_seats", lambda seats: 3, r"shapes\.num_seats is 2, not 3"),
    ],
)
def test_wrong_tables_are_found_and_named(name: str, change: Callable[[Any], Any], message: str) -> None:
    game = Drop(GameSettings(name="tests.games.drop:Drop", board_size=4))
    setattr(game, name, change(getattr(game, name)))
    with pytest.raises(ConformanceError, match=message):
        conformance.check(game)
