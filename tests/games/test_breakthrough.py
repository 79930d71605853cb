"""Breakthrough against a slow reference, OpenSpiel, boards that are solved, and its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.config import Settings, load_settings
from hexpipe.errors import IllegalMoveError, NotationError, SettingsError
from hexpipe.games.board_moves import move_names, parse_move, parse_moves
from hexpipe.games.breakthrough.rules import Breakthrough
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import IntArray, OwnStates
from hexpipe.games.playouts import random_playouts
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.dry_play import play_games
from tests.refusals import refused

BOARDS = [(8, 8, None), (3, 3, None), (5, 4, None), (4, 7, 2), (7, 3, 1), (6, 5, None)]
"""Rows, columns, rows of pieces."""
PERFT = {(8, 8): (22, 484, 11132, 256036), (5, 4): (10, 100, 840, 6988)}
"""Lines of play of so many plies, counted by OpenSpiel 2.0.2."""
SOLVED = [(3, 3, 1, 0), (4, 3, 1, 0), (4, 3, 2, 1), (5, 3, 1, 0)]
SOLVED_SLOWLY = [(4, 4, 1, 0), (5, 3, 2, 1), (6, 3, 1, 0)]
"""Rows, columns, rows of pieces, and the seat that wins, by a full search of another program."""
LONGEST = {(3, 3, 1): 7, (4, 3, 1): 13, (4, 3, 2): 18, (5, 3, 1): 19, (4, 4, 1): 17, (5, 3, 2): 31, (6, 3, 1): 25}
"""Plies of the longest game, by that search."""


def settings_of(rows: int | None = None, columns: int | None = None, piece_rows: int | None = None) -> Settings:
    board = {} if rows is None else {"game.board_size": rows, "game.board_width": columns}
    return load_settings("quick", {"game.name": "breakthrough", "game.piece_rows": piece_rows, **board})


def breakthrough(rows: int | None = None, columns: int | None = None, piece_rows: int | None = None) -> Breakthrough:
    game = make_game(settings_of(rows, columns, piece_rows).game)
    assert isinstance(game, Breakthrough)
    return game


class Slow:
    """One game: whose piece is where, by (row, column)."""

    def __init__(self, rows: int, columns: int, piece_rows: int) -> None:
        self.rows, self.columns, self.seat, self.winner = rows, columns, 0, -1
        self.pieces = {(row, column): 0 for row in range(piece_rows) for column in range(columns)}
        self.pieces |= {(rows - 1 - row, column): 1 for row, column in self.pieces}

    def legal(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        if self.winner >= 0:
            return []
        found = []
        for (row, column), seat in self.pieces.items():
            for beside in (column - 1, column, column + 1):
                target = row + (-1 if seat else 1), beside
                free = self.pieces.get(target) in ((None,) if beside == column else (None, 1 - seat))
                if seat == self.seat and free and 0 <= beside < self.columns:
                    found.append(((row, column), target))
        return found

    def play(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self.pieces[target] = self.pieces.pop(source)
        if target[0] == (0 if self.seat else self.rows - 1) or 1 - self.seat not in self.pieces.values():
            self.winner = self.seat
        self.seat = 1 - self.seat

    def seen(self) -> list[int]:
        """The cells as the mover sees them: 1 own, 2 other pieces."""
        board = np.zeros((self.rows, self.columns), int)
        for place, seat in self.pieces.items():
            board[place] = 1 if seat == self.seat else 2
        return (board[::-1] if self.seat else board).ravel().tolist()


@given(st.sampled_from(BOARDS), st.randoms(use_true_random=False))
def test_random_games_are_those_of_the_reference(board: tuple[int, int, int | None], rng: Any) -> None:
    game, row = breakthrough(*board), np.zeros(1, np.int32)
    area, columns = game.shapes.board_cells, game.board_width
    slow = Slow(*board[:2], game.piece_rows)
    states, mask = game.new_states(1), np.zeros((1, game.num_actions), np.bool_)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    while True:
        game.legal_mask(states, row, mask)
        legal = slow.legal()
        steps = {game.move_cells(action, slow.seat): action for action in np.flatnonzero(mask[0]).tolist()}
        assert steps.keys() == {tuple(i * columns + j for i, j in step) for step in legal}
        assert states.winner[0] == slow.winner
        pieces = {i * columns + j: 1 + seat for (i, j), seat in slow.pieces.items()}
        assert {cell: int(piece) for cell, piece in enumerate(states.cells[0]) if piece} == pieces
        if slow.winner >= 0:
            assert states.ply[0] <= game.max_plies
            break
        game.codes(states, row, codes)
        assert codes[0, :area].tolist() == slow.seen()
        np.testing.assert_array_equal(codes[0, area:], mask[0, np.argsort(game.action_view[slow.seat])])
        source, target = rng.choice(legal)
        action = steps[source[0] * columns + source[1], target[0] * columns + target[1]]
        game.step(states, row, np.array([action]), row)
        slow.play(source, target)


def after(game: Breakthrough, states: OwnStates) -> tuple[OwnStates, IntArray]:
    """The positions after every move in each row of ``states``, and the row that each comes from."""
    rows = np.arange(len(states.ply), dtype=np.int32)
    mask = np.zeros((len(rows), game.num_actions), np.bool_)
    game.legal_mask(states, rows, mask)
    parents, actions = (part.astype(np.int32) for part in np.nonzero(mask))
    made = game.new_states(len(parents))
    for new, old in zip(made, states, strict=True):
        new[:] = old[parents]
    here = np.arange(len(parents), dtype=np.int32)
    game.step(made, here, actions, here)
    return made, parents


@pytest.mark.parametrize("board", PERFT)
def test_there_are_as_many_lines_of_play_as_openspiel_counts(board: tuple[int, int]) -> None:
    game = breakthrough(*board)
    states = game.new_states(1)
    for count in PERFT[board]:
        states, _ = after(game, states)
        assert len(states.ply) == count


def solve(game: Breakthrough) -> tuple[int, int]:
    """The winner, and the plies of the longest game, from every position that can come about."""
    states, steps = game.new_states(1), []
    while len(states.ply):
        made, parents = after(game, states)
        _, first, same = np.unique(made.cells, axis=0, return_index=True, return_inverse=True)
        steps.append((states.winner.copy(), parents, same.reshape(-1)))
        states = type(made)(*(part[first] for part in made))
    wins, seat = np.zeros(0, np.bool_), len(steps) % 2  # of the seat to move
    for winner, parents, children in reversed(steps):
        seat = 1 - seat
        before = winner == seat
        before[parents[~wins[children]]] = True
        wins = before
    return (0 if wins[0] else 1), len(steps) - 1


@pytest.mark.parametrize(
    ("rows", "columns", "piece_rows", "winner"),
    [*SOLVED, *(pytest.param(*board, marks=pytest.mark.slow) for board in SOLVED_SLOWLY)],
)
def test_small_boards_are_won_by_whom_others_have_found(rows: int, columns: int, piece_rows: int, winner: int) -> None:
    game = breakthrough(rows, columns, piece_rows)
    assert solve(game) == (winner, LONGEST[rows, columns, piece_rows])
    assert LONGEST[rows, columns, piece_rows] <= game.max_plies <= LONGEST[rows, columns, piece_rows] + 1


class Spiel:
    """OpenSpiel's game, whose rows are counted from the bottom, where the second player begins."""

    def __init__(self, rows: int, columns: int) -> None:
        pyspiel = pytest.importorskip("pyspiel", reason="OpenSpiel is not installed: pip install open_spiel==2.0.2")
        self.rows = rows
        self.state = pyspiel.load_game(f"breakthrough(rows={rows},columns={columns})").new_initial_state()

    def legal(self) -> dict[str, int]:
        """Its actions by our names of them; captures have a star at their end."""
        state = self.state
        return {self._ours(state.action_to_string(action)): action for action in state.legal_actions()}

    def _ours(self, text: str) -> str:
        (a, i), (b, j) = text.removesuffix("*")[:2], text.removesuffix("*")[2:]
        return f"{a}{self.rows + 1 - int(i)}{b}{self.rows + 1 - int(j)}"


@pytest.mark.parametrize("board", [(8, 8), (5, 4), (6, 5), (3, 3)])
def test_random_games_are_those_of_openspiel(board: tuple[int, int]) -> None:
    game, row, rng = breakthrough(*board), np.zeros(1, np.int32), np.random.default_rng(0)
    for _ in range(20):
        theirs, states = Spiel(*board), game.new_states(1)
        mask = np.zeros((1, game.num_actions), np.bool_)
        while True:
            game.legal_mask(states, row, mask)
            seat = int(states.to_move[0])
            ours = {game.move_name(action, seat): action for action in np.flatnonzero(mask[0]).tolist()}
            known = theirs.legal()
            assert ours.keys() == known.keys()
            if not ours:
                break
            name = str(rng.choice(sorted(ours)))
            game.step(states, row, np.array([ours[name]]), row)
            theirs.state.apply_action(known[name])
        assert theirs.state.returns() == [1 - 2 * float(states.winner[0]), 2 * float(states.winner[0]) - 1]
        assert states.ply[0] <= theirs.state.get_game().max_game_length()


@pytest.mark.parametrize("board", PERFT)
def test_openspiel_counts_these_lines_of_play(board: tuple[int, int]) -> None:
    def count(state: Any, plies: int) -> int:
        actions = state.legal_actions()
        return len(actions) if plies == 1 else sum(count(state.child(action), plies - 1) for action in actions)

    assert [count(Spiel(*board).state, plies) for plies in (1, 2, 3)] == list(PERFT[board][:3])


def test_its_board_is_eight_cells_a_side_unless_one_is_named() -> None:
    game = breakthrough()
    assert (game.board_size, game.board_width, game.piece_rows, game.max_plies) == (8, 8, 2, 177)
    assert settings_of().game.title == "Breakthrough 8x8"
    assert settings_of(6, 5).game.title == "Breakthrough 6x5"
    assert breakthrough(5, 5).terms["piece_rows"] == 1
    assert breakthrough(5, 5, 1).terms == breakthrough(5, 5).terms != breakthrough(5, 5, 2).terms
    for rows, columns, pieces, kind, setting in (
        (31, 8, None, "range", "game.board_size"),
        (8, 31, None, "range", "game.board_width"),
        (3, 3, 2, "conflict", "game.piece_rows"),
        (8, 8, 3, "range", "game.piece_rows"),
    ):
        with refused(SettingsError, kind=kind, setting=setting):
            settings_of(rows, columns, pieces)
    with refused(SettingsError, kind="unknown", setting="game.piece_rows"):
        load_settings("quick", {"game.name": "othello", "game.piece_rows": 1})


def test_it_begins_with_full_rows() -> None:
    game = breakthrough(5, 3)
    picture = game.render(game.new_states(1).cells[0])
    assert picture.splitlines() == ["   a b c", " 1 X X X", " 2 . . .", " 3 . . .", " 4 . . .", " 5 O O O"]


def test_moves_are_named_by_both_cells_and_read_in_several_ways() -> None:
    game = breakthrough()
    words = ["b2b3", "a7a6", "b3b4", "a6a5", "b4a5"]
    moves = parse_moves(game, words)
    assert move_names(game, moves) == words
    assert parse_moves(game, ["B2-B3", " a7-a6"]) == moves[:2]
    assert parse_move(game, "b4xa5", 0) == moves[-1]
    assert game.play(moves).cells[0].reshape(8, 8)[4].tolist() == [1] + [0] * 7
    assert [game.parse_action(word) for word in words] == moves
    assert game.action_name(moves[1]) == "a6a7", "as the first player would go there"


@pytest.mark.parametrize(
    ("text", "seat", "kind"),
    [
        ("a2", 0, "coordinate"),
        ("a2 a3", 0, "coordinate"),
        ("a2i3", 0, "coordinate"),
        ("a8a9", 0, "coordinate"),
        ("a2a4", 0, "rule"),
        ("a2c3", 0, "rule"),
        ("a2b2", 0, "rule"),
        ("a2xa3", 0, "rule"),
        ("a7a6", 0, "rule"),
        ("a2a3", 1, "rule"),
    ],
)
def test_words_that_are_no_moves_are_refused(text: str, seat: int, kind: Any) -> None:
    with refused(NotationError, kind=kind):
        parse_move(breakthrough(), text, seat)


def test_illegal_moves_are_told_apart() -> None:
    game = breakthrough(5, 5)
    for words, text, move in (
        (["a2a3"], "seat 0 has no piece on a2", 1),
        (["a1a2", "a5a4", "a2a3", "b5b4", "a3a4"], "pieces take askew, not straight ahead", 5),
        (["a1a2", "a4a3"], "seat 1 has no piece on a4", 2),
        (["a1a2", "a5a4", "b1a2"], "its own piece stands there", 3),
    ):
        with refused(IllegalMoveError, text, kind="rule", move=move):
            game.play(parse_moves(game, words))
    with refused(IllegalMoveError, "seat 0 has already won", kind="over", move=8):
        words = ["a1a2", "e5e4", "a2a3", "e4e3", "a3b4", "e3e2", "b4a5", "e2d1"]
        game.play(parse_moves(game, words))


def test_games_without_a_snapshot_are_sampled_too() -> None:
    """A batch may have no position late enough for one."""
    game = breakthrough(3, 3)
    options = {"search.num_simulations": 2, "selfplay.games_per_worker": 2, "replay.min_games": 1}
    settings = load_settings("quick", {**options, "replay.snapshot_interval": 16})
    buffer = ReplayBuffer.create(settings.replay, game, private=True)
    for record in play_games(game, settings, 2):
        buffer.add_game(record)
    batch = buffer.sample_batch(20, np.random.default_rng(0), unroll_steps=2, observations=True)
    assert (batch["codes"][:, 9:].sum(axis=1) > 0).all()


def test_who_takes_the_last_piece_has_won() -> None:
    game, row = breakthrough(5, 3), np.zeros(1, np.int32)
    states = game.new_states(1)
    states.cells[0] = 0
    states.cells[0, [4, 8]] = 1, 2
    game.step(states, row, np.array([parse_move(game, "b2c3", 0)]), row)
    assert states.winner[0] == 0


def test_a_mover_sees_its_pieces_come_down_whichever_seat_it_has() -> None:
    """What is the same for both is one position to a net, a cache and a memory."""
    game, row = breakthrough(6, 5), np.zeros(1, np.int32)
    one, other = np.zeros((2, 1, game.shapes.code_length), np.int8)
    game.codes(game.play(parse_moves(game, ["b2b3", "e5d4"])), row, one)
    game.codes(game.play(parse_moves(game, ["b2b3", "b5b4", "a2a3"])), row, other)
    assert one[0, :30].reshape(6, 5)[:3].tolist() == [[1] * 5, [1, 0, 1, 1, 1], [0, 1, 0, 0, 0]]
    assert other[0, :30].reshape(6, 5)[:3].tolist() == [[1] * 5, [1, 0, 1, 1, 1], [0, 1, 0, 0, 0]]
    game.codes(game.play(parse_moves(game, ["b2b3", "e5d4", "a2a3"])), row, other)
    assert other[0, :30].reshape(6, 5)[-3:].tolist() == [[2, 2, 0, 0, 0], [0, 0, 2, 2, 2], [2] * 5]


def test_the_first_wins_random_games_as_often_as_when_they_are_played_move_by_move() -> None:
    game, rng, count = breakthrough(5, 4), np.random.default_rng(0), 3000
    states, mask = game.new_states(count), np.zeros((count, game.num_actions), np.bool_)
    while len(going := np.flatnonzero(states.winner < 0).astype(np.int32)):
        game.legal_mask(states, going, mask[: len(going)])
        noise = rng.random((len(going), game.num_actions)) * mask[: len(going)]
        game.step(states, going, noise.argmax(axis=1), going)
    share, length = (states.winner == 0).mean(), states.ply.mean()
    moves, won = random_playouts(settings_of(5, 4).game, 200)(1, 40)
    assert abs(won / 8000 - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert abs(moves / 8000 - length) < 4 * states.ply.std() / np.sqrt(count)
