"""The real command over pipes, and whole games against an independent client, the package pygomo-lib."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.games.game_env import ONGOING
from hexpipe.games.inarow import InARow
from tests.arena.checkpoints import small_checkpoint
from tests.games.reference_inarow import game_settings

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ["-P", "-m", "hexpipe.cli.main", "gomocup"]
SIZE = 9


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options: dict[str, Any] = {"game__name": "inarow", "game__board_size": SIZE, "game__row_rule": "exact"}
    options |= {"inference__backend": "eager", "search__num_simulations": 8}
    return small_checkpoint(tmp_path_factory.mktemp("run"), **options)


def answers_of(text: str, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, answers without messages, and what went to standard error."""
    done = subprocess.run(
        [sys.executable, *COMMAND, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("MESSAGE")]
    return done.returncode, lines, done.stderr


def test_a_session(run_dir: Path) -> None:
    """Boards of other sizes than the net's own, one that its view does not let it play, and the end of the file."""
    text = "START 20\nINFO rule 1\nINFO timeout_turn 200\nBEGIN\nSTART 5\nTURN 2,2\nSTART 30\nTURN 3,3\n"
    code, lines, _ = answers_of(text, str(run_dir))
    assert code == 0
    assert [line.split(" ")[0] for line in lines][::2] == ["OK", "OK", "ERROR"]
    assert all(0 <= int(part) < 20 for part in lines[1].split(","))
    assert all(0 <= int(part) < 5 for part in lines[3].split(",") + lines[5].split(","))


def test_chance_plays_without_a_net() -> None:
    code, lines, _ = answers_of("START 15\nBEGIN\nEND\nBEGIN\n", "--random", "3")
    assert code == 0
    assert lines[0] == "OK"
    assert len(lines) == 2


def test_what_cannot_play_is_refused_in_one_line(tmp_path: Path) -> None:
    hexes = small_checkpoint(tmp_path / "hex")
    fours = small_checkpoint(tmp_path / "four", game__name="inarow", game__win_length=4)
    for arguments, words in (
        ([str(hexes)], "plays Hex 4x4"),
        ([str(fours)], "plays 4 in a row 4x4, 2 players: the Gomocup protocol is for five in a row by two"),
        ([], "name a checkpoint or a run of n in a row, or give --random SEED"),
    ):
        code, lines, told = answers_of("", *arguments)
        assert (code, lines) == (2, [])
        assert words in told
        assert len(told.splitlines()) == 1


def play_games(run_dir: Path, count: int) -> None:
    """Games of the engine, in either seat, against a client that plays any legal move."""
    pygomo = pytest.importorskip(
        "pygomo", reason="the package pygomo-lib is not installed: pip install 'hexpipe[peers]'"
    )
    game, generator = InARow(game_settings(SIZE, 5, row_rule="exact")), np.random.default_rng(1)
    results = []
    with pygomo.EngineClient(sys.executable, args=[*COMMAND, str(run_dir)], working_directory=str(ROOT)) as client:
        process = client._transport._process
        assert "hexpipe" in client.about(timeout=200)
        assert client.start(SIZE, timeout=200)
        client.set_rule(1)
        client.set_time(turn_time_ms=200, match_time_ms=0, time_left_ms=2**31 - 1)
        for number in range(count):
            assert number == 0 or client.restart()
            moves: list[int] = []
            states = game.play(moves)
            while states.winner[0] == ONGOING:
                if len(moves) % 2 == number % 2:
                    if moves:
                        result = client.turn((moves[-1] % SIZE, moves[-1] // SIZE), timeout=100)
                    else:
                        result = client.begin(timeout=100)
                    assert result is not None
                    moves.append(result.move.row * SIZE + result.move.col)
                else:
                    moves.append(int(generator.choice(np.flatnonzero(states.cells[0] == 0))))
                states = game.play(moves)  # every move is legal
            results.append((int(states.winner[0]), len(moves)))
        assert client.router.get_all("error") == []
        assert client.router.get_all("output") == []
        assert client.router.get_all("coord") == []
    process.stdout.close()  # which the package leaves open
    process.stderr.close()
    assert len(results) == count
    assert len(set(results)) > 1, "not always the same game"


def test_two_games_of_an_independent_client(run_dir: Path) -> None:
    play_games(run_dir, 2)


@pytest.mark.slow
def test_twenty_games_of_an_independent_client(run_dir: Path) -> None:
    play_games(run_dir, 20)
