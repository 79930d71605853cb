"""The real command over pipes: sessions as HexGui holds them, and whole games between two engines under a referee."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hexpipe.cli.main import run
from tests.arena.checkpoints import small_checkpoint
from tests.htp.controller import ROOT, Controller, split_replies

HEXPIPE = f"{shlex.quote(sys.executable)} -P -m hexpipe.cli.main"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return small_checkpoint(folder, game__swap=True, inference__backend="eager", search__num_simulations=20)


def test_a_session_of_hexgui(run_dir: Path, tmp_path: Path) -> None:
    """Connected, a new game, a stone, an answer, the overlays, back, another size, disconnected."""
    with Controller(str(run_dir), "--no-swap") as gui:
        assert gui.send("name") == "hexpipe"
        gui.send("version")
        analyze = [line.split("/") for line in gui.send("hexgui-analyze_commands").splitlines()]
        gui.send("boardsize 4 4")
        gui.send("clear_board")
        gui.send("showboard")
        gui.send("play black b2")
        move = gui.send("genmove white")
        cells = set(gui.send("all_legal_moves").split())
        assert len(cells) == 14
        assert {move, "b2"} & cells == set()
        for kind, _, command in analyze:
            if "%m" in command:
                words = gui.send(command.replace("%m", "b")).split()
                assert words[0] in cells | {"INFLUENCE", "black"}, (kind, command)
        gui.send("undo")
        gui.send("undo")
        gui.send("boardsize 6 6")
        assert gui.send("genmove black")[0] in "abcdef"
        assert gui.ask("boardsize 6 7") == (False, "unacceptable size: only square boards are played here")
        game = tmp_path / "a game.sgf"
        game.write_text("(;FF[4]GM[11]SZ[4];B[a1];W[b2])")
        gui.send(f'loadsgf "{game}"')
        assert gui.send("genmove black") not in ("a1", "b2")
        gui.send("quit")
        assert gui.process.wait(timeout=200) == 0


def test_stop_and_a_controller_that_goes_away(run_dir: Path) -> None:
    """A search of ten minutes ends at once with a move, or with the process."""
    with Controller(str(run_dir), "--seconds", "600", "--size", "9") as gui:
        assert gui.process.stdin is not None
        assert gui.process.stdout is not None
        gui.send("name")  # the net is loaded
        began = time.monotonic()
        gui.process.stdin.write(b"genmove b\n")
        gui.process.stdin.flush()
        time.sleep(1)
        gui.process.stdin.write(b"# interrupt\n")
        gui.process.stdin.flush()
        reply = gui.process.stdout.readline() + gui.process.stdout.readline()
        move = split_replies(reply)[0].removeprefix("= ")
        assert move not in gui.send("all_legal_moves").split()
        gui.process.stdin.write(b"genmove w\ngenmove b\n")
        gui.process.stdin.flush()
        time.sleep(1)
        gui.process.stdin.close()
        gui.process.stdout.close()
        assert gui.process.wait(timeout=300) == 0
        assert time.monotonic() - began < 500
        assert gui.process.stderr is not None
        assert gui.process.stderr.read() == b""
        gui.process.stdin = gui.process.stdout = None


def test_benzenes_tools_add_options(tmp_path: Path) -> None:
    """twogtp.py appends --seed and --logfile-name, run-prog-vs-prog.sh --config; other seeds play other games."""
    games = []
    for seed in ("1", "2", "1"):
        extra = ["--config", str(tmp_path / "c"), "--seed", seed, "--logfile-name", str(tmp_path / "log")]
        with Controller("--random", "1", *extra) as engine:
            games.append([engine.send(f"genmove {colour}") for colour in "bwbwbw"])
    assert games[0] == games[2] != games[1]


def test_bytes_that_are_no_commands(run_dir: Path) -> None:
    rubbish = bytes(range(256)).replace(b"\n", b"").replace(b"#", b"")
    done = subprocess.run(
        [*shlex.split(HEXPIPE), "htp", "--random", "1"],
        input=rubbish + b"\n" + rubbish * 900 + b"\nboardsize 5\n\xff\xfe\n12 quit\n",
        env=ENVIRONMENT,
        capture_output=True,
        timeout=280,
        check=True,
    )
    replies = split_replies(done.stdout)
    assert [reply[:2] for reply in replies] == ["? ", "? ", "= ", "? ", "=1"]
    assert done.stderr == b""


@pytest.mark.parametrize("clock", [[], ["--time", "20"]], ids=["simulations", "time"])
def test_two_engines_play_to_the_end(run_dir: Path, clock: list[str]) -> None:
    """A referee of its own rules finds nothing wrong, swaps included."""
    engines = [
        f"{HEXPIPE} htp {shlex.quote(str(run_dir))} --size 4 --simulations 12",
        f"{HEXPIPE} htp --random 3 --swap" if clock else f"{HEXPIPE} htp {shlex.quote(str(run_dir))} --size 4",
    ]
    done = subprocess.run(
        [sys.executable, ROOT / "tests/htp/referee.py", "--size", "4", "--games", "4", *clock, *engines],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert sum(int(word) for word in lines[-1].split(": ")[1].split(" to ")) == 4


def test_the_referee_sees_what_is_wrong(tmp_path: Path) -> None:
    """An engine that plays one cell for ever is found out."""
    cheat = tmp_path / "cheat.py"
    cheat.write_text(
        "import sys\n"
        "for line in sys.stdin:\n"
        "    number, name = line.split()[:2]\n"
        '    print(f\'={number} {"a1" if name == "genmove" else ""}\\n\', flush=True)\n'
    )
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(cheat))}"
    done = subprocess.run(
        [sys.executable, ROOT / "tests/htp/referee.py", "--size", "4", command, command],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 1
    assert "'a1' is no legal move" in done.stderr


def test_bad_input_is_one_line_and_exit_code_2(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inarow = small_checkpoint(tmp_path / "inarow", game__name="inarow")
    for arguments, words in (
        ([str(run_dir), "--random", "1"], "not both"),
        ([str(tmp_path)], "no checkpoint in"),
        ([str(inarow)], "HTP is for Hex"),
        ([str(run_dir), "--size", "99"], "27"),
        (["--random", "1", "--size", "99"], "27"),
        ([str(run_dir), "--seconds", "0"], "--seconds"),
        ([str(run_dir), "--simulations", "1"], "--simulations"),
        ([str(run_dir), "--resign-below", "2"], "--resign-below"),
        ([str(run_dir), "--device", "cuda:9"], "cuda:9"),
    ):
        assert run(["htp", *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert words in lines[0]
