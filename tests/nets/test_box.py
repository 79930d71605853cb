"""The net in the box: read like a stranger's, in the wheel, and what plays where nobody names a net."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hexpipe.arena.engine import Engine
from hexpipe.cli import match
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.nets.box import BOX, net_in_words
from hexpipe.nets.checkpoints import load_checkpoint
from tests.htp.controller import Controller

ROOT = Path(__file__).parents[2]
MOST_BYTES = 8_000_000


def test_the_box_is_a_checkpoint_and_says_how_it_was_made() -> None:
    checkpoint = load_checkpoint(BOX)
    checkpoint.check_fit()
    assert list(checkpoint.groups) == ["ema"]
    assert sum(file.stat().st_size for file in BOX.iterdir()) <= MOST_BYTES
    made = checkpoint.meta["made"]
    assert all(command.startswith("hexpipe run") for command in made["commands"])
    assert made["processor_hours"] > 0
    assert made["seeds"]
    assert made["figures"]
    assert "the net in the box" in net_in_words(checkpoint)


@pytest.mark.parametrize("size", [3, 5, 7, 9, 11, 13])
def test_it_plays_on_every_board(size: int) -> None:
    engine = Engine(BOX, board_size=size)
    assert 0 <= engine.choose([[]], 16)[0] < size * size


def test_the_net_alone_sees_a_win_in_one() -> None:
    model = SimpleModelInference()
    size = model.shapes.board_size
    cells = np.zeros((size, size), np.int8)
    cells[: size - 1, 2] = 1  # black lacks the last cell of column c: white has its neighbour
    cells[: size - 2, size - 1] = 2
    cells[size - 1, 1] = 2
    policy, value = model.simple_infer(cells)
    assert divmod(int(np.argmax(policy)), size) == (size - 1, 2)
    assert value > 1


def test_it_is_the_player_called_box(tmp_path: Path) -> None:
    arguments = ["box", "random", "--size", "5", "--pairs", "5", "--simulations", "16", "--error", "0", "--json"]
    found = CliRunner().invoke(match.command, arguments, catch_exceptions=False)
    assert json.loads(found.stdout)["crosstable"][0][1] == [10, 10]
    assert "box is the net in the box" in found.stderr


def test_commands_without_a_path_say_that_it_plays(tmp_path: Path) -> None:
    with Controller() as gui:
        assert gui.send("genmove black")[0].isalpha()
        gui.send("quit")
        assert gui.process.stderr is not None
        assert gui.process.stderr.readline().startswith(b"the net in the box: ")
    command = [sys.executable, "-P", "-m", "hexpipe.cli.main"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = subprocess.run(
        [*command, "analyze", "--simulations", "8"],
        input='{"id": "a", "moves": [], "size": 5}\n',
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert json.loads(asked.stdout)["id"] == "a"
    assert asked.stderr.startswith("the net in the box: ")
    with subprocess.Popen(
        [*command, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        server.terminate()
    assert "http://" in line
    assert "the net in the box: " in line
