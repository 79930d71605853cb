"""The kernels of n in a row against plain Python, and the rules at their edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import GameSettings
from hexpipe.errors import IllegalMoveError, NotationError
from hexpipe.games import chain_kernels, inarow_kernels
from hexpipe.games.game_env import ONGOING, States
from hexpipe.games.inarow import InARow
from tests.games.reference_inarow import SlowInARow, chains, game_settings
from tests.refusals import refused

ROW = np.zeros(1, np.int32)


@st.composite
def rules(draw: st.DrawFn) -> GameSettings:
    n = draw(st.integers(3, 12))
    views = [v for v in range(3, 15) if v == n or (v % 2 and (v < n or n % 2))]
    more: dict[str, Any] = {"view_size": draw(st.sampled_from(views)), "players": draw(st.sampled_from([2, 3]))}
    more["draws"] = draw(st.sampled_from([None, "ranked", "shared"]))
    more["thumbnail"] = draw(st.sampled_from([None, True, False]))
    more["move_cap"] = draw(st.sampled_from([0, 0, n * n - 3]))
    more["row_rule"] = draw(st.sampled_from(["free", "free", "exact", "renju"]))
    if more["row_rule"] == "renju":
        n = min(max(n, 5), 8)  # the slow rules are slow
        more |= {"players": 2, "view_size": n + draw(st.sampled_from([0, 2])) * (n % 2)}
        return game_settings(n, 5, **more)
    return game_settings(n, draw(st.sampled_from([3, 4, 5, n]).filter(lambda length: length <= n)), **more)


def check(game: InARow, slow: SlowInARow, states: States) -> None:
    mask = np.ones((1, game.num_actions), np.bool_)
    codes = np.full((1, game.shapes.code_length), 99, np.int8)
    values = np.full((1, game.num_seats), 99, np.float32)
    game.legal_mask(states, ROW, mask)
    game.codes(states, ROW, codes)
    game.terminal_values(states, ROW, values)
    assert states.winner[0] == slow.winner
    assert states.cells[0].tolist() == slow.cells()
    assert tuple(states.origin[0].tolist()) == slow.origin
    assert np.flatnonzero(mask[0]).tolist() == slow.legal()
    assert (slow.winner >= 0) == (not slow.legal())
    assert codes[0].tolist() == slow.codes()
    assert (states.to_move[0], states.view[0], states.ply[0]) == (slow.seat, slow.seat, len(slow.order))
    assert states.last[0] == (slow.order[-1] if slow.order else -1)
    assert states.longest[0].tolist() == slow.longest()
    np.testing.assert_allclose(values[0], slow.values(), atol=1e-6)
    if game.shapes.thumbnail:
        assert states.pooled[0].tolist() == np.ravel(slow.pooled()).tolist()


@settings(max_examples=60, deadline=None)
@given(rules(), st.integers(0, 2**32 - 1), st.booleans())
def test_random_games_agree_with_the_slow_rules(chosen: GameSettings, seed: int, wandering: bool) -> None:
    game, slow = InARow(chosen), SlowInARow(chosen)
    states, generator = game.new_states(1), np.random.default_rng(seed)
    check(game, slow, states)
    while slow.winner < 0:
        if wandering and generator.random() < 0.2:
            centre = int(generator.integers(-1, game.board_size**2))
            game.place_views(states, ROW, np.array([centre], np.int32))
            slow.place_view(centre if centre >= 0 else slow.order[-1] if slow.order else -1)
        action = int(generator.choice(slow.legal()))
        slow.play(action)
        game.step(states, ROW, np.array([action], np.int32), ROW)
        if generator.random() < 0.3 or slow.winner >= 0:
            check(game, slow, states)


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 9), st.integers(2, 3), st.data())
def test_profiles_count_every_chain(n: int, seats: int, data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.integers(0, seats), min_size=n * n, max_size=n * n))
    board = {divmod(cell, n): stone - 1 for cell, stone in enumerate(cells) if stone}
    for most in (3, n):
        counts = np.full((seats, most + 1), 99, np.int32)
        chain_kernels.chain_profiles(np.array([cells], np.int8), 0, n, counts)
        for seat in range(seats):
            wanted = np.zeros(most + 1, int)
            for length, count in chains(board, seat).items():
                wanted[min(length, most)] += count
            assert counts[seat].tolist() == wanted.tolist()
        assert most < n or counts.dot(np.arange(most + 1)).sum() == 4 * len(board)


def play_cells(game: InARow, names: str) -> States:
    states = game.new_states(1)
    for name in names.split():
        assert states.winner[0] == ONGOING
        action = game.parse_action(name, states.origin[0])
        game.step(states, ROW, np.array([action], np.int32), ROW)
    return states


def values_of(game: InARow, states: States) -> list[float]:
    out = np.full((1, game.num_seats), 99, np.float32)
    game.terminal_values(states, ROW, out)
    return [round(value, 6) for value in out[0].tolist()]


@pytest.mark.parametrize(
    ("names", "winner"),
    [
        ("a1 a2 b1 b2 c1", 0),
        ("a1 b1 a2 b2 c3 b3", 1),
        ("a1 b1 b2 c1 c3", 0),
        ("c1 b1 b2 a1 a3", 0),
        ("a1 b1 c1 b2 a2 c2 b3 a3 c3", 2),
    ],
)
def test_lines_of_tic_tac_toe(names: str, winner: int) -> None:
    game = InARow(game_settings(3, 3))
    states = play_cells(game, names)
    assert states.winner[0] == winner
    assert values_of(game, states) == {0: [1, -1], 1: [-1, 1], 2: [0, 0]}[winner]


def test_more_than_enough_in_a_row_wins_too() -> None:
    game = InARow(game_settings(5, 4))
    states = play_cells(game, "a1 a2 b1 b2 d1 d2 e1 e2 c1")
    assert (states.winner[0], states.longest[0].tolist()) == (0, [5, 2])


def test_places_go_by_the_longest_chains() -> None:
    game = InARow(game_settings(5, 4, players=3))
    # seat 1 has two in a row, seat 2 none
    states = play_cells(game, "a1 a5 e5 b1 b5 c3 c1 e3 a3 d1")
    assert states.winner[0] == 0
    assert values_of(game, states) == pytest.approx([1, -0.2, -1])
    # neither has two that touch
    states = play_cells(game, "a1 a5 e5 b1 c5 e3 c1 a3 c3 d1")
    assert values_of(game, states) == pytest.approx([1, -0.6, -0.6])


def test_draws_are_ranked_or_shared() -> None:
    names = "a1 a5 e5 b1 b5 c3 c1 e3 a3"
    ranked = InARow(game_settings(5, 5, players=3, move_cap=9, placement_rewards=[1, 0.5, -0.5]))
    states = play_cells(ranked, names)
    assert states.winner[0] == 3
    assert values_of(ranked, states) == pytest.approx([1, 0.5, -0.5])
    shared = InARow(game_settings(5, 5, players=3, move_cap=9, draws="shared"))
    assert values_of(shared, play_cells(shared, names)) == [0, 0, 0]
    two = InARow(game_settings(5, 5, move_cap=4, draws="ranked"))
    assert values_of(two, play_cells(two, "a1 e5 a3 d5")) == [-1, 1]
    assert values_of(two, play_cells(two, "a1 e5 a2 d5")) == [0, 0]


@pytest.mark.parametrize(
    ("win_length", "longest", "wanted"),
    [
        (5, [1, 2, 4], [0, 1, 3]),
        (3, [0, 1, 2], [0, 2, 3]),
        (8, [5, 6, 7], [1, 2, 3]),
    ],
)
def test_threat_levels(win_length: int, longest: list[int], wanted: list[int]) -> None:
    out = np.zeros(1, np.uint8)
    chain_kernels.threat_levels(np.array([[9, 9, 9], longest], np.int16), np.array([1]), win_length, out)
    assert [out[0] >> 2 * seat & 3 for seat in range(3)] == wanted


def test_a_full_view_moves_to_the_nearest_empty_cell() -> None:
    game = InARow(game_settings(9, 9, view_size=3))
    states = game.new_states(1)
    for action in range(8):
        game.step(states, ROW, np.array([action], np.int32), ROW)
    assert states.origin[0].tolist() == [3, 3]
    game.step(states, ROW, np.array([8], np.int32), ROW)
    assert states.origin[0].tolist() == [4, 4], "around f6, the last stone"
    corner = np.zeros(1, np.int32)
    game.place_views(states, ROW, corner)
    assert states.origin[0].tolist() == [0, 0], "as far as the edge lets it"
    game.place_views(states, ROW, np.array([40], np.int32))
    assert states.origin[0].tolist() == [2, 3], "the middle is full: up, down, left and right are as near"


def test_cells_out_of_view_have_names_but_no_action() -> None:
    game = InARow(game_settings(100, 8, players=3))
    assert game.shapes.view_size == 21
    assert game.shapes.thumbnail
    assert game.cell_name(100 * 6 + 26) == "aa7"
    assert game.parse_cell("CV100") == 9999
    assert game.action_of_cell(0) == -1
    with refused(NotationError, "'a1'", "an40", "bh60", kind="coordinate"):
        game.parse_action("a1")
    states = game.new_states(1)
    game.place_views(states, ROW, np.zeros(1, np.int32))
    assert game.parse_action("b1", states.origin[0]) == 1
    assert game.action_name(22, states.origin[0]) == "b2"
    with refused(NotationError, "'cw1'", "100x100", kind="coordinate"):
        game.parse_cell("cw1")


def test_pictures_of_large_boards_are_straight() -> None:
    game = InARow(game_settings(30, 5, players=3))
    cells = np.zeros(900, np.int8)
    cells[[0, 29, 899]] = 1, 2, 3
    lines = game.render(cells).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].endswith("ab ac ad")
    assert (lines[1][4], lines[1][-1], lines[30][-1]) == ("X", "O", "#")


def test_off_the_board() -> None:
    with refused(IllegalMoveError, "action 0", kind="coordinate", move=1):
        InARow(game_settings(3, 3, view_size=5)).play([0])


@pytest.mark.parametrize("players", [2, 3])
def test_playouts_keep_the_rules(players: int) -> None:
    game = InARow(game_settings(7, 4, players=players, view_size=5))
    states = game.new_states(17)
    played, wins = inarow_kernels.random_playouts(states, 1, 3, game.rules)
    assert (states.winner[:-1] >= 0).all()
    assert (states.ply[:-1] == np.count_nonzero(states.cells[:-1], axis=1)).all()
    assert states.ply[-1] == 0
    assert 3 * 16 * 7 <= played <= 3 * 16 * 49
    assert 0 < wins < 48
    for cells, winner, longest in zip(states.cells[:-1], states.winner, states.longest, strict=False):
        board = {divmod(cell, 7): int(stone) - 1 for cell, stone in enumerate(cells) if stone}
        assert longest.tolist() == [max(chains(board, seat), default=0) for seat in range(players)]
        assert winner == next((seat for seat in range(players) if longest[seat] >= 4), players)


def test_playouts_draw_their_moves_evenly() -> None:
    game = InARow(game_settings(3, 3))
    states, counts = game.new_states(2), np.zeros(9)
    for array, one in zip(states, game.play([0, 1, 2]), strict=True):
        array[1] = one[0]
    first = np.zeros(9)
    for seed in range(1500):
        capped = game.rules._replace(max_plies=4)
        inarow_kernels.random_playouts(states, seed, 1, capped)
        counts += states.cells[0] != 0
        first[states.last[0]] += 1
    assert (counts[:3] == 1500).all()
    assert (first[3:] > 180).all()
    assert first[:3].sum() == 0


def test_a_crowded_view_is_drawn_from_evenly_too() -> None:
    game = InARow(game_settings(9, 9))
    states, counts = game.new_states(2), np.zeros(81)
    states.cells[1] = 1 + np.arange(81) % 2
    states.cells[1, [5, 33, 80]] = 0
    capped = game.rules._replace(max_plies=1)
    for seed in range(600):
        inarow_kernels.random_playouts(states, seed, 1, capped)
        counts[states.last[0]] += 1
    assert counts[[5, 33, 80]].sum() == 600
    assert (counts[[5, 33, 80]] > 140).all()


def test_a_long_game_on_a_large_board() -> None:
    """Eight in a row on 100x100, 1,500 plies: what each move keeps up to date is what counting anew gives."""
    game = InARow(game_settings(100, 8, players=3, move_cap=1500))
    generator, states = np.random.default_rng(0), game.new_states(2)
    mask, child = np.zeros((1, game.num_actions), np.bool_), np.ones(1, np.int32)
    origins = set()
    while states.winner[0] == ONGOING:
        assert states.to_move[0] == states.ply[0] % 3
        game.legal_mask(states, ROW, mask)
        action = generator.choice(np.flatnonzero(mask[0]), 1).astype(np.int32)
        game.step(states, ROW, action, child)
        if 0 <= states.winner[1] < 3 and np.count_nonzero(mask) > 1:
            continue  # nobody wants to win
        game.step(states, ROW, action, ROW)
        origins.add(tuple(states.origin[0].tolist()))
    assert states.ply[0] == 1500
    assert len(origins) > 4
    rebuilt, kept = (np.zeros((1, game.shapes.code_length), np.int8) for _ in range(2))
    game.codes(states, ROW, kept)
    game.codes_from_cells(states.cells[:1], states.view[:1], states.ply[:1], states.origin[:1], rebuilt)
    np.testing.assert_array_equal(rebuilt, kept)
    board = {divmod(cell, 100): int(stone) - 1 for cell, stone in enumerate(states.cells[0]) if stone}
    assert states.longest[0].tolist() == [max(chains(board, seat)) for seat in range(3)]
    assert states.pooled[0].sum() == 1500


def test_more_plies_than_16_bits_count() -> None:
    game = InARow(game_settings(200, 200))
    states = game.new_states(2)
    inarow_kernels.random_playouts(states, 0, 1, game.rules)
    assert (states.winner[0], states.ply[0]) == (2, 40_000)
    assert (states.cells[0] > 0).all()
    assert states.pooled[0].sum() == 40_000
