"""Go beside other programs: OpenSpiel's rules, and GNU Go's over GTP (Debian's package gnugo).

OpenSpiel's Go knows the simple ko alone, and ends a game that repeats a position as a draw: moves that only an earlier
position forbids are legal there. GNU Go has the rules as they are here, told by options, and takes dead stones off
before it counts unless both sides have played everything out.
"""

from __future__ import annotations

import shutil
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest

from hexpipe.games.go.rules import Go
from hexpipe.htp.gtp_game import parse_vertex, vertex_name
from tests.games.reference_go import PASS, SlowGo
from tests.games.test_go import ROW, go, legal
from tests.htp.gtp_programs import Program

GNUGO = shutil.which("gnugo", path="/usr/games:/usr/bin:/usr/local/bin")
RULES = ["--mode", "gtp", "--chinese-rules", "--positional-superko", "--capture-all-dead"]


def to_openspiel(action: int, n: int) -> int:
    """OpenSpiel counts rows from the bottom; its pass is n * n as well."""
    return action if action == n * n else (n - 1 - action // n) * n + action % n


def beside_openspiel(positions: int, first_seed: int) -> Counter[str]:
    """Play random games in both until so many positions were compared; how often they differ, and by what."""
    pyspiel = pytest.importorskip("pyspiel", reason="needs the package open_spiel: pip install '.[openspiel]'")

    @cache
    def load(n: int, komi: float) -> Any:
        return pyspiel.load_game(f"go(board_size={n},komi={komi})")

    found: Counter[str] = Counter()
    seed = first_seed
    while found["positions"] < positions:
        size, komi = (3, 4, 5, 7, 9, 13, 19)[seed % 7], (7.5, 0.5, -3.0)[seed % 3]
        game, theirs, played = go(size, komi), load(size, komi).new_initial_state(), list[int]()
        states, rng = game.new_states(1), np.random.default_rng(seed)
        while states.winner[0] < 0:
            found["positions"] += 1
            ours = legal(game, states)
            more = set(theirs.legal_actions()) - {to_openspiel(action, size) for action in ours}
            assert len(theirs.legal_actions()) == len(ours) + len(more), "ours are legal there"
            for action in more:  # and there each of them ends the game as a draw, as it repeats a position
                after = theirs.child(action)
                assert after.is_terminal()
                assert after.returns() == [0, 0]
            found["repetitions"] += len(more)
            if found["positions"] % 7 == 0 and len(played) + 2 <= 2 * size**2 and played[-1:] != [size**2]:
                # ended here, with a komi that makes it a draw, the points are the same
                even = load(size, game.lead(states.cells[0]) + komi).new_initial_state()
                for action in [*played, size**2, size**2]:
                    even.apply_action(action)
                assert even.is_terminal()
                assert even.returns() == [0, 0]
                found["scores"] += 1
            action = size**2 if len(ours) == 1 or rng.random() < 0.01 else int(rng.choice(ours[:-1]))
            played.append(to_openspiel(action, size))
            theirs.apply_action(played[-1])
            game.step(states, ROW, np.array([action], np.int32), ROW)
            assert theirs.is_terminal() == (states.winner[0] >= 0)
        assert theirs.returns()[0] == (1, -1, 0)[states.winner[0]]
        seed += 1
    return found


def test_openspiel_has_the_same_moves_and_points() -> None:
    found = beside_openspiel(400, first_seed=0)
    assert found["scores"] > 20


@pytest.mark.slow
def test_openspiel_has_the_same_moves_and_points_in_many_positions() -> None:
    """What differs are moves that repeat a position other than the one before last: 5 in the first 10,000 positions."""
    found = beside_openspiel(100_000, first_seed=100)
    assert found["scores"] > 10_000
    assert 10 < found["repetitions"] < 1000, found


def gnugo() -> list[str]:
    if GNUGO is None:
        pytest.skip("needs the program gnugo: apt install gnugo")
    return [GNUGO, *RULES]


def played_out(size: int, seed: int) -> tuple[list[int], bool]:
    """A random game in which nobody fills an eye of one point, to its end, and whether what is dead is taken then.

    It is unless somebody passed who could only repeat a position: the stone of a ko may stand there, dead.
    """
    game, slow, rng = go(size), SlowGo(size), np.random.default_rng(seed)
    moves, settled = list[int](), True
    while len(moves) < 2 * size**2 - 2 and not slow.over:
        eyes = {
            point for point in slow.points
            if point not in slow.stones and all(slow.stones.get(other) == slow.colour for other in slow.beside(point))
        }  # fmt: skip
        points = [point for point in slow.legal() if point not in eyes]
        point = points[rng.integers(len(points))] if points else PASS
        moves.append(size**2 if isinstance(point, str) else point[0] * size + point[1])
        settled = settled and not (isinstance(point, str) and slow.repetitions)
        slow.play(point)
    return moves, settled and bool(game.play(moves).winner[0] >= 0)


def beside_gnugo(size: int, seed: int, every: int) -> str:
    """Play a random game in both, compare the legal moves at every so many plies, and return its score."""
    game, (moves, settled) = go(size), played_out(size, seed)
    states = game.new_states(1)
    with Program(gnugo()) as program:  # one process a game: it keeps the komi of a score
        program.send(f"boardsize {size}")
        program.send("komi 7.5")
        for ply, move in enumerate(moves):
            if ply % every == 0:
                theirs = program.send(f"all_legal {'bw'[ply % 2]}").split()
                assert {parse_vertex(game, word) for word in theirs} == {*legal(game, states)} - {size**2}
            program.send(f"play {'bw'[ply % 2]} {vertex_name(game, move)}")
            game.step(states, ROW, np.array([move], np.int32), ROW)
        if not settled:
            return ""
        lead = game.lead(states.cells[0])
        assert program.send("final_score") == f"{'B' if lead > 0 else 'W'}+{abs(lead):.1f}"
        return program.send("final_score")


def test_gnugo_has_the_same_moves_and_points() -> None:
    scores = [beside_gnugo(5, seed, every=3) for seed in range(3)]
    assert any(scores)


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 5, 6, 7, 9])
def test_gnugo_has_the_same_moves_and_points_in_many_games(size: int) -> None:
    scores = [beside_gnugo(size, seed, every=1) for seed in range(100, 112)]
    assert any(scores)


def test_rows_are_counted_from_the_bottom_and_there_is_no_column_i() -> None:
    game = go(19)
    assert isinstance(game, Go)
    names = [vertex_name(game, action) for action in (0, 18, 18 * 19, 8, 361)]
    assert names == ["A19", "T19", "A1", "J19", "pass"]
    assert [parse_vertex(game, name) for name in names] == [0, 18, 18 * 19, 8, 361]
