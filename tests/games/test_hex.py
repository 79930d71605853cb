"""The kernels of Hex against plain Python, and the swap rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import IllegalMoveError, SettingsError
from hexpipe.games import hex_kernels
from hexpipe.games.hex import Hex
from tests.games.reference import SlowHex, has_connected
from tests.refusals import refused

ROW = np.zeros(1, np.int32)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 9), st.booleans(), st.data())
def test_random_games_agree_with_the_slow_rules(n: int, swap: bool, data: st.DataObject) -> None:
    game, slow = Hex(n, swap), SlowHex(n, swap)
    states = game.new_states(1)
    mask = np.zeros((1, game.num_actions), np.bool_)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    swap_now = data.draw(st.booleans())
    while True:
        game.legal_mask(states, ROW, mask)
        game.codes(states, ROW, codes)
        assert np.flatnonzero(mask[0]).tolist() == slow.legal()
        assert codes[0].tolist() == slow.codes()
        assert states.cells[0].tolist() == slow.cells
        assert (states.to_move[0], states.view[0], states.winner[0], states.ply[0]) == (
            slow.seat,
            slow.colour,
            slow.winner,
            slow.ply,
        )
        if slow.winner >= 0:
            break
        legal = slow.legal()
        action = n * n if swap_now and n * n in legal else int(generator.choice(legal))
        slow.play(action)
        game.step(states, ROW, np.array([action], np.int16), ROW)


@pytest.mark.parametrize("n", [3, 5, 11, 27])
def test_a_full_board_has_exactly_one_winner(n: int) -> None:
    game = Hex(n)
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(n * n)
        states = game.new_states(1)
        for move in order:
            if states.winner[0] >= 0:
                break
            game.step(states, ROW, np.array([move], np.int16), ROW)
        winner = int(states.winner[0])
        cells = tuple(states.cells[0].tolist())
        assert has_connected(cells, winner, n)
        assert not has_connected(cells, 1 - winner, n)


def test_the_union_find_root_of_a_set_is_its_largest_node() -> None:
    game = Hex(5)
    states = game.new_states(1)
    for move in np.random.default_rng(0).permutation(25)[:16]:
        game.step(states, ROW, np.array([move], np.int16), ROW)
        nodes = states.parents[0]
        assert (nodes >= np.arange(len(nodes))).all()


def test_swap_exchanges_seats_and_keeps_stones_and_colours() -> None:
    game = Hex(5, swap=True)
    before, after = game.play([7]), game.play([7, 25])
    np.testing.assert_array_equal(before.cells, after.cells)
    assert (before.to_move[0], before.view[0]) == (1, 1)
    assert (after.to_move[0], after.view[0], after.ply[0]) == (0, 1, 2)
    # Seat 1 owns black now: black's connection along column a is a win for seat 1.
    line = [0, 25, 1, 5, 2, 10, 3, 15, 4, 20]
    assert game.play(line).winner[0] == 1
    assert game.play([move for move in line if move != 25]).winner[0] == 0


@pytest.mark.parametrize(("swap", "moves"), [(True, [25]), (True, [0, 1, 25]), (True, [0, 25, 25]), (False, [0, 25])])
def test_swap_only_answers_the_first_stone(swap: bool, moves: list[int]) -> None:
    with refused(IllegalMoveError, "swap", kind="rule", move=len(moves)):
        Hex(5, swap=swap).play(moves)


@pytest.mark.parametrize("size", [2, 28])
def test_sizes_out_of_range(size: int) -> None:
    with refused(SettingsError, kind="range", setting="game.board_size", low=3, high=27):
        Hex(size)


def test_playouts_end_with_a_winner_and_count_their_moves() -> None:
    states = Hex(6).new_states(65)
    played, wins = hex_kernels.random_playouts(states, 3, 4, 6, np.zeros(36, np.int16))
    assert (states.winner[:-1] >= 0).all()
    assert (states.ply[:-1] == np.count_nonzero(states.cells[:-1], axis=1)).all()
    assert not states.cells[-1].any()
    assert 4 * 64 * 11 <= played <= 4 * 64 * 36
    assert 0 < wins < 4 * 64
    for cells, winner in zip(states.cells[:-1].tolist(), states.winner[:-1].tolist(), strict=True):
        assert has_connected(tuple(cells), winner, 6)


def test_playouts_draw_their_moves_evenly() -> None:
    states = Hex(3).new_states(2)
    order = np.zeros(9, np.int16)
    counts = np.zeros(9)
    start = Hex(3).play([0, 1, 2, 3])
    for array, one in zip(states, start, strict=True):
        array[1] = one[0]
    for seed in range(2000):
        hex_kernels.random_playouts(states, seed, 1, 3, order)
        counts += states.cells[0] != 0
    assert (counts[:4] == 2000).all()
    assert (counts[4:] > 500).all()
