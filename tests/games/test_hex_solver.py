"""The solver against minimax over every reply, and against itself under the board's symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import IllegalMoveError, NotationError, SettingsError, UnsolvedError, UsageError
from hexpipe.games import hex_bits_kernels as bits
from hexpipe.games import hex_solver, symmetry
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver, label, random_positions
from tests.games import reference
from tests.refusals import refused

# Which first moves win, row by row. Up to 5x5 they are: the short diagonal, and what is near the middle. Those of 6x6
# and 7x7 are from benzene's regression suite (cgao3/benzene-vanilla-cmake 2f1cfdeb, dfpn-solve-6x6, dfpn-solve-7x7).
FIRST_MOVES = {
    3: ["..#", "###", "#.."],
    4: ["...#", "..#.", ".#..", "#..."],
    5: ["....#", ".####", ".###.", "####.", "#...."],
    6: [".....#", ".#####", "######", "######", "#####.", "#....."],
    7: ["......#", "..#.###", ".#####.", "#######", ".#####.", "###.#..", "#......"],
}


def unwon(cells: tuple[int, ...], n: int) -> bool:
    return not any(reference.has_connected(cells, colour, n) for colour in (0, 1))


@pytest.mark.parametrize("n", [3, 4, 5, pytest.param(6, marks=pytest.mark.slow)])
def test_first_moves(n: int) -> None:
    solver, cells = HexSolver(n), np.zeros(n * n, np.int8)
    wins = {cell for cell, mark in enumerate("".join(FIRST_MOVES[n])) if mark == "#"}
    assert set(solver.winning_moves(cells, 0)) == wins
    for cell in range(n * n):
        cells[:] = 0
        cells[cell] = 1
        assert solver.value(cells, 1) == (-1 if cell in wins else 1)
    assert {n * n - 1 - cell for cell in wins} == wins


def test_every_position_of_3x3_either_side_to_move() -> None:
    solver = HexSolver(3)
    count = 0
    for cells in itertools.product((0, 1, 2), repeat=9):
        if abs(cells.count(1) - cells.count(2)) > 1 or 0 not in cells or not unwon(cells, 3):
            continue
        for colour in (0, 1):
            board = np.array(cells, np.int8)
            assert solver.value(board, colour) == reference.minimax(cells, colour, 3)
            assert solver.winning_moves(board, colour) == reference.winning_moves(cells, colour, 3)
            count += 1
    assert count > 3000


@pytest.mark.parametrize(
    ("n", "least_plies", "count"),
    [
        (4, 7, 60),
        (5, 16, 40),
        pytest.param(4, 5, 300, marks=pytest.mark.slow),
        pytest.param(5, 12, 150, marks=pytest.mark.slow),
    ],
)
def test_random_positions_against_minimax(n: int, least_plies: int, count: int) -> None:
    solver, generator = HexSolver(n), np.random.default_rng(7)
    checked = 0
    while checked < count:
        plies = int(generator.integers(least_plies, n * n))
        order = generator.permutation(n * n)[:plies]
        cells = np.zeros(n * n, np.int8)
        cells[order[::2]], cells[order[1::2]] = 1, 2
        key = tuple(cells.tolist())
        if unwon(key, n):
            assert solver.winning_moves(cells, plies % 2) == reference.winning_moves(key, plies % 2, n)
            checked += 1


def test_symmetric_positions_have_symmetric_results() -> None:
    turned = symmetry.half_turn(5)
    crossed = symmetry.transposition(5)
    solver = HexSolver(5)
    for position in random_positions(5, 40, seed=3):
        cells = Hex(5).play(position.moves).cells[0]
        rotated = solver.winning_moves(symmetry.rotate_cells(cells), position.to_move)
        assert rotated == sorted(int(turned[move]) for move in position.winning_moves)
        transposed = solver.winning_moves(symmetry.transpose_cells(cells, 5), 1 - position.to_move)
        assert transposed == sorted(int(crossed[move]) for move in position.winning_moves)


def test_an_extra_stone_never_hurts() -> None:
    solver = HexSolver(5)
    for position in random_positions(5, 40, seed=4):
        cells = Hex(5).play(position.moves).cells[0]
        if position.value == -1:
            continue
        for free in np.flatnonzero(cells == 0):
            more = cells.copy()
            more[free] = 1 + position.to_move
            assert solver.value(more, position.to_move) == 1


def test_a_small_table_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [position.winning_moves for position in random_positions(4, 30, seed=5)]
    monkeypatch.setitem(hex_solver._TABLE_ENTRIES, 4, 256)
    assert [position.winning_moves for position in random_positions(4, 30, seed=5)] == wanted


def test_games_that_are_over() -> None:
    solver = HexSolver(3)
    cells = np.array([1, 2, 0, 1, 2, 0, 1, 0, 0], np.int8)
    assert (solver.winner(cells), solver.value(cells, 0), solver.value(cells, 1)) == (0, 1, -1)
    assert solver.winning_moves(cells, 1) == []
    with refused(NotationError, "black", kind="over"):
        label(solver, [0, 1, 3, 4, 6])
    with pytest.raises(IllegalMoveError):
        label(solver, [0, 0])


@pytest.mark.parametrize("size", [2, 9])
def test_other_sizes_are_refused(size: int) -> None:
    with refused(SettingsError, kind="range", setting="game.board_size", low=3, high=8):
        HexSolver(size)


def test_other_boards_are_refused() -> None:
    with refused(NotationError, "9", "16", kind="board"):
        HexSolver(4).value(np.zeros(9, np.int8), 0)


def test_random_positions_differ_and_come_again() -> None:
    positions = list(random_positions(4, 50, seed=1))
    boards = {Hex(4).play(position.moves).cells.tobytes() for position in positions}
    assert len(boards) == 50
    assert positions == list(random_positions(4, 50, seed=1))
    assert positions != list(random_positions(4, 50, seed=2))
    assert all((position.value == 1) == bool(position.winning_moves) for position in positions)
    assert {position.to_move for position in positions} == {0, 1}
    assert {position.value for position in positions} == {1, -1}


def test_more_positions_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexpipe.games.hex_solver._DRAWS_WITHOUT_NEWS", 5)
    with refused(UsageError, "3x3", kind="range"):
        list(random_positions(3, 100_000, seed=0))


def random_cells(n: int, stones: int, rng: np.random.Generator) -> np.ndarray:
    cells = np.zeros(n * n, np.int8)
    order = rng.permutation(n * n)[:stones]
    cells[order[::2]], cells[order[1::2]] = 1, 2
    return cells


def sets(cells: np.ndarray) -> tuple[int, int, int]:
    """The sets of black's stones, of white's, and of empty cells."""
    return tuple(bits.signed(sum(1 << int(cell) for cell in np.flatnonzero(cells == stone))) for stone in (1, 2, 0))  # type: ignore[return-value]


@settings(max_examples=200)
@given(n=st.integers(3, 8), seed=st.integers(0, 2**20), colour=st.integers(0, 1))
def test_neighbours_and_connections_are_those_of_the_board(n: int, seed: int, colour: int) -> None:
    rng, board = np.random.default_rng(seed), bits.geometry(n)
    cells = random_cells(n, int(rng.integers(n * n + 1)), rng)
    stones = sets(cells)[colour]
    touched = {
        (i + di) * n + j + dj
        for i, j in (divmod(int(cell), n) for cell in np.flatnonzero(cells == 1 + colour))
        for di, dj in ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))
        if 0 <= i + di < n and 0 <= j + dj < n
    }
    found = bits.neighbours(stones, board)
    assert {cell for cell in range(n * n) if found >> cell & 1} == touched
    assert bits.connects(stones, colour, board) == reference.has_connected(tuple(cells.tolist()), colour, n)
    assert bits.count(stones) == int((cells == 1 + colour).sum())


@settings(max_examples=300)
@given(n=st.integers(4, 8), seed=st.integers(0, 2**20), colour=st.integers(0, 1))
def test_a_chain_of_bridges_and_templates_holds_whatever_the_other_plays(n: int, seed: int, colour: int) -> None:
    """The owner answers at random in the carrier: after each reply there must be a chain again, in what is left."""
    rng, board = np.random.default_rng(seed), bits.geometry(n)
    cells = random_cells(n, int(rng.integers(n, 2 * n + 1)), rng)
    stones, empty = sets(cells)[colour], sets(cells)[2]
    chain = bits.bridged(stones, empty, colour, board)
    if chain == bits.NONE:
        return
    assert chain & ~empty == 0
    # nothing but the carrier is left to the owner: all other empty cells are the other colour's
    for cell in (cell for cell in range(n * n) if chain >> cell & 1):
        left = chain & ~(1 << cell)
        answers = [
            answer
            for answer in range(n * n)
            if left >> answer & 1
            and bits.bridged(stones | bits.signed(1 << answer), left & ~bits.signed(1 << answer), colour, board)
            != bits.NONE
        ]
        assert answers or bits.bridged(stones, left, colour, board) != bits.NONE


@pytest.mark.parametrize("edge", range(4))
def test_a_stone_on_the_third_row_is_joined_to_its_edge_with_room_at_one_side(edge: int) -> None:
    n, board = 6, bits.geometry(6)
    rooms = []
    for place in range(n):
        row = {0: (2, place), 1: (n - 3, place), 2: (place, 2), 3: (place, n - 3)}[edge]
        assert board.thirds[edge] >> (row[0] * n + row[1]) & 1
        for template in board.templates[edge, place]:
            if template:
                rooms.append(place)
                assert bits.count(int(template)) == 8
                assert not int(template) >> (row[0] * n + row[1]) & 1
                assert bits.count(int(template) & board.edges[edge]) == 4
    assert sorted(rooms) == ([2, 3, 3, 4, 4, 5] if edge % 2 else [0, 1, 1, 2, 2, 3])


@pytest.mark.parametrize(("n", "stones", "positions"), [(6, 26, 20), (7, 39, 20), (8, 54, 20)])
def test_larger_boards_against_minimax(n: int, stones: int, positions: int) -> None:
    solver, rng, checked = HexSolver(n), np.random.default_rng(11), 0
    while checked < positions:
        cells = random_cells(n, stones + int(rng.integers(2)), rng)
        key, colour = tuple(cells.tolist()), int((cells > 0).sum()) % 2
        if unwon(key, n):
            assert solver.winning_moves(cells, colour) == reference.winning_moves(key, colour, n)
            checked += 1


def test_what_takes_more_work_than_allowed_is_not_guessed() -> None:
    solver, empty = HexSolver(8, effort=50), np.zeros(64, np.int8)
    for ask in (solver.value, solver.winning_moves):
        with refused(UnsolvedError, "50", kind="range", low=50):
            ask(empty, 0)
    cells = random_cells(8, 50, np.random.default_rng(0))
    if unwon(tuple(cells.tolist()), 8):
        assert HexSolver(8, effort=10**6).value(cells, 0) == HexSolver(8).value(cells, 0)
