"""Whatever a stranger's run folder holds, hexpipe opens nothing there but its own plain files, in one place."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hexpipe
from hexpipe import plain_files
from hexpipe.cli.main import run
from hexpipe.errors import RunFolderError
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.plain_files import check_own, open_new, open_own, own_folder, write_output
from hexpipe.processes.messages import write_error
from tests.old_runs import unpack
from tests.refusals import refused

PRECIOUS = b"not hexpipe's\n"
FILES = (
    "lock", ".write-test", "run.json", ".run.json.tmp", ".settings.json.tmp", ".session.json.tmp", "session.json",
    "metrics.jsonl", "hexpipe.log", "stacks.txt", "learners-0-0", "archive.sqlite", "archive.sqlite-wal",
    "archive.sqlite-shm", "archive.sqlite-journal", "ratings.sqlite", "ratings.sqlite-wal", "ratings.sqlite-shm",
    ".archive.sqlite.room",
)  # fmt: skip
FOLDERS = ("checkpoints", "tensorboard", "errors", "tracking", "wandb")
WRITERS = (["run", "--resume"], ["train", "--resume"], ["clean"], ["import", "#5,a1c3b2:rb", "--run-dir"])

# Where files are opened that lie in no run folder: what a person has named, what the system has, temporary folders.
ELSEWHERE = {
    "cli/_game_files.py": "games that a person names",
    "notation/game_sources.py": "games that a person names",
    "htp/engine.py": "loadsgf's file",
    "cli/_streams.py": "/dev/null",
    "compile_kernels.py": "the folder of compiled kernels",
    "kernel_cache.py": "the folder of compiled kernels, /proc",
    "arena/solved_positions.py": "--positions",
    "selfplay/openings.py": "--openings",
    "cluster/ray_bridge.py": "a token in a temporary folder",
    "processes/machine.py": "/sys/fs/cgroup",
    "cpu.py": "/proc/cpuinfo",
    "processes/output.py": "/proc: the streams of this process",
    "processes/main_guard.py": "the script that was started",
    "chaos/run_under_test.py": "/proc, and the output of a run in a temporary folder",
    "cluster/private_folder.py": "a temporary folder just made",
    "shm.py": "/proc, /sys/fs/cgroup",
}
OPENERS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "touch", "mkfifo", "FileHandler", "savefig"}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return unpack("hex-5x5", tmp_path)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder elsewhere with a file, which no command may touch."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "file").write_bytes(PRECIOUS)
    (folder / ".tmp-step-00000001").mkdir()
    return folder


@contextmanager
def replaced(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """``path`` made into something else, and put back."""
    aside = path.with_name("aside")
    if path.exists():
        path.rename(aside)
    make(path)
    yield
    if path.is_symlink() or path.exists():
        path.unlink()
    if aside.exists():
        aside.rename(path)


def state(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.mark.timeout(120)
@pytest.mark.parametrize("words", WRITERS, ids=lambda words: words[0])
def test_links_and_pipes_are_refused_in_one_line(
    words: list[str], old_run: Path, precious: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, makers = state(precious), [os.mkfifo, lambda path: path.symlink_to(precious / "file")]
    for name in (*FILES, *FOLDERS):
        target = precious if name in FOLDERS else precious / "file"
        for make in [makers[0], lambda path, target=target: path.symlink_to(target)]:
            with replaced(old_run / name, make):
                assert run([*words, str(old_run)]) == 2, name
            told = capsys.readouterr().err
            assert len(told.splitlines()) == 1, told
            assert re.search(rf"{re.escape(str(old_run / name))} is a (link|pipe)", told), told
    assert state(precious) == before


@pytest.mark.timeout(120)
def test_readers_neither_follow_nor_wait(old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, metrics = old_run / "archive.sqlite", old_run / "metrics.jsonl"
    for make in (os.mkfifo, lambda path: path.symlink_to(path.with_name("aside"))):
        with replaced(archive, make):
            for words in (["games", str(old_run)], ["games", str(old_run), "--count"]):
                assert run(words) == 2
                assert "archive.sqlite is a" in capsys.readouterr().err
        with replaced(metrics, make):
            assert run(["runs", str(old_run)]) == 0
            assert run(["plot", str(old_run)]) == 2
            assert "metrics.jsonl is a" in capsys.readouterr().err
        with replaced(old_run / "settings.json", make):
            assert run(["games", str(old_run)]) == 2
        with replaced(old_run / "run.png", make):
            assert run(["plot", str(old_run)]) == 2
            assert "run.png is a" in capsys.readouterr().err
    with replaced(old_run / "checkpoints", lambda path: path.symlink_to("aside")), pytest.raises(RunFolderError):
        load_checkpoint(old_run)


def test_a_hard_link_to_another_s_file_is_refused(
    old_run: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (old_run / "metrics.jsonl").unlink()
    (old_run / "metrics.jsonl").hardlink_to(precious / "file")
    assert check_own(old_run / "metrics.jsonl"), "a copy of links of one's own is one's own"
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert run(["train", "--resume", str(old_run)]) == 2
    assert "metrics.jsonl is also a file of another owner" in capsys.readouterr().err
    with refused(RunFolderError, kind="foreign", path=old_run / "metrics.jsonl"):
        open_own(old_run / "metrics.jsonl", "a")
    assert (precious / "file").read_bytes() == PRECIOUS
    assert check_own(old_run / "hexpipe.log"), "one name, whoever owns it"


def test_clean_goes_on_with_the_other_runs(tmp_path: Path, precious: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = unpack("hex-5x5", tmp_path / "runs"), unpack("hex-swap", tmp_path / "runs")
    (good / ".write-test").touch()
    (bad / ".write-test").symlink_to(precious / "file")
    assert run(["clean", str(tmp_path / "runs")]) == 2
    assert not (good / ".write-test").exists()
    assert str(bad) in capsys.readouterr().err
    assert (precious / "file").read_bytes() == PRECIOUS


def test_errors_of_a_process_go_nowhere_else(old_run: Path, precious: Path) -> None:
    (old_run / "errors").symlink_to(precious)
    with refused(RunFolderError, "a link", kind="foreign", path=old_run / "errors"):
        write_error(old_run, "learner-0", ValueError("no"), ready=True)


def test_a_run_s_path_may_go_through_links(old_run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(old_run.parent)
    (tmp_path / "newest").symlink_to(old_run)
    for path in (tmp_path / "link" / old_run.name, tmp_path / "newest"):
        assert run(["games", str(path), "--count"]) == 0
        assert run(["clean", str(path)]) == 0


@pytest.mark.parametrize("words", [["convert", "#3,a1b2"], ["solve", "--size", "3", "--count", "3"]])
def test_what_a_person_names_is_written_whole_and_where_it_is(words: list[str], tmp_path: Path, precious: Path) -> None:
    out = tmp_path / "out"
    option = "--output" if words[0] == "convert" else "--label"
    (tmp_path / "out.part").symlink_to(precious / "file")
    out.write_text("before")
    assert run([*words, option, str(out)]) == 0
    assert out.read_text() != "before"
    assert (precious / "file").read_bytes() == PRECIOUS
    (tmp_path / "link").symlink_to(out)
    out.write_text("before")
    assert run([*words, option, str(tmp_path / "link")]) == 0
    assert (tmp_path / "link").is_symlink()
    assert out.read_text() != "before"
    assert run([*words, option, "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()
    assert run([*words, option, str(tmp_path / "no" / "out")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "link", "out", "out.part"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("before")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="full"):
        write_output(tmp_path / "out", b"after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_openers(tmp_path: Path) -> None:
    with open_own(tmp_path / "a", "a") as file:
        file.write("one\n")
    with open_own(tmp_path / "a", "ab") as file:
        file.write(b"two\n")
    with open_own(tmp_path / "a", "a+") as file:
        file.seek(0)
        assert file.read() == "one\ntwo\n"
    with open_own(tmp_path / "a", "rb") as file:
        assert file.read() == b"one\ntwo\n"
    with open_new(tmp_path / "a") as new:
        new.write(b"three")
    assert (tmp_path / "a").read_text() == "three"
    with pytest.raises(FileNotFoundError):
        open_own(tmp_path / "b", "rb")
    with refused(RunFolderError, kind="foreign", path=tmp_path / "a"):
        own_folder(tmp_path / "a")
    with refused(RunFolderError, kind="foreign", path=tmp_path / "folder"):
        open_new(own_folder(tmp_path / "folder"))
    with refused(RunFolderError, kind="foreign", path=Path("/dev/null")):
        open_own(Path("/dev/null"), "ab")


# Every path that commands open in a run folder, numbers left out.
OPENED = {
    ".settings.json.tmp", ".write-test", "archive.sqlite", "checkpoints/.tmp-step-N/checkpoint.json",
    "checkpoints/.tmp-step-N/ema.safetensors", "checkpoints/.tmp-step-N/model.safetensors",
    "checkpoints/.tmp-step-N/optimizer.safetensors", "checkpoints/step-N/checkpoint.json",
    "checkpoints/step-N/ema.safetensors", "checkpoints/step-N/model.safetensors",
    "checkpoints/step-N/optimizer.safetensors", "hexpipe.log", "lock", "metrics.jsonl", "settings.json",
    "tensorboard/events",
}  # fmt: skip
watched: list[Path] = []
opened: dict[str, set[bool]] = {}


def look(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: notes what is opened under the watched folder, and whether plain_files (or SQLite's file) does."""
    if not watched or event not in ("open", "sqlite3.connect") or not isinstance(arguments[0], (str, bytes)):
        return
    path = Path(os.fsdecode(arguments[0]).removeprefix("file://").partition("?")[0]).absolute()
    if not path.is_relative_to(watched[0]) or path.is_dir():
        return
    frame, files = sys._getframe(1), set()
    while frame is not None:
        files.add(frame.f_code.co_filename)
        frame = frame.f_back  # type: ignore[assignment]
    name = re.sub(r"events\..*", "events", re.sub(r"\d{8}", "N", str(path.relative_to(watched[0]))))
    home = plain_files.__file__ if event == "open" else plain_files.__file__.replace("plain_files", "sqlite_file")
    opened.setdefault(name, set()).add(home in files)


def test_every_path_that_is_opened_in_a_run_folder_goes_through_the_one_opener(old_run: Path) -> None:
    sys.addaudithook(look)
    watched.append(old_run)
    try:
        steps = ["--steps", "63", "--games", "0", "--simulations", "4", "--set", "learner.replay_ratio=50"]
        for words in (
            ["train", "--resume", old_run, *steps], ["import", "#5,a1c3b2:rb", "--run-dir", old_run],
            ["games", old_run], ["runs", old_run], ["clean", old_run],
        ):  # fmt: skip
            assert run([str(word) for word in words]) == 0
    finally:
        watched.clear()
    assert {name for name, ours in opened.items() if ours != {True}} == set()
    assert sorted(opened) == sorted(OPENED)


def test_nothing_else_opens_files() -> None:
    """Calls that open files are in `plain_files`, or in modules that open what lies elsewhere."""
    root, found = Path(hexpipe.__file__).parent, []
    for file in sorted(root.rglob("*.py")):
        name = str(file.relative_to(root))
        if name == "plain_files.py" or name in ELSEWHERE or name.startswith("bench/"):
            continue
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                words = ast.unparse(call.func)
                known = words == "write_text" or words.startswith("RunFolder.")  # functions of hexpipe's own
                if words.rpartition(".")[2] in OPENERS and not known:
                    found.append((name, words))
                if words == "sqlite3.connect" and name != "sqlite_file.py":
                    found.append((name, words))
    assert found == [("watch/plots.py", "figure.savefig")], "that goes into memory; use hexpipe.plain_files"
