"""The scripts in bin/, with an interpreter that only pretends: no network, no package, a second at most."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import LONGEST

BIN = Path(__file__).parent.parent / "bin"
ROOT = BIN.parent

# Stands for python3 and then for the environment's python: notes every call, installs nothing.
FAKE_PYTHON = f"""#!/bin/bash
real={sys.executable}
echo "$*" >>"$FAKE_LOG"
echo "$PYTHONPATH" >>"$FAKE_LOG.pythonpath"
echo "${{PYTHONDONTWRITEBYTECODE:-}}:${{PYTHONPYCACHEPREFIX:-}}" >>"$FAKE_LOG.bytecode"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-c import fcntl"*) exec "$real" "$@" ;;
    "-c import sysconfig"*) dirname "$0" ;;
    "- "*) exec "$real" "$@" ;;
    "-m pip "*torch*) sleep 0.3; echo "pip says something"; exit "${{FAKE_TORCH_EXIT:-0}}" ;;
    "-m pip "*) sleep 0.3; echo "pip says something"; exit "${{FAKE_PIP_EXIT:-0}}" ;;
    *"import prepare"*)
        echo $$ >"$FAKE_LOG.prepare"
        [ -z "${{FAKE_PREPARE_SECONDS:-}}" ] || exec sleep "$FAKE_PREPARE_SECONDS"
        exit "${{FAKE_PREPARE_EXIT:-0}}" ;;
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
    few, all_of_them = calls(scene, "-m pip install")
    assert "numba" in few
    assert "torch" not in few
    assert "torch==2.13.0" in all_of_them
    assert "numba" in all_of_them
    assert "--no-compile" in few


def test_kernels_of_the_command_are_compiled_while_packages_come(scene: dict[str, str]) -> None:
    """Begun between the two installations, with the command's own words; awaited before the command itself begins."""
    run(scene, "run", "--game", "inarow")
    asked = next(number for number, line in enumerate(calls(scene, "")) if "import prepare" in line)
    assert calls(scene, "")[asked].endswith(" run --game inarow")
    installed = [number for number, line in enumerate(calls(scene, "")) if "pip install" in line]
    started = next(number for number, line in enumerate(calls(scene, "")) if "hexpipe.cli.main run" in line)
    assert installed[0] < asked < started
    assert len(calls(scene, "import prepare")) == 1


def test_failed_kernels_of_the_first_start_are_left_to_the_command(scene: dict[str, str]) -> None:
    done = run({**scene, "FAKE_PREPARE_EXIT": "1"}, "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran: run\n"


def test_a_failed_install_leaves_no_compiler_behind(scene: dict[str, str], tmp_path: Path) -> None:
    failed = run({**scene, "FAKE_TORCH_EXIT": "1", "FAKE_PREPARE_SECONDS": "100"}, "run")
    assert failed.returncode == 1
    pid = int((tmp_path / "calls.prepare").read_text())
    deadline = time.monotonic() + 60.0
    while _lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def make_locale(folder: Path) -> dict[str, str]:
    """Variables for a locale with decimal commas, made here: few machines have one."""
    source = folder / "comma"
    copied = ["CTYPE", "COLLATE", "MONETARY", "TIME", "MESSAGES", "PAPER", "NAME", "ADDRESS", "TELEPHONE"]
    copied += ["MEASUREMENT", "IDENTIFICATION"]
    parts = [f'LC_{name}\ncopy "POSIX"\nEND LC_{name}' for name in copied]
    parts.append('LC_NUMERIC\ndecimal_point ","\nthousands_sep "."\ngrouping 3;3\nEND LC_NUMERIC\n')
    source.write_text("\n".join(parts))
    command = ["localedef", "-c", "-f", "ANSI_X3.4-1968", "-i", source, folder / "xx_XX"]
    subprocess.run(command, capture_output=True, check=False)  # it warns of what a locale for people would have
    return {"LOCPATH": str(folder), "LC_ALL": "xx_XX"}


@pytest.mark.skipif(shutil.which("localedef") is None, reason="a locale cannot be made here")
def test_a_locale_changes_neither_the_environment_nor_the_kernels(scene: dict[str, str], tmp_path: Path) -> None:
    comma = make_locale(tmp_path)
    shown = subprocess.run(["stat", "-c", "%.9Y", tmp_path], env=scene | comma, capture_output=True, text=True)  # noqa: PLW1510
    assert "," in shown.stdout, "the locale is in force"
    run(scene, "run")
    run(scene | comma, "run")
    run(scene | {"LC_ALL": "C"}, "run")
    assert len(calls(scene, "-m venv")) == 1
    assert len(calls(scene, "import prepare")) == 1
    state = "import locale, hexpipe.kernel_cache as k; locale.setlocale(locale.LC_ALL, ''); print(k.kernel_state())"
    command = [sys.executable, "-P", "-c", state]
    environment = {**os.environ, "PYTHONPATH": str(BIN.parent)}
    states = {
        subprocess.run(command, env={**environment, **words}, capture_output=True, text=True, check=True).stdout
        for words in (comma, {"LC_ALL": "C"})
    }
    assert len(states) == 1


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


def test_bytecode_that_may_not_lie_beside_its_sources_lies_in_the_environment(
    scene: dict[str, str], tmp_path: Path
) -> None:
    """Else each process of a run compiles PyTorch anew; and whoever names a place for it has it there."""
    own = {key: value for key, value in scene.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
    for told, wanted in (
        ({}, ":"),
        ({"PYTHONDONTWRITEBYTECODE": "1"}, f":{scene['HEXPIPE_VENV']}/bytecode"),
        ({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/mine"}, ":/mine"),
    ):
        run({**own, **told}, "--help", cwd=str(tmp_path))
        assert (tmp_path / "calls.bytecode").read_text().splitlines()[-1] == wanted


def test_two_first_calls_at_once_make_one_environment(scene: dict[str, str]) -> None:
    both = [
        subprocess.Popen([BIN / "hexpipe"], env=scene, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=250)[0] for process in both] == ["ran: \n"] * 2
    assert len(calls(scene, "-m venv")) == 1
    assert len(calls(scene, "-m pip install")) == 2
    assert len(calls(scene, "import prepare")) == 1


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


def test_files_that_are_begun_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
