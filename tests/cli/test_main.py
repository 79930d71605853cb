from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hexpipe.cli.main import COMMANDS, group, run
from hexpipe.config import load_settings
from hexpipe.nets.checkpoints import checkpoint_meta, save_checkpoint
from hexpipe.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


def fails_with(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str) -> None:
    assert run(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "huge"], ["no preset 'huge'", "quick"]),
        (["--size", "2"], ["game.board_size", "3"]),
        (["--size", "99"], ["game.board_size", "27"]),
        (["--workers", "-1"], ["selfplay.workers", "0"]),
        (["--workers", "0"], ["this run has no games", "hexpipe import"]),
        (["--workers", "0", "--set", "reanalyze.ratio=1"], ["nothing is played", "reanalyze.ratio"]),
        (["--workers", "many"], ["--workers"]),
        (["--set", "search.depth=3"], ["no setting 'search.depth'"]),
        (["--set", "search.c_puct_init"], ["SECTION.KEY=VALUE"]),
        (["--max-memory-gb", "0.1", "--set", "replay.min_games=2000", "--size", "19"], ["max_memory_gb"]),
        (["--max-memory-gb", "500"], ["MB", "lower replay.max_memory_gb"]),
        (["--resume", "/nowhere"], ["no run in /nowhere"]),
        (["--resume", "/nowhere", "--preset", "quick"], ["--preset"]),
        (["--init-from", "/nowhere"], ["no checkpoint in /nowhere"]),
        (["--colour", "red"], ["--colour"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    where = [] if "--resume" in arguments else ["--run-dir", str(tmp_path / "run")]
    extra = ["--set", "replay.max_games=2000000", "--size", "27"] if "500" in arguments else []
    fails_with(capsys, ["run", *arguments, *where, *extra], *words)
    assert not (tmp_path / "run").exists(), "a run that could not begin leaves nothing"


def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fails_with(capsys, ["run", "--run-dir", str(tmp_path / "file" / "run")], "cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    fails_with(capsys, ["run", "--run-dir", str(tmp_path / "run")], "cannot be written")


def make_run(path: Path, *, damaged: bool = False) -> None:
    import numpy as np

    from hexpipe.config import Shapes

    settings = load_settings("quick", {"game.board_size": 3})
    with RunFolder.open(path, resume=False) as folder:
        folder.write_settings(settings)
    meta = checkpoint_meta(settings, Shapes(3, 9, 2, 9), 7)
    checkpoint = save_checkpoint(path, {"model": {"x": np.zeros(3, np.float32)}}, meta)
    if damaged:
        (checkpoint / "model.safetensors").write_bytes(b"rubbish")


def test_what_cannot_be_resumed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    resume = ["run", "--resume", str(tmp_path / "run")]
    fails_with(capsys, ["run", "--run-dir", str(tmp_path / "run")], "already holds a run", "--resume")
    fails_with(capsys, [*resume, "--size", "5"], "game.board_size is 3", "start a new run")
    fails_with(capsys, [*resume, "--set", "game.swap=true"], "game.swap is False")
    fails_with(capsys, [*resume, "--set", "net.blocks=9"], "net.blocks is 4", "start a new run")


def test_a_damaged_checkpoint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_run(tmp_path / "run", damaged=True)
    fails_with(capsys, ["run", "--resume", str(tmp_path / "run")], "model.safetensors", "damaged")
    new = ["run", "--run-dir", str(tmp_path / "new"), "--size", "3"]
    fails_with(capsys, [*new, "--init-from", str(tmp_path / "run")], "damaged")


def test_a_damaged_archive(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", resume=False) as folder:
        folder.write_settings(load_settings("quick", {"game.board_size": 3}))
    (tmp_path / "run" / "archive.sqlite").write_bytes(b"rubbish" * 1000)
    fails_with(capsys, ["run", "--resume", str(tmp_path / "run")], "archive.sqlite", "damaged")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    package = Path(importlib.import_module("hexpipe.cli").__path__[0])
    modules = {path.stem for path in package.glob("[a-z]*.py")} - {"main"}
    assert sorted(group.list_commands(click.Context(group))) == sorted(
        name.rstrip("_").replace("_", "-") for name in modules
    )
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for title, lines in COMMANDS.items():
        shown = text.partition(f"\n{title}:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split(maxsplit=1) for line in shown] == [[*row] for row in lines.items()]
    assert max(map(len, text.splitlines())) <= 80
    assert run(["run", "--help"]) == 0
    assert "`hexpipe settings` lists" in capsys.readouterr().out


def test_importing_the_command_is_light() -> None:
    code = (
        "import sys, hexpipe.cli.main; "
        "heavy = {'torch', 'numba', 'numpy', 'pydantic', 'rich'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_memory_estimate_counts_the_latents(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["memory-report", "--json", "--algorithm", "muzero", "--size", "7", "--simulations", "20"]
    options += ["--servers", "2", "--workers", "3", "--devices", "0"]
    options += ["--set", "net.channels=16", "--set", "selfplay.games_per_worker=8"]
    assert run(options) == 0
    report = json.loads(capsys.readouterr().out)
    # three of the six groups are one server's: 4 games of 20 + 2 nodes, each 16 channels of 49 cells in float32
    assert report["latent_pool_bytes"] == 3 * 4 * 22 * 16 * 49 * 4
    inference = next(process for process in report["processes"] if process["role"] == "inference")
    assert inference["own_bytes"] > report["latent_pool_bytes"]


def test_memory_estimate_counts_a_league(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["memory-report", "--json", "--algorithm", "muzero", "--set", "league.share=0.3", "--workers", "2"]
    assert run([*options, "--set", "inference.servers=2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["league_pool_bytes"] == 2 * report["latent_pool_bytes"] > 0  # one server for what two share
    roles = {process["role"]: process for process in report["processes"]}
    assert roles["league"]["count"] == 1
    assert roles["league"]["own_bytes"] > report["league_pool_bytes"]
    segments = {segment["name"]: segment["bytes"] for segment in report["segments"]}
    assert segments["league-slots"] == segments["inference-slots"]


def test_memory_estimate_counts_the_search_of_old_games(capsys: pytest.CaptureFixture[str]) -> None:
    estimates = []
    for ratio in ("0", "0.5"):
        options = ["--set", f"reanalyze.ratio={ratio}", "--set", "league.share=0.3", "--workers", "1"]
        assert run(["memory-report", "--json", *options]) == 0
        estimates.append(json.loads(capsys.readouterr().out))
    without, counted = ({s["name"]: s["bytes"] for s in estimate["segments"]} for estimate in estimates)
    for name in ("inference-slots", "outboxes"):
        assert counted[name] == 2 * without[name], "it has what a generator has"
    assert counted["league-slots"] == without["league-slots"], "but it plays against nobody"
    roles = [{p["role"]: p["count"] for p in estimate["processes"]} for estimate in estimates]
    assert roles[1] == {**roles[0], "reanalyze": 1}
    own = {p["role"]: p["own_bytes"] for p in estimates[1]["processes"]}
    assert own["reanalyze"] == own["generator"]


def test_memory_estimate_counts_the_engram(capsys: pytest.CaptureFixture[str]) -> None:
    reports = []
    for more in ([], ["--engram"], ["--engram", "--set", "net.engram=10000", "--algorithm", "muzero"]):
        assert run(["memory-report", "--json", "--devices", "0", *more]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    without, small, large = reports
    assert without["engram_bytes"] == 0
    # an entry: a key of 32 numbers, a value of two seats, a priority, in float32, and the game's number in int64
    assert small["engram_bytes"] == 4096 * (4 * (32 + 2 + 1) + 8) + 8
    assert large["engram_bytes"] == 10_000 * (4 * (32 + 2 + 1) + 8) + 8
    own = [{p["role"]: p["own_bytes"] for p in report["processes"]} for report in reports]
    for role in ("learner", "inference"):
        assert own[1][role] == own[0][role] + small["engram_bytes"]
    assert own[2]["inference"] - large["latent_pool_bytes"] - 2 * large["engram_bytes"] > own[0]["inference"], "torch"
    board = [next(part["bytes"] for part in report["segments"] if part["name"] == "weights") for report in reports]
    assert board[1] - board[0] >= 2 * 4096 * 4 * (32 + 2 + 1 + 1)
    assert run(["memory-report", "--engram"]) == 0
    assert "engram: 606 kB" in capsys.readouterr().out


def test_memory_estimate_allocates_nothing_and_holds_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["memory-report", "--preset", "large", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    replay = next(segment for segment in report["segments"] if segment["name"] == "replay")
    assert replay["bytes"] <= report["budget_bytes"] == 16_000_000_000
    assert run(["memory-report", "--size", "5"]) == 0
    assert "of" in capsys.readouterr().out


def test_memory_estimate_ends_with_one_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["memory-report", "--json", "--size", "5"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["total_bytes"] == report["shared_bytes"] + report["own_bytes"]
    assert run(["memory-report", "--size", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    total = [line for line in lines if line.startswith("in all about ")]
    assert total == lines[-1:]
    assert any("resource-tracker" in line for line in lines)


def test_memory_report_of_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails_with(capsys, ["memory-report", str(tmp_path)], "no run is at work")
    fails_with(capsys, ["memory-report", str(tmp_path), "--size", "5"], "not both")


def test_clean_removes_what_dead_runs_left_and_keeps_the_rest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_dir = tmp_path / "runs" / "dead"
    make_run(run_dir)
    half = run_dir / "checkpoints" / ".tmp-step-00000009"
    half.mkdir()
    (run_dir / "run.json").write_text(json.dumps({"pid": 1, "create_time": 0.0}))
    (run_dir / "lock").write_text("12345")
    kept = {path: path.read_bytes() for path in run_dir.rglob("step-*/*") if path.is_file()}
    assert run(["clean", str(tmp_path / "runs"), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would remove") >= 3
    assert half.exists()
    with RunFolder.open(run_dir, resume=True):
        assert run(["clean", str(tmp_path / "runs")]) == 0
        assert "is at work: left alone" in capsys.readouterr().out
        assert half.exists()
    (run_dir / "run.json").write_text(json.dumps({"pid": 1, "create_time": 0.0}))
    assert run(["clean", str(tmp_path / "runs")]) == 0
    assert not half.exists()
    assert not (run_dir / "run.json").exists()
    assert kept == {path: path.read_bytes() for path in run_dir.rglob("step-*/*") if path.is_file()}
