"""`hexpipe plot` and `hexpipe runs` over folders as runs leave them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from hexpipe.cli import main, plot, runs
from hexpipe.config import dump_settings, load_settings


def made_run(folder: Path, lines: int = 40) -> Path:
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "settings.json").write_text(dump_settings(load_settings()))
    now = time.time()
    with (folder / "metrics.jsonl").open("w") as file:
        for k in range(lines):
            line = {"time": now - 5 * (lines - k), "games": 10 * k, "steps": 3 * k, "positions_per_s": 100 + k}
            line |= {"loss": 3 / (k + 1), "own_bytes/learner-0": 3e8, "replay_bytes": 1e5 * k}
            if k % 10 == 9:
                line |= {"rating_elo": 8.0 * k, "rating_elo_error": 20.0}
            file.write(json.dumps(line) + "\n")
        file.write('{"time": 12')
    return folder


def test_a_run_as_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = made_run(tmp_path / "run")
    result = CliRunner().invoke(plot.command, [str(run), str(tmp_path / "new" / "a.svg")], catch_exceptions=False)
    assert result.exit_code == 0
    picture = (tmp_path / "new" / "a.svg").read_text()
    assert picture.count('id="axes_') == 4  # loss, rating, positions, memory, and no panel without figures
    assert "solver" not in picture
    CliRunner().invoke(plot.command, [str(run)], catch_exceptions=False)
    assert (run / "run.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_name_the_newest_run_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main.run(["plot"]) == 2
    assert "there is no run in the folder runs" in capsys.readouterr().err
    for age, name in ((50, "old"), (5, "new"), (100, "older")):
        os.utime(made_run(tmp_path / "runs" / name) / "lock", (time.time() - age, time.time() - age))
    assert main.run(["plot"]) == 0
    assert (tmp_path / "runs" / "new" / "run.png").exists()


def test_the_name_of_a_run_is_never_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made_run(tmp_path / "20261122-165054-quick")
    assert main.run(["runs", str(tmp_path)]) == 0
    assert "20261122-165054-quick" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "words"), [
    (["plot", "nowhere"], "name the folder of a run"),
    (["plot", "run", "a.gif"], ".png or .svg"),
    (["runs", "nowhere"], "no folder"),
])  # fmt: skip
def test_bad_input(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    made_run(tmp_path / "run")
    assert main.run(arguments) == 2
    assert words in capsys.readouterr().err


def test_runs_are_listed_with_what_they_are(tmp_path: Path) -> None:
    made_run(tmp_path / "good")
    (made_run(tmp_path / "bad") / "settings.json").write_text("{")
    (made_run(tmp_path / "new") / "metrics.jsonl").unlink()
    lines = CliRunner().invoke(runs.command, [str(tmp_path), "--json"], catch_exceptions=False).output.splitlines()
    found = {Path(run["run"]).name: run for run in map(json.loads, lines)}
    assert found["good"]["state"] == "ended"
    assert found["good"]["games"] == 390
    assert found["good"]["rating_elo"] == 312
    assert found["good"]["bytes"] > 1000
    assert found["bad"]["state"] == "damaged"
    assert found["new"]["games"] == 0
    table = CliRunner().invoke(runs.command, [str(tmp_path)], catch_exceptions=False).output
    assert "damaged" in table
    assert "390" in table
