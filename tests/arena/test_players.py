"""Players and games between them, on tic-tac-toe, where everything is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hexpipe.arena.match import play_match
from hexpipe.arena.players import NetPlayer, Player, RandomPlayer
from hexpipe.config import SearchSettings, load_settings
from hexpipe.games.board_moves import after_moves
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.selfplay.dry_play import FlatEvaluator
from tests.arena.strong_players import PerfectPlayer, TacticalPlayer


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


LARGE = inarow(board_size=20, win_length=4, view_size=7)


def cells(text: str, game: Game = LARGE) -> list[int]:
    """Moves of the whole board."""
    return [game.parse_cell(word) for word in text.split()]


@pytest.mark.parametrize(("position", "only"), [
    ("a1 t20 b1 t19 c1 k10", "d1"),  # win, far from the last stone
    ("a1 t20 b1 t19 c1 t18", "d1"),  # win, rather than block
    ("a1 t20 k1 t19 a20 t18 k10 k12", "t17"),  # block
])  # fmt: skip
def test_the_tactical_player_sees_the_whole_board(position: str, only: str) -> None:
    player = TacticalPlayer(LARGE, 0)
    assert {int(player.choose([cells(position)])[0]) for _ in range(4)} == set(cells(only))


def test_without_a_tactic_it_plays_near_the_last_stone() -> None:
    player = TacticalPlayer(LARGE, 0)
    chosen = {int(player.choose([cells("k10 c3")])[0]) for _ in range(60)}
    assert len(chosen) > 20
    assert cells("c3")[0] not in chosen
    assert all(max(divmod(cell, 20)) <= 6 for cell in chosen)


def test_a_random_player_plays_anywhere() -> None:
    player = RandomPlayer(LARGE, 0)
    chosen = [int(player.choose([cells("k10")])[0]) for _ in range(400)]
    assert cells("k10")[0] not in chosen
    corners = np.bincount([2 * (cell // 200) + cell % 20 // 10 for cell in chosen], minlength=4)
    assert corners.min() > 60


class Looking(FlatEvaluator):
    """Knows nothing, but looks at the fullest bucket."""

    def submit(self, group: int, codes: np.ndarray, moves: Any = None) -> None:
        super().submit(group, codes, moves)
        view = LARGE.shapes.view_cells
        self.focus = codes[:, view : 3 * view].reshape(len(codes), 2, view).max(1).argmax(1).astype(np.int16)

    def collect(self, group: int) -> Any:
        evaluation = super().collect(group)
        return evaluation._replace(answers=evaluation.answers._replace(focus=self.focus))


def test_a_net_player_wins_where_it_looks_whatever_the_last_stone() -> None:
    net = NetPlayer(LARGE, Looking(LARGE.shapes), SearchSettings(num_simulations=150), at_once=2)
    positions = [cells("a1 t20 b1 t1 c1 k10"), cells("t20 a1 t19 k1 t18 a20"), cells("a20 t1 a19 k10 a18 k20")]
    wins = [cells("d1"), cells("t17"), cells("a17")]
    chosen = net.choose(positions).tolist()
    assert [[move] for move in chosen] == wins
    assert net.choose(positions).tolist() == chosen


def test_a_match_on_a_large_board_is_played_in_cells() -> None:
    """Its moves, on their own, give the same game again."""
    net = NetPlayer(LARGE, Looking(LARGE.shapes), SearchSettings(num_simulations=60))
    seats = np.array([[0, 1], [1, 0]] * 4)
    outcomes, played, _ = play_match(LARGE, [net, RandomPlayer(LARGE, 0)], seats, [cells("a1 t20")])
    assert played[0][:2] == cells("a1 t20")
    for outcome, game in zip(outcomes, played, strict=True):
        assert len(set(game)) == len(game)
        end = np.zeros((1, 2), np.float32)
        LARGE.terminal_values(after_moves(LARGE, game), np.zeros(1, np.int32), end)
        assert end[0].tolist() == outcome.tolist() != [0, 0]
    assert outcomes[::2, 0].sum() + outcomes[1::2, 1].sum() == 8  # chance does not stop a row of four
    assert any(max(divmod(move, 20)) > 13 or min(divmod(move, 20)) < 6 for game in played[1:] for move in game)
