from __future__ import annotations

import json
from pathlib import Path

import pytest

from hexpipe.cli.main import run
from hexpipe.config import Shapes, load_settings
from hexpipe.learner.learner import Learner

POSITIONS = [
    {"n": 3, "moves": [], "to_move": "black", "value": 1, "winning_moves": ["b2"]},
    {"n": 3, "moves": ["b2"], "to_move": "white", "value": -1, "winning_moves": None},
    {"n": 4, "moves": ["a1", "b2", "a2", "b3", "a3", "c1"], "to_move": "black", "value": 1, "winning_moves": ["a4"]},
]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    settings = load_settings(
        "quick",
        {"game.board_size": 3, "net.blocks": 1, "net.channels": 8, "net.value_hidden": 8, "inference.backend": "eager"},
    )
    Learner(settings, Shapes(3, 9, 2, 9)).save(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    file = tmp_path / "positions.jsonl"
    file.write_text("".join(json.dumps(position) + "\n" for position in POSITIONS))
    return file


def test_json_is_one_object_with_every_key(run_dir: Path, positions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "score",
        str(run_dir),
        "--positions",
        str(positions),
        "--simulations",
        "64",
        "--device",
        "cpu",
        "--json",
    ]
    assert run(arguments) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert captured.err == ""
    assert (result["positions"], result["positions_with_winning_moves"]) == (3, 2)
    assert (result["step"], result["simulations"]) == (0, 64)
    for name in ("net_value_share", "search_value_share", "net_move_share", "search_move_share"):
        low, high = result[f"{name}_interval"]
        assert 0 <= low <= result[name] <= high <= 1
    # a fresh net knows nothing, but the search sees the win in one move and plays it
    assert result["search_move_share"] >= 0.5
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out) == result


def test_the_table_names_every_measure(run_dir: Path, positions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = next((run_dir / "checkpoints").iterdir())
    assert run(["score", str(checkpoint), "--positions", str(positions), "--simulations", "8", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for words in ("value right, net alone", "value right, search", "winning move, net alone", "of 3", "of 2"):
        assert words in out


def test_bad_input_is_one_line_and_exit_code_2(
    run_dir: Path, positions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({**POSITIONS[0], "to_move": "white"}))
    for arguments, words in (
        ([str(run_dir), "--positions", str(bad)], "bad.jsonl, line 1: to_move is 'white'"),
        ([str(run_dir), "--positions", str(tmp_path / "none")], "cannot be read"),
        ([str(tmp_path), "--positions", str(positions)], "no checkpoint in"),
        ([str(run_dir)], "--positions"),
        ([str(run_dir), "--positions", str(positions), "--simulations", "1"], "--simulations"),
        ([str(run_dir), "--positions", str(positions), "--device", "cuda:9"], "cuda:9"),
    ):
        assert run(["score", *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert words in lines[0]
