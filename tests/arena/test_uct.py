"""`uct:N`: its kernels beside slow ones, and that it plays well."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena.contestants import make_contestants
from hexpipe.arena.match import play_match
from hexpipe.arena.players import RandomPlayer
from hexpipe.arena.uct import MOST_PLAYOUTS, UctPlayer, padded
from hexpipe.arena.uct_kernels import BLACK, WHITE, black_connects, bridge_reply
from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from tests.games.reference import has_connected
from tests.refusals import refused

STEPS = ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))


def around(n: int) -> np.ndarray:
    return np.array([i * (n + 2) + j for i, j in STEPS])


def stone(cells: np.ndarray, n: int, i: int, j: int) -> int:
    """The stone at row i, column j, where edges are stones and corners nobody's."""
    inside_i, inside_j = 0 <= i < n, 0 <= j < n
    if inside_i and inside_j:
        return int(cells[i * n + j])
    return WHITE if inside_i else BLACK if inside_j else 3


@settings(max_examples=300)
@given(n=st.integers(3, 6), seed=st.integers(0, 2**20), mover=st.sampled_from([BLACK, WHITE]))
def test_a_reply_saves_a_bridge_and_every_cut_bridge_has_one(n: int, seed: int, mover: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 3, n * n).astype(np.int8)
    intrusion = int(rng.integers(n * n))
    cells[intrusion] = BLACK + WHITE - mover
    i, j = divmod(intrusion, n)
    saving = set()
    for k in range(6):
        (a, b), (c, d), (e, f) = (STEPS[(k + m) % 6] for m in range(3))
        if (
            stone(cells, n, i + a, j + b) == stone(cells, n, i + e, j + f) == mover
            and stone(cells, n, i + c, j + d) == 0
        ):
            saving.add((i + c + 1) * (n + 2) + j + d + 1)
    at = (i + 1) * (n + 2) + j + 1
    replies = {bridge_reply(padded(cells, n), around(n), at, mover, start) for start in range(6)}
    assert replies == (saving or {-1})


@settings(max_examples=300)
@given(n=st.integers(3, 8), seed=st.integers(0, 2**20))
def test_one_colour_connects_on_a_full_board(n: int, seed: int) -> None:
    cells = np.random.default_rng(seed).integers(1, 3, n * n).astype(np.int8)
    won = black_connects(padded(cells, n), around(n), n, np.empty(n * n, np.int16))
    assert won == has_connected(tuple(cells.tolist()), 0, n)
    assert won != has_connected(tuple(cells.tolist()), 1, n)


def test_it_finds_the_winning_moves_of_solved_positions() -> None:
    """A random player finds a third of them."""
    game, solver, rng = Hex(4), HexSolver(4), np.random.default_rng(0)
    player, found, asked = UctPlayer(game, 2000, seed=0), 0, 0
    while asked < 60:
        moves = rng.permutation(16)[: rng.integers(1, 8)].tolist()
        states = game.new_states(1)
        for move in moves:
            game.step(states, np.zeros(1, np.int32), np.array([move]), np.zeros(1, np.int32))
        winning = solver.winning_moves(states.cells[0], len(moves) % 2) if states.winner[0] < 0 else []
        if winning and len(winning) < 8:
            asked += 1
            found += int(player.choose([moves])[0]) in winning
    assert found >= 57


def test_it_takes_a_strong_first_stone_over_and_leaves_a_weak_one() -> None:
    player = UctPlayer(Hex(4, swap=True), 3000, seed=0)
    assert player.choose([[6]]).tolist() == [16]
    assert player.choose([[0]])[0] < 16


def test_more_playouts_win_and_one_seed_plays_one_game() -> None:
    game = Hex(5)
    seats = np.array([[0, 1], [1, 0]] * 5)
    games = play_match(game, [UctPlayer(game, 300, 0), RandomPlayer(game, 1)], seats)
    assert games.outcomes[seats == 0].tolist() == [1.0] * 10
    first, again, other = (UctPlayer(game, 50, seed).choose([[], [12], [3, 4]]).tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_tree_without_room_goes_on_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexpipe.arena.uct._MOST_NODES", 40)
    assert 0 <= UctPlayer(Hex(5), 500, 0).choose([[12]])[0] < 25


@pytest.mark.parametrize("spec", ["uct:", "uct:0", "uct:ten", "uct:-5", f"uct:{MOST_PLAYOUTS + 1}", "uct:²"])
def test_a_number_of_playouts_that_is_none_is_refused(spec: str) -> None:
    with ExitStack() as resources, refused(SettingsError, spec, kind="range", setting="uct", low=1, high=MOST_PLAYOUTS):
        make_contestants([spec], load_settings("quick").game, resources)


def test_it_plays_hex_alone() -> None:
    rules = load_settings("quick", {"game.name": "inarow"}).game
    with ExitStack() as resources, refused(SettingsError, "uct", kind="foreign", setting="game.name"):
        make_contestants(["uct:10"], rules, resources)
