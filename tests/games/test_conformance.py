"""What every game must keep to; a new game joins by a line in GAMES.

A game of one's own, outside the repository, is held against all this with

    bin/test tests/games/test_conformance.py --game package.module:Class [--size N]
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hexpipe.config import load_settings
from hexpipe.errors import IllegalMoveError, NotationError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game, States
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.own_games import import_game
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.dry_play import play_games
from tests.games.reference_inarow import game_settings, turned_origin


def own_game(name: str, size: int) -> Game:
    settings = load_settings("quick", {"game.name": name, "game.board_size": size}).game
    import_game(settings)
    return make_game(settings)


OFF_OR_CLOSED = 4
GAMES: dict[str, Game] = {
    "hex3": Hex(3),
    "hex4-swap": Hex(4, swap=True),
    "hex7-swap": Hex(7, swap=True),
    "hex11": Hex(11),
    "tic-tac-toe": InARow(game_settings(3, 3)),
    "four in a row, three seats": InARow(game_settings(5, 4, players=3)),
    "small view": InARow(game_settings(9, 5, view_size=5)),
    "small view, three seats": InARow(game_settings(9, 7, players=3, view_size=5, draws="shared")),
    "large view": InARow(game_settings(15, 5, view_size=21)),
    "drop3": own_game("tests.games.drop:Drop", 3),
    "drop4": own_game("tests.games.drop:Drop", 4),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    name, size = metafunc.config.getoption("--game"), metafunc.config.getoption("--size")
    games = {name: own_game(name, size)} if name else GAMES
    metafunc.parametrize("game", games.values(), ids=games)


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
        assert len(moves) < game.max_plies, "a game that does not end"
        moves.append(int(generator.choice(legal(game, states))))
        play(game, states, moves[-1])
    return moves


def same(one: States, row: int, other: States, other_row: int) -> bool:
    """Whether two rows are the same position (union-find forests may differ)."""
    fields = ("cells", "to_move", "view", "winner", "ply", "origin", "last", "pooled", "longest")
    return all(np.array_equal(getattr(one, name)[row], getattr(other, name)[other_row]) for name in fields)


def test_shapes_agree(game: Game) -> None:
    shapes, states = game.shapes, game.new_states(3)
    assert (shapes.num_actions, shapes.num_seats, shapes.board_size) == (
        game.num_actions,
        game.num_seats,
        game.board_size,
    )
    thumbnail = (game.num_seats + 1) * shapes.view_cells if shapes.thumbnail else 0
    assert shapes.code_length == game.num_actions + thumbnail
    assert game.num_actions >= shapes.view_cells
    assert game.action_view.shape == (game.num_views, game.num_actions)
    assert game.symmetries.shape == (len(game.symmetries), game.num_actions)
    assert game.code_symmetries.shape == (len(game.symmetries), shapes.code_length)
    assert states.cells.shape == (3, shapes.board_cells)
    assert states.origin.shape == (3, 2)
    bytes_of_each = [1, 2, 1, 1, 1, 4, 4, 2, 2, 2]
    assert [array.dtype for array in states] == [np.dtype(f"i{size}") for size in bytes_of_each]
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
        np.testing.assert_array_equal(states.origin[row], game.start_origin)
        shown = [a for a in range(game.shapes.view_cells) if game.cell_of_action(a, states.origin[row]) >= 0]
        assert len(shown) == min(game.shapes.view_cells, game.shapes.board_cells)
        np.testing.assert_array_equal(outcome(game, states, row), 0)


@pytest.mark.parametrize("seed", range(5))
def test_random_games_keep_the_contract(game: Game, seed: int) -> None:
    states = game.new_states(1)
    for plies, move in enumerate(random_moves(game, seed), start=1):
        assert states.winner[0] == ONGOING
        assert legal(game, states).size > 0
        np.testing.assert_array_equal(outcome(game, states), 0)
        _check_codes(game, states)
        _check_cells_of_actions(game, states)
        cells, seat, view = states.cells[0].copy(), int(states.to_move[0]), int(states.view[0])
        cell = game.cell_of_action(move, states.origin[0])
        play(game, states, move)
        assert states.ply[0] == plies <= game.max_plies
        assert states.to_move[0] == (seat + 1) % game.num_seats
        assert states.view[0] == game.next_view[view, move] < game.num_views
        if cell >= 0:  # replay keeps the actions alone, and rebuilds a board by placing these stones
            cells[cell] = 1 + view
        np.testing.assert_array_equal(states.cells[0], cells)
    assert 0 <= states.winner[0] <= game.num_seats
    assert legal(game, states).size == 0
    values = outcome(game, states)
    assert (np.abs(values) <= 1).all()
    if states.winner[0] < game.num_seats:
        assert values[states.winner[0]] == 1
        assert (np.delete(values, states.winner[0]) < 1).all()
    if game.num_seats == 2:
        assert values.sum() == 0


def _check_codes(game: Game, states: States) -> None:
    """Codes say what is where and what is legal in the net frame, and can be made from the cells alone."""
    seen, area = codes(game, states), game.shapes.view_cells
    for action, place in enumerate(game.action_view[states.view[0], :area]):
        cell = game.cell_of_action(action, states.origin[0])
        stone = int(states.cells[0, cell]) if cell >= 0 else 0
        if cell < 0:
            assert seen[place] == OFF_OR_CLOSED
        elif stone:
            assert seen[place] == 1 + (stone - 1 - states.view[0]) % game.num_views
        else:  # a net of Hex's planes knows no closed cells
            assert seen[place] in ([0] if game.shapes.turns_frame else [0, OFF_OR_CLOSED])
    free = np.concatenate([seen[:area] == 0, seen[area : game.num_actions] == 1])
    allowed = np.zeros(game.num_actions, np.bool_)
    allowed[game.action_view[states.view[0], legal(game, states)]] = True
    np.testing.assert_array_equal(free, allowed)
    rebuilt = np.full((1, game.shapes.code_length), 99, np.int8)
    game.codes_from_cells(states.cells, states.view, states.ply, states.origin, rebuilt)
    np.testing.assert_array_equal(rebuilt[0], seen)


def _check_cells_of_actions(game: Game, states: States) -> None:
    """Actions and the cells that the view shows are each other's inverse."""
    origin = states.origin[0]
    cells = [game.cell_of_action(action, origin) for action in range(game.shapes.view_cells)]
    for action, cell in enumerate(cells):
        assert cell < 0 or game.action_of_cell(cell, origin) == action
    for cell in set(range(game.shapes.board_cells)) - set(cells):
        assert game.action_of_cell(cell, origin) == -1


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


def test_views_can_be_placed_anywhere(game: Game) -> None:
    states, generator = game.new_states(1), np.random.default_rng(6)
    for _ in range(game.max_plies):
        if states.winner[0] != ONGOING:
            break
        before = States(*(array.copy() for array in states))
        where = generator.integers(-1, game.shapes.board_cells, 1).astype(np.int32)
        game.place_views(states, rows(0), where)
        assert same(before._replace(origin=states.origin), 0, states, 0)
        _check_codes(game, states)
        _check_cells_of_actions(game, states)
        play(game, states, int(generator.choice(legal(game, states))))


def test_a_game_played_again_has_the_threats_it_had(game: Game) -> None:
    """Through views that were put anywhere: `replay_threats` is told where."""
    states, generator = game.new_states(1), np.random.default_rng(7)
    moves, origins, wanted = [], [], []
    levels = np.full(1, 99, np.uint8)
    while states.winner[0] == ONGOING:
        game.place_views(states, rows(0), generator.integers(-1, game.shapes.board_cells, 1).astype(np.int32))
        game.threat_levels(states, rows(0), levels)
        moves.append(int(generator.choice(legal(game, states))))
        origins.append(states.origin[0].copy())
        wanted.append(int(levels[0]))
        play(game, states, moves[-1])
    places = np.array(origins if game.view_moves else [], np.int16).reshape(-1, 2)
    again = np.full(len(moves), 99, np.uint8)
    game.replay_threats(np.array(moves, np.int16), places, again)
    assert again.tolist() == wanted
    assert any(wanted) == game.shapes.threats


def test_terms_tell_games_apart(game: Game) -> None:
    assert json.loads(json.dumps(game.terms)) == game.terms
    assert [name for name, other in GAMES.items() if other.terms == game.terms] == [
        name for name, other in GAMES.items() if other is game
    ]


def test_reset_forgets_everything(game: Game) -> None:
    states = game.new_states(2)
    moves = random_moves(game, 3)
    for row in range(2):
        for move in moves:
            play(game, states, move, row)
    game.reset(states, rows(1))
    assert same(states, 1, game.new_states(1), 0)
    assert states.winner[0] != ONGOING
    fresh = game.new_states(1)
    for move in random_moves(game, 4):
        play(game, states, move, 1)
        play(game, fresh, move)
        assert same(states, 1, fresh, 0)


@pytest.mark.parametrize("seed", range(3))
def test_symmetric_games_are_the_same_game(game: Game, seed: int) -> None:
    for symmetry, code_symmetry in zip(game.symmetries, game.code_symmetries, strict=True):
        states, mirrored = game.new_states(1), game.new_states(1)
        for move in random_moves(game, seed):
            view = game.action_view[states.view[0]]
            place = int(np.flatnonzero(symmetry == view[move])[0])
            mirrored.origin[0] = turned_origin(states.origin[0], symmetry, game)
            play(game, states, move)
            play(game, mirrored, int(np.flatnonzero(view == place)[0]))
            # of two places as near as each other a full view moves to the first in reading order, turned or not
            mirrored.origin[0] = turned_origin(states.origin[0], symmetry, game)
            np.testing.assert_array_equal(codes(game, mirrored), codes(game, states)[code_symmetry])
            assert mirrored.winner[0] == states.winner[0]


def test_names_of_actions_can_be_read(game: Game) -> None:
    for action in range(game.num_actions):
        if action >= game.shapes.view_cells or game.cell_of_action(action) >= 0:
            assert game.parse_action(game.action_name(action)) == action
    for cell in range(game.shapes.board_cells):
        assert game.parse_cell(game.cell_name(cell)) == cell
    for text in ("", "a", "1", "a0", "a99", "zz1", "a1 b2", "nowhere"):
        with pytest.raises(NotationError):
            game.parse_action(text)


def test_illegal_moves_are_named(game: Game) -> None:
    second = int(legal(game, game.new_states(1))[1])
    with pytest.raises(IllegalMoveError, match=rf"move 2 \({game.action_name(second)}\) .*taken"):
        game.play([second, second])
    with pytest.raises(IllegalMoveError, match="move 1"):
        game.play([game.num_actions])
    with pytest.raises(IllegalMoveError, match="move 1"):
        game.play([-1])
    moves = random_moves(game, 4)
    over = game.play(moves)
    free = next(iter(np.flatnonzero(over.cells[0] == 0).tolist()), None)
    if free is not None:
        with pytest.raises(IllegalMoveError, match=f"move {len(moves) + 1} .*(won|draw)"):
            game.play([*moves, max(0, game.action_of_cell(free, over.origin[0]))])


def test_pictures_show_every_stone(game: Game) -> None:
    states = game.play(random_moves(game, 5))
    empty = game.render(np.zeros(game.shapes.board_cells, np.int8))
    picture = game.render(states.cells[0])
    stones = np.count_nonzero(states.cells[0])
    assert sum(a != b for a, b in zip(empty, picture, strict=True)) == stones


def test_nothing_at_all_can_be_asked(game: Game) -> None:
    """A turn of the search may have no leaf to step or to describe."""
    states, nobody = game.new_states(1), np.zeros(0, np.int32)
    before = States(*(array.copy() for array in states))
    game.step(states, nobody, nobody, nobody)
    game.legal_mask(states, nobody, np.zeros((0, game.num_actions), np.bool_))
    game.codes(states, nobody, np.zeros((0, game.shapes.code_length), np.int8))
    game.terminal_values(states, nobody, np.zeros((0, game.num_seats), np.float32))
    game.place_views(states, nobody, nobody)
    game.reset(states, nobody)
    assert same(before, 0, states, 0)


@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_games_of_self_play_are_sampled_as_they_were_played(game: Game, algorithm: str) -> None:
    options: dict[str, Any] = {"algorithm": algorithm, "search.num_simulations": 4, "selfplay.games_per_worker": 4}
    options |= {"selfplay.max_game_plies": game.max_plies, "replay.min_games": 1, "replay.snapshot_interval": 5}
    settings = load_settings("quick", options)
    records = play_games(game, settings, 2)
    unroll_steps = 2
    seen, seen_before, seen_later = set(), set(), set()
    for record in records:
        states = game.new_states(1)
        for ply, move in enumerate(record.actions.tolist()):
            if game.view_moves:  # as it was seen, as the move before saw it, and as those sampled before it see it
                for start in range(max(0, record.opening_plies - 1, ply - unroll_steps - 1), ply):
                    states.origin[0] = record.origins[start]
                    seen_later.add(codes(game, states).tobytes())
                    if start == ply - 1 and ply >= record.opening_plies:
                        seen_before.add(codes(game, states).tobytes())
                states.origin[0] = record.origins[ply]
            assert move in legal(game, states)
            if ply >= record.opening_plies:
                seen.add(codes(game, states).tobytes())
            play(game, states, move)
        np.testing.assert_array_equal(record.outcome, outcome(game, states))
    buffer = ReplayBuffer.create(settings.replay, game, private=True)
    for record in records:
        buffer.add_game(record)
    batch = buffer.sample_batch(4 * len(seen), np.random.default_rng(0), unroll_steps, observations=True)
    sampled = {row.tobytes() for row in batch["codes"]}
    assert sampled <= seen | seen_before
    assert len(sampled & seen) > len(seen) / 2
    assert {row.tobytes() for row in batch["next_codes"][batch["mask"][:, 1:] == 1]} <= seen | seen_later
    cells, flags = np.split(batch["codes"][:, : game.num_actions], [game.shapes.view_cells], axis=1)
    assert not batch["policy"][:, 0][np.concatenate([cells != 0, flags == 0], axis=1)].any()
