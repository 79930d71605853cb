"""Go against a slow reference, its rules by hand, and what is known of its smallest board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import load_settings
from hexpipe.errors import IllegalMoveError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import OwnStates
from hexpipe.games.go.rules import Go
from hexpipe.games.playouts import random_playouts
from tests.games.reference_go import PASS, SlowGo
from tests.refusals import refused

ROW = np.zeros(1, np.int32)


def go(size: int = 9, komi: float = 7.5) -> Go:
    game = make_game(load_settings("quick", {"game.name": "go", "game.board_size": size, "game.komi": komi}).game)
    assert isinstance(game, Go)
    return game


def legal(game: Go, states: OwnStates) -> list[int]:
    mask = np.zeros((1, game.num_actions), np.bool_)
    game.legal_mask(states, ROW, mask)
    return np.flatnonzero(mask[0]).tolist()


Moment = tuple[Go, OwnStates, SlowGo]


def random_game(size: int, seed: int, komi: float = 7.5, passes: float = 0.02) -> Iterator[Moment]:
    """The game, its row and the slow one, before each ply of a random game and at its end."""
    game, slow, rng = go(size, komi), SlowGo(size, komi), np.random.default_rng(seed)
    states = game.new_states(1)
    while True:
        yield game, states, slow
        if slow.over:
            return
        stones = slow.legal()
        point = PASS if not stones or rng.random() < passes else stones[rng.integers(len(stones))]
        action = size**2 if isinstance(point, str) else point[0] * size + point[1]
        slow.play(point)
        game.step(states, ROW, np.array([action], np.int32), ROW)


def hold(game: Go, states: OwnStates, slow: SlowGo) -> None:
    """Hold a row against the slow game."""
    n = game.board_size
    assert states.winner[0] == slow.winner()
    assert states.cells[0].tolist() == [1 + slow.stones.get(point, -1) for point in slow.points]
    assert game.lead(states.cells[0]) == slow.lead()
    points = [] if slow.over else [i * n + j for i, j in slow.legal()]
    assert legal(game, states) == points + [n * n] * (not slow.over)
    if not slow.over:
        codes = np.full((1, game.shapes.code_length), 99, np.int8)
        game.codes(states, ROW, codes)
        assert codes[0].tolist() == slow.codes()


@settings(max_examples=40)
@given(st.sampled_from([3, 4, 5, 6]), st.integers(0, 2**32), st.sampled_from([7.5, 0, -3, 2.5]))
def test_random_games_are_those_of_a_slow_reference(size: int, seed: int, komi: float) -> None:
    for game, states, slow in random_game(size, seed, komi):
        hold(game, states, slow)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 6, 9, 13, 19])
def test_long_random_games_are_those_of_a_slow_reference(size: int) -> None:
    repeated = 0
    for seed in range(max(1, 600 // size**2)):
        for ply, (game, states, slow) in enumerate(random_game(size, seed, passes=0.0)):
            if ply % max(1, size // 5) == 0:
                hold(game, states, slow)
                repeated += len(slow.repetitions)
    assert repeated > 0, "moves that only a repetition forbids"


def test_an_earlier_game_in_a_row_leaves_nothing() -> None:
    """Not in what it held, and not in what its positions were."""
    game = go(4)
    states, fresh = game.play([5, 6, 9, 10, 16, 16]), game.new_states(1)
    game.reset(states, ROW)
    for action in (0, 1, 4, 5, 16, 2):
        assert legal(game, states) == legal(game, fresh)
        for one in (states, fresh):
            game.step(one, ROW, np.array([action], np.int32), ROW)


def put(game: Go, black: str, white: str, to_move: str = "black") -> list[int]:
    """Moves that put stones up, with passes between where a side has none left; none may be captured."""
    area = game.board_size**2
    sides = ([game.parse_action(word) for word in side.split()] for side in (black, white))
    moves = [move for pair in zip_longest(*sides, fillvalue=area) for move in pair]
    while moves and moves[-1] == area:
        moves.pop()
    return moves if (to_move == "black") == (len(moves) % 2 == 0) else [*moves, area]


def play(game: Go, moves: Sequence[int], words: str) -> OwnStates:
    return game.play([*moves, *(game.parse_action(word) for word in words.split())])


def refuse(game: Go, moves: Sequence[int], words: str, why: str) -> None:
    """The last of ``words`` is not legal, because of ``why``; those before it are."""
    *_, last = words.split()
    with refused(IllegalMoveError, f"({last})", why, kind="rule"):
        play(game, moves, words)


SUICIDE, REPEATS = "its chain would have no liberty", "it would repeat an earlier position"


def test_a_chain_without_liberties_is_taken_off() -> None:
    """Two stones in the corner, and a third chain that the same move takes."""
    game = go(5)
    moves = put(game, black="a3 b2 c1 e1 d2", white="a1 a2 d1")
    states = play(game, moves, "e5 e4 b1")
    assert game.render(states.cells[0]).splitlines()[1:4] == [" 1 . X X . X", " 2 . X . X .", " 3 X . . . ."]
    assert game.lead(states.cells[0]) == 7 + 3 - 1 - 7.5


def test_a_move_that_takes_stones_is_no_suicide() -> None:
    game = go(5)
    refuse(game, put(game, "b1 a2", "c5", "white"), "a1", SUICIDE)
    refuse(game, put(game, "c1 b2 a2", "b1 e5", "white"), "a1", SUICIDE)
    states = play(game, put(game, "b1 a2", "c1 b2 a3", "white"), "a1")
    assert game.render(states.cells[0]).splitlines()[1:4] == [" 1 O . O . .", " 2 . O . . .", " 3 O . . . ."]


def test_what_has_two_eyes_cannot_be_taken() -> None:
    """Black lives in the corner with a1 and c1: white may play neither, black both."""
    game = go(5)
    moves = put(game, "b1 a2 b2 c2 d1 d2", "a3 b3 c3 d3 e1 e2")
    for eye in ("a1", "c1"):
        refuse(game, moves, f"e5 {eye}", SUICIDE)
        play(game, moves, eye)


def test_a_ko_is_taken_back_only_after_something_else() -> None:
    game = go(5)
    moves = put(game, "b1 a2 b3", "c1 d2 c3 b2")
    assert game.render(play(game, moves, "c2").cells[0]).splitlines()[2] == " 2 X . X O ."
    refuse(game, moves, "c2 b2", REPEATS)
    play(game, moves, "c2 e5 e4 b2")
    play(game, moves, "c2 pass e4 b2")


def test_a_snapback_takes_five_stones_where_one_was_lost() -> None:
    game = go(5)
    moves = put(game, "a3 b3 c3 d2 d1", "a2 b2 c2 c1")
    assert game.render(play(game, moves, "b1 a1").cells[0]).splitlines()[1:3] == [" 1 O . O X .", " 2 O O O X ."]
    assert game.render(play(game, moves, "b1 a1 b1").cells[0]).splitlines()[1:3] == [" 1 . X . X .", " 2 . . . X ."]


def test_two_are_sent_and_none_is_returned() -> None:
    """White sends two stones, black takes them; to take one back makes the board as it was, with the other to move: a
    simple ko would allow that, and so would a rule that asks whose turn it is."""
    game = go(5)
    moves = put(game, "a2 b2 a3", "b1 c2 d1", "white")
    refuse(game, moves, "a1 c1 b1", REPEATS)
    play(game, moves, "a1 c1 e5 e4 b1")


def test_a_triple_ko_ends_with_its_first_repetition() -> None:
    """Two of three kos are white's at first. Each takes one in turn, and the sixth move would close the circle."""
    game = go(13)
    black = [f"b{row} a{row + 1} b{row + 2}" for row in (1, 5, 9)]
    white = [f"c{row} d{row + 1} c{row + 2}" for row in (1, 5, 9)]
    moves = put(game, " ".join([*black, "c6"]), " ".join([*white, "b2", "b10"]))
    play(game, moves, "c2 b6 c10 b2 c6")
    refuse(game, moves, "c2 b6 c10 b2 c6 b10", REPEATS)
    play(game, moves, "c2 b6 c10 b2 c6 m13 m12 b10")


def test_two_passes_end_a_game_as_it_lies() -> None:
    for words, komi, winner in (("pass pass", 7.5, 1), ("pass pass", 0, 2), ("pass pass", -0.5, 0)):
        assert play(go(3, komi), [], words).winner[0] == winner
    assert play(go(3, 8.5), [], "b2 pass pass").winner[0] == 0
    assert play(go(3, 9), [], "b2 pass pass").winner[0] == 2
    assert play(go(3), [], "pass b2 pass").winner[0] == -1, "they follow each other"
    with refused(IllegalMoveError, kind="over"):
        play(go(3), [], "pass pass b2")


def test_a_game_ends_after_twice_as_many_plies_as_there_are_points() -> None:
    for seed in range(20):
        for game, states, _ in random_game(3, seed, passes=0.0):
            assert states.ply[0] < 18 or states.winner[0] >= 0
            assert states.ply[0] <= game.max_plies == 18


def black_can(game: Go, states: OwnStates, row: int, least: float) -> bool:
    """Whether black gets ``least`` points or more, by trying everything from ``row`` on; later rows are free."""
    if states.winner[row] >= 0:
        return game.lead(states.cells[row]) + game.komi >= least
    here, mask = np.array([row], np.int32), np.zeros((1, game.num_actions), np.bool_)
    game.legal_mask(states, here, mask)
    black = bool(states.to_move[row] == 0)
    fulfilled = (game.lead(states.cells[row]) + game.komi >= least) == black

    def urgency(action: int) -> int:
        if action == game.num_actions - 1:  # what ends the game well is tried first, any other pass last
            return -100 if fulfilled and states.last[row] == action else 50
        beside = game.board.neighbours[action]
        return -sum(states.liberties[row, beside[(beside >= 0) & (states.cells[row, beside] == 1 + black)]] == 1)

    for action in sorted(np.flatnonzero(mask[0]).tolist(), key=urgency):
        game.step(states, here, np.array([action], np.int32), here + 1)
        if black_can(game, states, row + 1, least) == black:
            return black
    return not black


@pytest.mark.slow
def test_on_nine_points_the_centre_takes_them_all() -> None:
    """As is known of 3x3: who begins in the middle owns the board (100,000 positions)."""
    game = go(3)
    states = game.new_states(game.max_plies + 1)
    game.step(states, ROW, np.array([4], np.int32), ROW)
    assert black_can(game, states, 0, 9)


def test_the_first_wins_random_games_as_often_as_when_they_are_played_move_by_move() -> None:
    game, rng, count = go(5, 0.5), np.random.default_rng(0), 3000
    states, mask = game.new_states(count), np.zeros((count, game.num_actions), np.bool_)
    while len(going := np.flatnonzero(states.winner < 0).astype(np.int32)):
        game.legal_mask(states, going, mask[: len(going)])
        noise = rng.random((len(going), game.num_actions)) * mask[: len(going)]
        game.step(states, going, noise.argmax(axis=1).astype(np.int32), going)
    share, length = (states.winner == 0).mean(), states.ply.mean()
    rules = load_settings("quick", {"game.name": "go", "game.board_size": 5, "game.komi": 0.5}).game
    moves, won = random_playouts(rules, 200)(1, 40)
    assert abs(won / 8000 - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert abs(moves / 8000 - length) < 4 * states.ply.std() / np.sqrt(count)


def test_its_board_is_nine_points_a_side_unless_one_is_named() -> None:
    its = load_settings("quick", {"game.name": "go"})
    assert (its.game.board, its.game.title) == ((9, 9), "Go 9x9, komi 7.5")
    assert go(19, 6).terms == {"game": "go", "board_size": 19, "seats": 2, "swap": False, "komi": 6.0}
    for wrong, kind, setting in (
        ({"game.board_size": 20}, "range", "game.board_size"),
        ({"game.board_width": 8}, "conflict", "game.board_width"),
        ({"game.komi": 6.25}, "type", "game.komi"),
        ({"game.komi": 400}, "range", "game.komi"),
        ({"game.komi": "none"}, "type", "game.komi"),
        ({"game.swap": True}, "unknown", "game.swap"),
    ):
        with refused(SettingsError, kind=kind, setting=setting):
            load_settings("quick", {"game.name": "go", **wrong})
    with refused(SettingsError, "game.komi is for game.name=go", kind="unknown", setting="game.komi"):
        load_settings("quick", {"game.name": "othello", "game.komi": 7.5})


def test_it_is_the_same_however_the_board_is_turned() -> None:
    assert len({tuple(symmetry) for symmetry in go(5).symmetries.tolist()}) == 8
