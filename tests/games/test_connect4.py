"""Connect Four against a slow reference, the numbers of its positions that are published, and its words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.config import Settings, load_settings
from hexpipe.errors import IllegalMoveError, NotationError, SettingsError
from hexpipe.games.connect4.rules import ConnectFour
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import States
from hexpipe.games.playouts import random_playouts
from tests.refusals import refused

BOARDS = [(6, 7), (4, 4), (5, 9), (9, 4)]
DISTINCT = (1, 7, 49, 238, 1120, 4263, 16422, 54859, 184275)
"""Positions after so many plies on 6 x 7: OEIS A212693 (John Tromp)."""


def settings_of(rows: int | None = None, columns: int | None = None) -> Settings:
    board = {} if rows is None else {"game.board_size": rows, "game.board_width": columns}
    return load_settings("quick", {"game.name": "connect4", **board})


def connect4(rows: int | None = None, columns: int | None = None) -> ConnectFour:
    game = make_game(settings_of(rows, columns).game)
    assert isinstance(game, ConnectFour)
    return game


class Slow:
    """One game, stones by (height, column)."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.stones: dict[tuple[int, int], int] = {}
        self.winner = -1

    def legal(self) -> list[tuple[int, int]]:
        heights = [sum(column == j for _, column in self.stones) for j in range(self.columns)]
        over = self.winner >= 0
        return [] if over else [(height, j) for j, height in enumerate(heights) if height < self.rows]

    def play(self, cell: tuple[int, int]) -> None:
        seat = len(self.stones) % 2
        self.stones[cell] = seat
        for up, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            for start in range(-3, 1):
                line = [(cell[0] + (start + k) * up, cell[1] + (start + k) * right) for k in range(4)]
                if all(self.stones.get(place) == seat for place in line):
                    self.winner = seat
        if self.winner < 0 and len(self.stones) == self.rows * self.columns:
            self.winner = 2

    def cell(self, place: tuple[int, int]) -> int:
        return (self.rows - 1 - place[0]) * self.columns + place[1]


@given(st.sampled_from(BOARDS), st.randoms(use_true_random=False))
def test_random_games_are_those_of_the_reference(board: tuple[int, int], rng) -> None:
    slow, game, row = Slow(*board), connect4(*board), np.zeros(1, np.int32)
    states, mask = game.new_states(1), np.zeros((1, game.num_actions), np.bool_)
    while True:
        game.legal_mask(states, row, mask)
        assert np.flatnonzero(mask[0]).tolist() == sorted(map(slow.cell, slow.legal()))
        assert states.winner[0] == slow.winner
        if slow.winner >= 0:
            break
        place = rng.choice(slow.legal())
        game.step(states, row, np.array([slow.cell(place)]), row)
        slow.play(place)
    stones = {slow.cell(place): 1 + seat for place, seat in slow.stones.items()}
    assert {cell: int(stone) for cell, stone in enumerate(states.cells[0]) if stone} == stones


def followers(game: ConnectFour, states: States) -> States:
    """The distinct positions after every move in each row of ``states`` that is not over."""
    rows = np.arange(len(states.ply), dtype=np.int32)
    mask = np.zeros((len(rows), game.num_actions), np.bool_)
    game.legal_mask(states, rows, mask)
    parents, actions = (part.astype(np.int32) for part in np.nonzero(mask))
    both = game.new_states(len(rows) + len(parents))
    for new, old in zip(both, states, strict=True):
        new[: len(rows)] = old
    children = len(rows) + np.arange(len(parents), dtype=np.int32)
    game.step(both, parents, actions, children)
    _, first = np.unique(both.cells[children], axis=0, return_index=True)
    return States(*(part[children[first]].copy() for part in both))


def test_there_are_as_many_positions_as_tromp_counted() -> None:
    game = connect4()
    states = game.new_states(1)
    for wanted in DISTINCT[1:7]:
        states = followers(game, states)
        assert len(states.ply) == wanted


@pytest.mark.slow
def test_there_are_as_many_positions_after_eight_plies_too() -> None:
    game = connect4()
    states = game.new_states(1)
    for wanted in DISTINCT[1:]:
        states = followers(game, states)
        assert len(states.ply) == wanted


def test_its_board_is_its_own_unless_one_is_named() -> None:
    game = connect4()
    assert (game.board_size, game.board_width, game.shapes.board_cells) == (6, 7, 42)
    assert settings_of().game.title == "Connect Four 6x7"
    assert settings_of(8, 8).game.board == (8, 8)
    assert connect4(5, 9).terms["board_width"] == 9
    assert "board_width" not in connect4(8, 8).terms
    for rows, columns, setting in ((3, 7, "game.board_size"), (6, 31, "game.board_width")):
        with refused(SettingsError, kind="range", setting=setting):
            settings_of(rows, columns)
    with refused(SettingsError, kind="unknown", setting="game.swap"):
        load_settings("quick", {"game.name": "connect4", "game.swap": True})


@pytest.mark.parametrize("name", ["hex", "inarow"])
def test_other_boards_are_square(name: str) -> None:
    with refused(SettingsError, kind="conflict", setting="game.board_width"):
        load_settings("quick", {"game.name": name, "game.board_size": 5, "game.board_width": 6})


def test_columns_name_moves() -> None:
    game = connect4()
    moves = game.moves_of_columns("4453")
    assert [game.action_name(move) for move in moves] == ["d6", "d5", "e6", "c6"]
    assert game.columns_of_moves(moves) == "4453"
    assert game.play(moves).cells[0].reshape(6, 7)[5].tolist() == [0, 0, 2, 1, 1, 0, 0]
    with refused(NotationError, kind="coordinate", move=2):
        game.moves_of_columns("48")
    with refused(NotationError, kind="occupied", move=7):
        game.moves_of_columns("1111111")
    with refused(NotationError, kind="board"):
        connect4(4, 10).columns_of_moves([39])


def test_what_falls_cannot_stay_in_the_air() -> None:
    game = connect4()
    with refused(IllegalMoveError, "nothing there carries a stone", kind="rule", move=1):
        game.play([game.parse_action("d5")])
    with refused(IllegalMoveError, "taken", kind="occupied", move=2):
        game.play([game.parse_action("d6")] * 2)


def test_it_is_drawn_row_by_row() -> None:
    game = connect4(4, 5)
    picture = game.render(game.play(game.moves_of_columns("332")).cells[0])
    assert picture.splitlines() == [
        "   a b c d e", " 1 . . . . .", " 2 . . . . .", " 3 . . O . .", " 4 . X X . .",
    ]  # fmt: skip


def test_the_first_wins_random_games_as_often_as_when_they_are_played_move_by_move() -> None:
    game, rng, count = connect4(), np.random.default_rng(0), 3000
    states, mask = game.new_states(count), np.zeros((count, game.num_actions), np.bool_)
    while len(going := np.flatnonzero(states.winner < 0).astype(np.int32)):
        game.legal_mask(states, going, mask[: len(going)])
        noise = rng.random((len(going), game.num_actions)) * mask[: len(going)]
        game.step(states, going, noise.argmax(axis=1), going)
    share, length = (states.winner == 0).mean(), states.ply.mean()
    moves, won = random_playouts(settings_of().game, 200)(1, 40)
    assert abs(won / 8000 - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert abs(moves / 8000 - length) < 4 * states.ply.std() / np.sqrt(count)
