"""What every game must keep to; a new game joins by a line in GAMES."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.errors import IllegalMoveError, NotationError
from hexpipe.games.game_env import ONGOING, Game, States
from hexpipe.games.hex import Hex

GAMES = {
    "hex3": Hex(3),
    "hex4-swap": Hex(4, swap=True),
    "hex7-swap": Hex(7, swap=True),
    "hex11": Hex(11),
}


@pytest.fixture(params=GAMES)
def game(request: pytest.FixtureRequest) -> Game:
    return GAMES[request.param]


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def legal(game: Game, states: States, row: int = 0) -> np.ndarray:
    out = np.ones((1, game.num_actions), np.bool_)
    game.legal_mask(states, rows(row), out)
    return np.flatnonzero(out[0])


def codes(game: Game, states: States, row: int = 0) -> np.ndarray:
    out = np.full((1, game.shapes.code_length), 99, np.int8)
    game.codes(states, rows(row), out)
    return out[0]


def outcome(game: Game, states: States, row: int = 0) -> np.ndarray:
    out = np.full((1, game.num_seats), 99, np.float32)
    game.terminal_values(states, rows(row), out)
    return out[0]


def play(game: Game, states: States, action: int, row: int = 0) -> None:
    game.step(states, rows(row), np.array([action], np.int16), rows(row))


def random_moves(game: Game, seed: int) -> list[int]:
    generator = np.random.default_rng(seed)
    states, moves = game.new_states(1), []
    while states.winner[0] == ONGOING:
        moves.append(int(generator.choice(legal(game, states))))
        play(game, states, moves[-1])
    return moves


def same(one: States, row: int, other: States, other_row: int) -> bool:
    """Whether two rows are the same position (union-find forests may differ)."""
    fields = ("cells", "to_move", "view", "winner", "ply")
    return all(np.array_equal(getattr(one, name)[row], getattr(other, name)[other_row]) for name in fields)


def test_shapes_agree(game: Game) -> None:
    shapes, states = game.shapes, game.new_states(3)
    assert (shapes.num_actions, shapes.num_seats, shapes.board_size) == (
        game.num_actions,
        game.num_seats,
        game.board_size,
    )
    assert shapes.code_length == game.num_actions >= shapes.num_cells
    assert game.action_view.shape == (game.num_views, game.num_actions)
    assert game.symmetries.shape == (len(game.symmetries), game.num_actions)
    assert game.code_symmetries.shape == (len(game.symmetries), shapes.code_length)
    assert states.cells.shape == (3, shapes.num_cells)
    assert [array.dtype for array in states] == [np.int8, np.int16, np.int8, np.int8, np.int8, np.int16]
    assert all(array.flags.c_contiguous and len(array) == 3 for array in states)


def test_tables_are_permutations(game: Game) -> None:
    for table in (game.action_view, game.symmetries, game.code_symmetries):
        assert table.dtype == np.int16
        for row in table:
            np.testing.assert_array_equal(np.sort(row), np.arange(len(row)))
    np.testing.assert_array_equal(game.symmetries[0], np.arange(game.num_actions))
    np.testing.assert_array_equal(game.code_symmetries[0], np.arange(game.shapes.code_length))


def test_start_position(game: Game) -> None:
    states = game.new_states(2)
    for row in range(2):
        assert not states.cells[row].any()
        assert (states.to_move[row], states.view[row], states.winner[row], states.ply[row]) == (0, 0, ONGOING, 0)
        np.testing.assert_array_equal(legal(game, states, row), np.arange(game.shapes.num_cells))
        np.testing.assert_array_equal(outcome(game, states, row), 0)


@pytest.mark.parametrize("seed", range(5))
def test_random_games_keep_the_contract(game: Game, seed: int) -> None:
    states = game.new_states(1)
    for plies, move in enumerate(random_moves(game, seed), start=1):
        assert states.winner[0] == ONGOING
        np.testing.assert_array_equal(outcome(game, states), 0)
        _check_codes(game, states)
        play(game, states, move)
        assert states.ply[0] == plies <= game.max_plies
        assert 0 <= states.to_move[0] < game.num_seats
        assert 0 <= states.view[0] < game.num_views
    assert 0 <= states.winner[0] <= game.num_seats
    assert legal(game, states).size == 0
    values = outcome(game, states)
    assert values.sum() == pytest.approx(0)
    if states.winner[0] < game.num_seats:
        assert values[states.winner[0]] == 1
        np.testing.assert_allclose(np.delete(values, states.winner[0]), -1 / (game.num_seats - 1))


def _check_codes(game: Game, states: States) -> None:
    """Codes say what is legal in the net frame, and can be made from the cells alone."""
    seen, area = codes(game, states), game.shapes.num_cells
    free = np.concatenate([seen[:area] == 0, seen[area:] == 1])
    allowed = np.zeros(game.num_actions, np.bool_)
    allowed[game.action_view[states.view[0], legal(game, states)]] = True
    np.testing.assert_array_equal(free, allowed)
    rebuilt = np.full((1, game.shapes.code_length), 99, np.int8)
    game.codes_from_cells(states.cells, states.view, states.ply, rebuilt)
    np.testing.assert_array_equal(rebuilt[0], seen)


def test_step_leaves_the_parent_and_the_other_rows_alone(game: Game) -> None:
    moves = random_moves(game, 1)
    states = game.new_states(4)
    for move in moves[:-1]:
        play(game, states, move, 1)
    before = States(*(array.copy() for array in states))
    game.step(states, rows(1), np.array([moves[-1]], np.int16), rows(3))
    for old, new in zip(before, states, strict=True):
        np.testing.assert_array_equal(old[:3], new[:3])
    play(game, states, moves[-1], 1)
    assert same(states, 1, states, 3)


def test_batches_are_played_in_order(game: Game) -> None:
    moves = random_moves(game, 2)
    states = game.new_states(len(moves) + 1)
    here = np.arange(len(moves), dtype=np.int32)
    game.step(states, here, np.array(moves, np.int32), here + 1)
    assert same(states, len(moves), game.play(moves), 0)
    masks = np.ones((len(moves) + 1, game.num_actions), np.bool_)
    everyone = np.arange(len(moves) + 1, dtype=np.int32)[::-1].copy()
    game.legal_mask(states, everyone, masks)
    for k, row in enumerate(everyone):
        np.testing.assert_array_equal(np.flatnonzero(masks[k]), legal(game, states, int(row)))


def test_reset_forgets_everything(game: Game) -> None:
    states = game.new_states(2)
    moves = random_moves(game, 3)
    for row in range(2):
        for move in moves:
            play(game, states, move, row)
    game.reset(states, rows(1))
    assert same(states, 1, game.new_states(1), 0)
    assert states.winner[0] != ONGOING
    for move in moves[::-1][:2]:
        play(game, states, move, 1)
    assert states.winner[1] == ONGOING


@pytest.mark.parametrize("seed", range(3))
def test_symmetric_games_are_the_same_game(game: Game, seed: int) -> None:
    for symmetry, code_symmetry in zip(game.symmetries, game.code_symmetries, strict=True):
        states, mirrored = game.new_states(1), game.new_states(1)
        for move in random_moves(game, seed):
            view = game.action_view[states.view[0]]
            place = int(np.flatnonzero(symmetry == view[move])[0])
            play(game, states, move)
            play(game, mirrored, int(np.flatnonzero(view == place)[0]))
            np.testing.assert_array_equal(codes(game, mirrored), codes(game, states)[code_symmetry])
            assert mirrored.winner[0] == states.winner[0]


def test_names_of_actions_can_be_read(game: Game) -> None:
    for action in range(game.num_actions):
        assert game.parse_action(game.action_name(action)) == action
    for text in ("", "a", "1", "a0", "a99", "zz1", "a1 b2", "pass"):
        with pytest.raises(NotationError):
            game.parse_action(text)


def test_illegal_moves_are_named(game: Game) -> None:
    with pytest.raises(IllegalMoveError, match=rf"move 2 \({game.action_name(1)}\) .*taken"):
        game.play([1, 1])
    with pytest.raises(IllegalMoveError, match="move 1"):
        game.play([game.num_actions])
    with pytest.raises(IllegalMoveError, match="move 1"):
        game.play([-1])
    moves = random_moves(game, 4)
    free = next(iter(set(range(game.shapes.num_cells)) - set(moves)), None)
    if free is not None:
        with pytest.raises(IllegalMoveError, match=f"move {len(moves) + 1} .*won"):
            game.play([*moves, free])


def test_pictures_show_every_stone(game: Game) -> None:
    states = game.play(random_moves(game, 5))
    empty = game.render(np.zeros(game.shapes.num_cells, np.int8))
    picture = game.render(states.cells[0])
    stones = np.count_nonzero(states.cells[0])
    assert sum(a != b for a, b in zip(empty, picture, strict=True)) == stones
