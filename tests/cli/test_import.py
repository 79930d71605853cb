"""`hexpipe import`, and training from what it brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.cli.main import run
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.notation.format_conversion import HexGame, cells_from_moves, to_trmph
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, read_settings
from tests.cli.test_train import TINY

NET = ["--set", "net.blocks=2", "--set", "net.channels=16", "--set", "net.value_hidden=16", "--devices", "0"]
LEARNER = ["--set", "learner.batch_size=64", "--set", "learner.warmup_steps=5", "--set", "learner.learning_rate=0.003"]


def strong_game(solver: HexSolver, rng: np.random.Generator) -> HexGame:
    """Some random stones, and then perfect play of whoever is to win; the other resigns or plays on to the end."""
    n = solver.board_size
    moves = rng.permutation(n * n)[: rng.integers(0, 4)].tolist()
    stay = rng.random() < 0.7
    while True:
        cells, to_move = cells_from_moves(moves, n), len(moves) % 2
        winner = solver.winner(cells)
        if winner is not None:
            return HexGame(n, tuple(moves), winner)
        winning = solver.winning_moves(cells, to_move)
        if not winning and moves and not stay and rng.random() < 0.3:
            return HexGame(n, tuple(moves), 1 - to_move, "resign")
        moves.append(winning[0] if winning else int(rng.choice(np.flatnonzero(cells == 0))))


def report(path: Path) -> dict[str, Any]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    last: dict[str, Any] = json.loads(lines[-1])
    return last


def test_a_net_learns_from_strong_games_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solver, rng = HexSolver(4), np.random.default_rng(1)
    games = tmp_path / "games.trmph"
    games.write_text("\n".join(to_trmph(strong_game(solver, rng)) for _ in range(400)))
    path = tmp_path / "run"
    assert run(["import", str(games), "--run-dir", str(path), *NET, *LEARNER]) == 0
    assert f"hexpipe train --resume {path} --workers 0" in capsys.readouterr().out
    alone = ["train", "--resume", str(path), "--workers", "0", "--steps"]
    assert run([*alone, "3"]) == 0
    first = report(path)
    assert run([*alone, "400"]) == 0
    assert run([*alone, "432"]) == 0  # a row of the metrics is the mean of its steps: this one has late steps only
    last = report(path)
    assert (first["steps"], last["steps"]) == (3, 432)
    assert first["games"] == last["games"] > 200  # nothing was played
    assert first["policy_loss"] > 2.2
    assert last["policy_loss"] < first["policy_loss"] - 0.15  # half of the moves are a loser's, drawn at random
    assert last["value_sign_accuracy"] > max(0.8, first["value_sign_accuracy"] + 0.15)


def test_play_goes_on_from_imported_games(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    games = [f"#3,b2{reply}b1a3b3 b" for reply in ("a1", "a2", "c1", "c2")]
    assert run(["import", *games, "--run-dir", str(path), *TINY, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done == {
        "run": str(path), "games": 4, "positions": 20, "duplicates": 0, "total_games": 4, "total_positions": 20,
        "repeats": 0, "refused": [],
    }  # fmt: skip
    assert run(["train", "--resume", str(path), "--workers", "0", "--steps", "20"]) == 0
    assert run(["train", "--resume", str(path), "--set", "selfplay.workers=none", "--steps", "23",
                "--set", "reanalyze.ratio=1"]) == 0  # fmt: skip
    assert load_checkpoint(path).step == 23
    figures = report(path)
    # 20 steps were no debt: three more came with the next 3 * 16 / 6 positions
    assert 4 < figures["games"] < 20
    assert figures["refreshed"] > 0  # of them, the first were all imported


def test_a_run_that_is_there_keeps_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    assert run(["import", "#4,a1b2 b", "--run-dir", str(path), *NET]) == 0
    assert read_settings(path).game.board_size == 4
    assert run(["import", "a1 b2 c3", "--run-dir", str(path), "--size", "4"]) == 2
    assert "has settings of its own: leave out game.board_size" in capsys.readouterr().err
    assert run(["import", "#4,a1b2 b", "#4,c3 r", "#5,a1 b", "--run-dir", str(path), "--skip-bad"]) == 0
    told = capsys.readouterr()
    assert "1 game (1 position) of Hex 4x4" in told.out
    assert "1 was there already; 2 games in all" in told.out
    assert "1 of 3 games left out" in told.err
    assert "argument 3: a game on 5x5" in told.err


def test_what_comes_again_in_the_input_was_not_there_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    assert run(["import", "#4,a1b2 b", "#4,a1b2 b", "#4,c3 r", "--run-dir", str(path), *NET]) == 0
    assert "2 games (3 positions) of Hex 4x4" in (out := capsys.readouterr().out)
    assert "; 1 came again in the input; 2 games in all" in out
    assert "there already" not in out
    assert run(["import", "#4,a1b2 b", "#4,a1b2 b", "#4,d4 b", "#4,c3 r", "--run-dir", str(path)]) == 0
    assert "; 2 were there already; 1 came again in the input; 3 games in all" in capsys.readouterr().out


def test_a_swap_means_what_is_said(tmp_path: Path) -> None:
    path = tmp_path / "run"
    # a swap of pieces: the first player connects b1 to b5
    won = "a1 swap b1 a2 b2 a3 b3 a4 b4 a5 b5"
    given = [won, "--size", "5", "--set", "game.swap=on", *NET, "--swap-means", "pieces"]
    assert run(["import", *given, "--run-dir", str(path)]) == 0
    with ReplayArchive(path / ARCHIVE_NAME, Hex(5, swap=True)) as archive:
        (record,) = archive.imported()
    assert record.actions[:4].tolist() == [0, 25, 5, 1]
    assert record.outcome.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["#5,a1a1 b"], "argument 1: a1 is played twice"),
        (["#5,a1 b", "#6,a1 b"], "several boards"),
        (["#5,a1 b", "--size", "6"], "5x5, and this run plays Hex 6x6"),
        (["#5,a1 b", "--game", "inarow"], "games in files are of Hex"),
        (["a1 b2"], "how large the board is"),
        (["#5,a1 b", "--preset", "huge"], "no preset"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    assert run(["import", *arguments, "--run-dir", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert words in lines[0]
    assert not (tmp_path / "run").exists()
