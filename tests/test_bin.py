"""The scripts in bin/, with an interpreter that only pretends: no network, no package, a second at most."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(__file__).parent.parent / "bin"

# Stands for python3 and then for the environment's python: notes every call, installs nothing.
FAKE_PYTHON = f"""#!/bin/bash
real={sys.executable}
echo "$*" >>"$FAKE_LOG"
echo "$PYTHONPATH" >>"$FAKE_LOG.pythonpath"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-c import fcntl"*) exec "$real" "$@" ;;
    "-c import sysconfig"*) dirname "$0" ;;
    "- "*) exec "$real" "$@" ;;
    "-m pip "*) sleep 0.3; echo "pip says something"; exit "${{FAKE_PIP_EXIT:-0}}" ;;
    "-P -m hexpipe.cli.main"*) echo "ran: ${{*:4}}" ;;
esac
"""


@pytest.fixture
def scene(tmp_path: Path) -> dict[str, str]:
    """An environment for the scripts in which nothing real is installed."""
    fake = tmp_path / "fake python"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    return {
        **os.environ,
        "HEXPIPE_VENV": str(tmp_path / "a venv"),
        "HEXPIPE_PYTHON": str(fake),
        "HEXPIPE_TORCH": "torch==2.13.0",
        "FAKE_LOG": str(tmp_path / "calls"),
        "TMPDIR": str(tmp_path),
    }


def run(
    scene: dict[str, str], *arguments: str, script: Path = BIN / "hexpipe", cwd: str = "/"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments],
        env=scene,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def calls(scene: dict[str, str], word: str) -> list[str]:
    log = Path(scene["FAKE_LOG"])
    return [line for line in log.read_text().splitlines() if word in line] if log.exists() else []


def test_first_use_makes_the_environment_and_says_so_briefly(scene: dict[str, str]) -> None:
    done = run(scene, "run", "--minutes", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran: run --minutes 1\n"
    lines = done.stderr.splitlines()
    assert all(line.startswith("hexpipe: ") for line in lines)
    assert len(lines) <= 6
    assert len(calls(scene, "-m pip install")) == 1


def test_second_use_neither_installs_nor_compiles(scene: dict[str, str]) -> None:
    run(scene)
    before = calls(scene, "")
    done = run(scene, "--help")
    assert done.stderr == ""
    assert len(calls(scene, "")) == len(before) + 1


def test_through_a_symlink_from_another_folder(scene: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "first").symlink_to(BIN / "hexpipe")
    (tmp_path / "second").symlink_to("first")
    done = run(scene, "--help", script=tmp_path / "second", cwd=str(tmp_path))
    assert done.stdout == "ran: --help\n", done.stderr


def test_large_selfplay_by_the_name_that_its_users_know(scene: dict[str, str], tmp_path: Path) -> None:
    run(scene)
    arguments = ["--model-path", "runs/a net", "--num-games", "5"]
    done = run(scene, *arguments, script=BIN / "run_large_selfplay", cwd=str(tmp_path))
    assert done.stdout == "ran: selfplay --model-path runs/a net --num-games 5\n", done.stderr


def test_folders_on_the_callers_pythonpath_stay_there(scene: dict[str, str], tmp_path: Path) -> None:
    """For games of one's own: the command starts Python without the current folder on its path."""
    run({**scene, "PYTHONPATH": "/my/games"}, "--help", cwd=str(tmp_path))
    paths = (tmp_path / "calls.pythonpath").read_text().splitlines()
    assert paths[-1] == f"{BIN.parent}:/my/games"


def test_two_first_calls_at_once_make_one_environment(scene: dict[str, str]) -> None:
    both = [
        subprocess.Popen([BIN / "hexpipe"], env=scene, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=250)[0] for process in both] == ["ran: \n"] * 2
    assert len(calls(scene, "-m venv")) == 1
    assert len(calls(scene, "-m pip install")) == 1
    assert len(calls(scene, "compile_kernels")) == 1


def test_failed_install_shows_pips_words_and_is_not_trusted_later(scene: dict[str, str]) -> None:
    failed = run({**scene, "FAKE_PIP_EXIT": "1"})
    assert failed.returncode == 1
    assert "pip says something" in failed.stderr
    assert "HEXPIPE_TORCH" in failed.stderr
    assert "ran:" not in failed.stdout
    again = run(scene)
    assert again.returncode == 0, again.stderr
    assert len(calls(scene, "-m venv")) == 2


def test_another_torch_makes_the_environment_anew(scene: dict[str, str]) -> None:
    run(scene)
    run({**scene, "HEXPIPE_TORCH": "torch==2.12.0"})
    assert len(calls(scene, "-m venv")) == 2
    assert "torch==2.12.0" in calls(scene, "-m pip install")[-1]


def test_no_fitting_python_is_said_clearly(scene: dict[str, str]) -> None:
    done = run({**scene, "HEXPIPE_PYTHON": "/no/such/python"})
    assert done.returncode == 1
    assert "/no/such/python is not a working Python 3.11, 3.12 or 3.13" in done.stderr


def test_a_folder_of_someone_else_is_left_alone(scene: dict[str, str]) -> None:
    mine = Path(scene["HEXPIPE_VENV"]) / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    done = run(scene)
    assert done.returncode == 1
    assert "was not made by this script" in done.stderr
    assert mine.read_text() == "years of work"


@pytest.mark.parametrize(
    "script", ["hexpipe", "bench", "run_large_selfplay", "test", "check", "environment.sh", "../.ci/run"]
)
def test_scripts_are_valid_bash(script: str) -> None:
    assert subprocess.run(["bash", "-n", BIN / script], check=False).returncode == 0


def test_constraints_pin_every_dependency() -> None:
    lines = (BIN / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    project = (BIN.parent / "pyproject.toml").read_text()
    named = set(re.findall(r'^    "([a-z-]+)>=', project, re.MULTILINE)) | {"openvino"}
    assert len(named) > 10
    assert named - {"torch"} <= pinned
    assert "torch" not in pinned
