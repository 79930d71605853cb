"""`hexpipe solve`: picture, JSON, label files, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hexpipe.arena.solved_positions import read_positions
from hexpipe.bench.replay import play_games
from hexpipe.cli.main import run
from hexpipe.cli.solve import command
from hexpipe.config import dump_settings, load_settings, override_settings
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive


def test_picture() -> None:
    done = CliRunner().invoke(command, ["--size", "3"])
    assert done.exit_code == 0
    assert [line.split()[1:] for line in done.output.splitlines()[1:4]] == [
        ["-", "-", "+"],
        ["+", "+", "+"],
        ["+", "-", "-"],
    ]
    assert "black to move wins with 5 of 9 moves: c1 a2 b2 c2 a3" in done.output
    assert "white wins against every move" in CliRunner().invoke(command, ["a1", "c3"]).output


@pytest.mark.parametrize("arguments", [["a1", "c3", "b4"], ["--moves", "a1 c3 b4"], ["--moves", "a1", "c3,b4"]])
def test_json(arguments: list[str]) -> None:
    done = CliRunner().invoke(command, [*arguments, "--json"])
    found = json.loads(done.output)
    assert (found["n"], found["moves"], found["to_move"]) == (5, ["a1", "c3", "b4"], "white")
    assert (found["value"] == 1) == bool(found["winning_moves"])


def test_labels_can_be_read_back(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two", "three")]
    for file, seed in zip(files, ("1", "1", "2"), strict=True):
        done = CliRunner().invoke(command, ["--size", "4", "--label", str(file), "--count", "20", "--seed", seed])
        assert done.exit_code == 0
    assert files[0].read_text() == files[1].read_text() != files[2].read_text()
    positions = read_positions(files[0])
    assert len(positions) == 20
    assert all((position.value == 1) == bool(position.winning_moves) for position in positions)


def test_positions_of_a_run(tmp_path: Path) -> None:
    run_dir, file = tmp_path / "run", tmp_path / "labels.jsonl"
    run_dir.mkdir()
    settings = load_settings("quick", {"game.board_size": 4})
    (run_dir / "settings.json").write_text(dump_settings(settings))
    game = Hex(4)
    arguments = ["--label", str(file), "--from", str(run_dir), "--count", "30"]
    assert "no archive" in str(CliRunner().invoke(command, arguments).exception)
    records, *_ = play_games(game, override_settings(settings, {"search.num_simulations": 8}), 16)
    archive = ReplayArchive(run_dir / "archive.sqlite", game)
    archive.append(records)
    archive.close()
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    positions = read_positions(file)
    played = {tuple(record.actions[:ply].tolist()) for record in records for ply in range(len(record.actions))}
    assert len(positions) == 30
    assert {tuple(position.moves) for position in positions} <= played


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a1", "a1"], "taken"),
        (["--size", "9"], "3 to 8"),
        (["--size", "8", "--effort", "10"], "allow more"),
        (["--size", "3", "a1", "b1", "a2", "b2", "a3"], "already won"),
        (["f1"], "off the 5x5 board"),
        (["hello"], "moves"),
        (["a1", "swap"], "swap"),
        (["--label", "/nowhere/file", "--count", "1"], "cannot be written"),
        (["--label", "file", "a1"], "leave the moves away"),
        (["--size", "9", "--label", "file"], "3 to 8"),
        (["--from", "."], "goes with --label"),
        (["--label", "file", "--from", "tests"], "no run"),
        (["--count", "0"], "count"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert run(["solve", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
