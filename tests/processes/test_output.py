"""Output that may go away: scripts whose streams are closed, full, hung up or never read."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from hexpipe.processes.output import may_go_away

SCRIPT = """
import logging, sys
logging.basicConfig(filename=sys.argv[1], format="%(message)s")
from hexpipe.processes.output import may_go_away
with may_go_away("stdout", "stderr"):
    for number in range(int(sys.argv[2])):
        print("line", number, "x" * 60)
        print("error", number, file=sys.stderr)
logging.warning("done")
"""


def start(log: Path, lines: int, **streams: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(log), str(lines)], stdin=subprocess.DEVNULL, **streams)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_told_once_and_ends_nothing(
    tmp_path: Path, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    reader, writer = os.pipe()
    process = start(tmp_path / "log", 3000, stdout=writer, stderr=writer)
    os.close(writer)
    assert os.read(reader, 4) in (b"line", b"erro")
    os.close(reader)
    assert process.wait() == 0
    told = (tmp_path / "log").read_text().splitlines()
    assert told[-1] == "done"
    assert sorted(told[:-1]) == [
        f"the standard {name} cannot be written to (Broken pipe): what cannot be shown is dropped"
        for name in ("error output", "output")
    ]


def test_a_full_disk_is_told_and_ends_nothing(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(tmp_path / "log", 10, stdout=full.fileno(), stderr=subprocess.PIPE)
        assert process.communicate()[1].decode().splitlines() == [f"error {number}" for number in range(10)]
    assert process.returncode == 0
    assert "No space left on device" in (tmp_path / "log").read_text()


def test_streams_that_are_closed_from_the_start(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "log"), "3"]
    assert subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *words], check=False).returncode == 0
    assert (tmp_path / "log").read_text().count("it is closed") == 2


def test_a_terminal_that_hangs_up(tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    process = start(tmp_path / "log", 20_000, stdout=terminal, stderr=terminal)
    os.close(terminal)
    assert os.read(screen, 4) == b"line"
    os.close(screen)
    assert process.wait() == 0
    assert "the standard output cannot be written to (Input/output error)" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_reader_that_does_not_read_holds_nothing_up(tmp_path: Path, kind: str) -> None:
    reader, writer = os.pipe() if kind == "pipe" else pty.openpty()
    process = start(tmp_path / "log", 20_000, stdout=writer, stderr=subprocess.DEVNULL)
    assert process.wait() == 0
    assert "the standard output cannot be written to (nobody reads it)" in (tmp_path / "log").read_text()
    assert os.read(reader, 6) == b"line 0", "what there was room for is there"
    os.close(reader)
    os.close(writer)


def test_what_can_be_shown_is_shown_whole(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        assert start(tmp_path / "log", 20_000, stdout=out.fileno(), stderr=subprocess.DEVNULL).wait() == 0
    assert (tmp_path / "out").read_text() == "".join(f"line {number} {'x' * 60}\n" for number in range(20_000))
    piped = start(tmp_path / "log", 20_000, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).communicate()[0]
    assert piped == (tmp_path / "out").read_bytes()
    assert (tmp_path / "log").read_text() == "done\ndone\n"


def test_streams_of_a_test_or_a_notebook_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with may_go_away("stdout", "stderr"):
        assert sys.stdout is before
        sys.stdout.write("seen\n")
    assert capsys.readouterr().out == "seen\n"
