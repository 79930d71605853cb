"""Players and games between them, on tic-tac-toe, where everything is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hexpipe.arena.match import play_match
from hexpipe.arena.players import NetPlayer, PerfectPlayer, Player, RandomPlayer, TacticalPlayer
from hexpipe.compile_kernels import FlatEvaluator
from hexpipe.config import SearchSettings, load_settings
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game


def inarow(**rules: Any) -> Game:
    overrides = {"game.name": "inarow", "game.board_size": 3, "game.win_length": 3}
    return make_game(load_settings("quick", {**overrides, **{f"game.{k}": v for k, v in rules.items()}}).game)


TICTACTOE = inarow()


def moves(text: str, game: Game = TICTACTOE) -> list[int]:
    return [game.parse_action(word) for word in text.split()]


@pytest.mark.parametrize(("position", "best", "value"), [
    ("", "a1 a2 a3 b1 b2 b3 c1 c2 c3", 0),
    ("a1", "b2", 0),
    ("b2", "a1 a3 c1 c3", 0),
    ("a1 b1", "a2 a3 b2 c1 c3", 1),
    ("a1 b1 a2 b2", "a3", 1),
])  # fmt: skip
def test_perfect_play(position: str, best: str, value: float) -> None:
    """All openings draw; a corner is answered in the middle, the middle in a corner; an edge beside it loses."""
    player = PerfectPlayer(TICTACTOE, 0)
    assert player.value(moves(position)).tolist() == [value, -value]
    assert set(player.best_actions(moves(position))) <= set(moves(best))
    if value == 0:
        assert sorted(player.best_actions(moves(position))) == sorted(moves(best))


def test_perfect_players_draw() -> None:
    assert PerfectPlayer(TICTACTOE, 0).value([]).tolist() == [0, 0]
    outcomes, played, _ = play_match(
        TICTACTOE, [PerfectPlayer(TICTACTOE, 1), PerfectPlayer(TICTACTOE, 2)], np.array([[0, 1], [1, 0]] * 5)
    )
    assert not outcomes.any()
    assert {len(game) for game in played} == {9}
    assert len({tuple(game) for game in played}) > 1


@pytest.mark.parametrize(("position", "only"), [
    ("a1 b1 a2 b2", "a3"),  # win, rather than block
    ("a1 b1 a2", "a3"),  # block
])  # fmt: skip
def test_the_tactical_player(position: str, only: str) -> None:
    player = TacticalPlayer(TICTACTOE, 0)
    assert {int(player.choose([moves(position)])[0]) for _ in range(10)} == {TICTACTOE.parse_action(only)}
    assert len({int(player.choose([[]])[0]) for _ in range(30)}) > 5


def test_the_tactical_player_of_three_stops_the_one_who_comes_first() -> None:
    """The next seat's win comes before that of the seat after it."""
    game = inarow(board_size=5, players=3, view_size=5)
    position = moves("a5 a1 a3 e5 b1 b3", game)  # the second has a1 b1 (wins at c1), the third a3 b3 (wins at c3)
    player = TacticalPlayer(game, 0)
    assert player.choose([position]).tolist() == moves("c1", game)


def test_who_sits_where_and_what_comes_of_it() -> None:
    class Scripted:
        def __init__(self, cells: str) -> None:
            self.cells = moves(cells)
            self.asked: list[int] = []

        def choose(self, positions: Sequence[Sequence[int]]) -> np.ndarray:
            self.asked.append(len(positions))
            return np.array([next(c for c in self.cells if c not in position) for position in positions], np.int32)

    upper, lower = Scripted("a1 b1 c1 a2 b2 c2"), Scripted("a3 b3 c3 a2")
    told: list[int] = []
    players: list[Player] = [upper, lower]
    seats = np.array([[0, 1], [1, 0], [0, 1]])
    outcomes, played, _ = play_match(TICTACTOE, players, seats, [[], [], moves("c3")], told.append)
    assert outcomes.tolist() == [[1, -1]] * 3
    assert played[0] == moves("a1 a3 b1 b3 c1")
    assert played[1] == moves("a3 a1 b3 b1 c3")
    assert played[2] == moves("c3 a3 a1 b3 b1 a2 c1")
    assert told[-1] == 3
    assert (upper.asked[0], lower.asked[0]) == (1, 2)  # games are played side by side


def test_a_search_without_a_net_beats_chance() -> None:
    """With the true rules even flat priors and values of 0 find wins and blocks."""
    net = NetPlayer(TICTACTOE, FlatEvaluator(TICTACTOE.shapes), SearchSettings(num_simulations=60), at_once=7)
    outcomes, _, _ = play_match(TICTACTOE, [net, RandomPlayer(TICTACTOE, 0)], np.array([[0, 1], [1, 0]] * 10))
    assert outcomes[::2, 0].mean() > 0.5
    assert outcomes[1::2, 1].mean() > 0
