"""Standard input and output as they may be: closed, full, narrow, in pipes, in encodings without the characters; names
that are no UTF-8; scripts without a main guard."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from hexpipe.bulk.game_import import record_of
from hexpipe.cli._tables import print_table
from hexpipe.config import load_settings
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, RunFolder
from hexpipe.watch.view import LiveView, PlainView, make_view

ROOT = Path(__file__).parents[2]
MAIN = f"{sys.executable} -P -m hexpipe.cli.main"


def shell(line: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """``line`` by bash, where $main is hexpipe."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "COLUMNS")}
    environment = {**clean, "PYTHONPATH": str(ROOT), "main": MAIN, **changes}
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, timeout=280, check=False)


def one_line(done: subprocess.CompletedProcess[bytes], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("hexpipe: ")
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a game whose folder's name is no UTF-8."""
    path = tmp_path_factory.mktemp("odd") / os.fsdecode(b"caf\xe9")
    settings = load_settings("quick", {"game.board_size": 3})
    with RunFolder.open(path, resume=False) as folder:
        folder.write_settings(settings)
    game = Hex(3)
    with ReplayArchive(path / ARCHIVE_NAME, game) as archive:
        archive.append([record_of(game, [0, 1, 3, 4, 6], 0)])
    return path


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["settings", "--help", "convert '#5,a1' --to moves"])
def test_a_full_disk_behind_standard_output_is_one_line(words: str, unbuffered: str) -> None:
    done = shell(f"$main {words} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    one_line(done, 1, "standard output cannot be written", "No space left on device")


@pytest.mark.parametrize("words", ["settings", "convert '#5,a1'", "htp --random 1", "gtp --random 1"])
def test_a_closed_standard_output_is_one_line(words: str) -> None:
    one_line(shell(f"$main {words} >&-"), 2, "standard output is closed")


def test_a_closed_standard_input_is_one_line(tmp_path: Path) -> None:
    for words in ("convert", f"import --run-dir {tmp_path / 'run'}", "htp --random 1"):
        one_line(shell(f"$main {words} <&-"), 2, "standard input is closed")
    assert not (tmp_path / "run").exists()


def test_no_file_of_a_command_becomes_its_standard_output(tmp_path: Path) -> None:
    """A file that is opened while descriptor 1 is free takes that number, and is then written to by whoever prints."""
    out = tmp_path / "games.txt"
    done = shell(f"$main convert '#5,a1' --to moves --output {out} <&- 2>&- ")
    assert (done.returncode, out.read_text()) == (0, "a1\n")
    code = "from hexpipe.cli._streams import prepare_streams; prepare_streams(); print(open('/dev/null').fileno() > 2)"
    for closed in ("<&-", "2>&-", "<&- 2>&-"):
        assert shell(f'{sys.executable} -P -c "{code}" {closed}').stdout == b"True\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = shell("$main settings | head -1; exit ${PIPESTATUS[0]}")
    assert b"Traceback" not in done.stderr
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8:strict", "gbk"])
def test_every_encoding_of_a_terminal_shows_tables_and_names(odd_run: Path, encoding: str) -> None:
    quoted = "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(odd_run)) + "'"
    for words in (f"games {quoted}", f"games {quoted} --to sgf", f"runs {quoted}/.."):
        done = shell(f"$main {words}", PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
        if "--to" not in words:
            assert os.fsencode(odd_run.name) in done.stdout, "the bytes that the name is"


def test_a_run_whose_name_is_no_utf8_is_trained(odd_run: Path) -> None:
    quoted = "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(odd_run)) + "'"
    done = shell(f"$main train --resume {quoted} --workers 0 --steps 1", PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    assert list(odd_run.glob("checkpoints/step-*"))


def test_a_pipe_gets_tables_as_wide_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(wide_table())
    lines = capsys.readouterr().out.splitlines()
    assert "…" not in "".join(lines)
    (row,) = (line for line in lines if "word-0" in line)
    for number in range(30):
        assert f"word-{number} and more of it" in row
    assert "[red]plain[/red]" in row, "a name is no markup"


def wide_table() -> Table:
    table = Table(*(f"column {number}" for number in range(31)), title="a title")
    table.add_row(*(f"word-{number} and more of it" for number in range(30)), "[red]plain[/red]")
    return table


@pytest.mark.parametrize("columns", [80, 40])
def test_a_narrow_terminal_loses_nothing_of_a_table(columns: int, odd_run: Path) -> None:
    code = "from tests.cli.test_streams import print_table, wide_table; print_table(wide_table())"
    text = on_terminal([sys.executable, "-c", code], COLUMNS=str(columns))
    assert "…" not in text
    for number in range(30):
        assert f"word-{number}" in text
    shown = on_terminal([*MAIN.split(), "games", str(odd_run)], COLUMNS=str(columns))
    for name in ("committed", "weights", "settings", "session"):
        assert name in shown
    assert re.search(r"\b[0-9a-f]{12}\b|-", shown)


def test_a_dumb_terminal_shows_lines_as_a_pipe_does(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    try:
        with open(slave, "w", closefd=False) as terminal:
            monkeypatch.setenv("TERM", "dumb")
            assert isinstance(make_view(terminal), PlainView)
            monkeypatch.setenv("TERM", "xterm")
            view = make_view(terminal)
            assert isinstance(view, LiveView)
            view.close()
    finally:
        os.close(slave)
        os.close(master)


def test_a_dumb_terminal_gets_no_control_characters() -> None:
    assert "\x1b" not in on_terminal([*MAIN.split(), "settings"], TERM="dumb", COLUMNS="80")


def on_terminal(command: list[str], **changes: str) -> str:
    """What ``command`` writes to a terminal."""
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **changes}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=ROOT)
    os.close(slave)
    parts = []
    try:
        while part := os.read(master, 65536):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait(timeout=60) == 0, b"".join(parts)
    return b"".join(parts).decode(errors="replace")


@pytest.mark.parametrize("words", [["run", "--minutes", "1"], ["selfplay", "--model-path", "nowhere"]])
def test_a_script_without_a_main_guard_is_one_line(tmp_path: Path, words: list[str]) -> None:
    script = tmp_path / "mine.py"
    folder = ["--run-dir", str(tmp_path / "run")] if words[0] == "run" else []
    script.write_text(f"from hexpipe.cli.main import main\nmain({[*words, *folder]!r})\n")
    one_line(shell(f"{sys.executable} -P {script}"), 2, 'if __name__ == "__main__":')
    assert not (tmp_path / "run").exists()


def test_a_guard_that_does_not_cover_the_run_is_named(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    run = ["run", "--size", "3", "--minutes", "1", "--run-dir", str(tmp_path / "run")]
    script.write_text(f"from hexpipe.cli.main import main\nname = __name__\nmain({run!r})\n")
    done = shell(f"{sys.executable} -P {script}")
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert 'if __name__ == "__main__":' in done.stderr.decode().splitlines()[-1]
