"""hexpipe/games/README.md, followed in an empty folder: its code is the tests' game, its commands and script work."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hexpipe.games import conformance
from hexpipe.games.game_env import Game
from hexpipe.nets.checkpoints import load_checkpoint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "hexpipe/games/README.md").read_text(encoding="utf-8")
PARTS = dict(zip(*(iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:]),) * 2, strict=True))
# what makes the page's commands short; as they stand they learn the game
SHORT = (
    "--minutes=0", "--simulations=8", "--devices=0", "--set=net.blocks=1", "--set=net.channels=8",
    "--set=net.value_hidden=8", "--set=replay.max_memory_gb=0.1", "--set=replay.max_games=500",
    "--set=replay.min_games=4", "--set=learner.batch_size=16",
)  # fmt: skip


def code(part: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PARTS[part], re.MULTILINE | re.DOTALL)


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mygames").mkdir()
    (tmp_path / "mygames" / "four.py").write_text("\n".join(code("The game", "python")))
    return tmp_path


def python(folder: Path, *arguments: str) -> str:
    """Python as bin/hexpipe starts it, in the reader's folder; what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_quotes_the_whole_game() -> None:
    quoted = [line for block in code("The game", "python") for line in lines_of(block)]
    assert quoted == lines_of((ROOT / "tests/games/four.py").read_text(encoding="utf-8"))


def test_the_page_names_every_part_of_the_protocol_and_every_conformance_test() -> None:
    words = set(re.findall(r"`(\w+)`", PAGE))
    assert {name for name in vars(Game) if not name.startswith("_")} - words == set()
    assert {check.__name__ for check in conformance.CHECKS} - words == set()
    tests = (ROOT / "tests/games/test_conformance.py").read_text(encoding="utf-8")
    named = {word for word in words if word[:5] == "test_"}
    assert set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE)) - named == {"test_it_keeps_to_the_house"}


def test_a_game_has_the_options_that_the_page_gives_it(folder: Path) -> None:
    (head,) = code("Options", "python")
    path = folder / "mygames" / "four.py"
    old = path.read_text()
    start, end = old.index("class Four("), old.index("    def step(")
    path.write_text(f"{old[:start]}{head}\n{old[end:]}")
    named = ["--game", "mygames.four:Four", "--size", "3x4", "--set", "game.row=3"]
    out = python(folder, "-m", "hexpipe.cli.main", "settings", "--game", "mygames.four:Four", "--json", "game.")
    listed = json.loads(out)
    assert list(listed) == ["game.name", "game.board_size", "game.board_width", "game.row"]
    assert listed["game.row"] == {"value": 4, "description": "stones in a row that win"}
    python(folder, "-m", "hexpipe.cli.main", "train", *named, *SHORT, "--steps=2", "--run-dir", "rows")
    assert json.loads((folder / "rows/settings.json").read_text())["game"]["row"] == 3
    checked = "from mygames.four import *; from hexpipe.games import conformance; conformance.check("
    python(folder, "-c", f"{checked}Four(FourOptions(name='mygames.four:Four', board_size=3, board_width=4, row=3)))")


def test_the_conformance_checks_can_be_called(folder: Path) -> None:
    (script,) = code("Does it keep to the rules of the house?", "python")
    (folder / "holds.py").write_text(script)
    python(folder, "holds.py")


def test_the_conformance_tests_take_the_readers_game(folder: Path) -> None:
    *_, line = lines_of(code("Does it keep to the rules of the house?", "sh")[0])
    command, tests, *options = shlex.split(line)
    assert command == "bin/test"
    out = python(folder, "-m", "pytest", "-q", "--rootdir", str(ROOT), str(ROOT / tests), *options, "-k=shapes_agree")
    assert "1 passed" in out


def hexpipe(folder: Path, line: str, *more: str) -> str:
    """A command of the page, and what makes it short."""
    command, *arguments = shlex.split(line)
    assert command == "hexpipe"
    return python(folder, "-m", "hexpipe.cli.main", *arguments, *more)


def test_the_commands_of_one_process_and_the_script(folder: Path) -> None:
    first, resumed, *_ = lines_of(code("Training", "sh")[0])
    out = hexpipe(folder, first, *SHORT, "--steps=3")
    assert "3 steps" in out
    assert resumed.partition(" --minutes")[0] in out
    assert "5 steps" in hexpipe(folder, resumed, "--minutes=0", "--steps=5")
    bulk = "hexpipe selfplay --game mygames.four:Four --num-games 3 --num-workers 1 --simulations 4 --output-dir bulk"
    hexpipe(folder, bulk, "--model-path", re.findall(r"--run-dir (\S+)", first)[0])
    assert len((folder / "bulk/games.jsonl").read_text().splitlines()) == 3
    (script,) = code("Training", "python")
    (folder / "play.py").write_text(script)
    out = python(folder, "play.py")
    assert re.match(r"as first player [+-]\d\.\d\d, as second [+-]\d\.\d\d\n   a b c d e\n", out)


@pytest.mark.parametrize(("which", "algorithm"), [(2, "alphazero"), (3, "muzero")])
def test_the_commands_of_many_processes(folder: Path, which: int, algorithm: str) -> None:
    lines = lines_of(code("Training", "sh")[0])
    assert len(lines) == 4
    out = hexpipe(folder, lines[which], *SHORT, "--games=20")
    run_dir = folder / lines[which].partition("--run-dir ")[2].split()[0]
    assert "preset quick: mygames.four:Four 4x5" in out
    assert "the limit of 20 games is reached" in out
    assert "--game mygames.four:Four" in out.splitlines()[-1]
    checkpoint = load_checkpoint(run_dir)
    assert (checkpoint.settings.game.name, checkpoint.settings.algorithm) == ("mygames.four:Four", algorithm)
