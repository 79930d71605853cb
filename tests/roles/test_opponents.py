"""Whom the league plays: checkpoints of the run as they come and go."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from hexpipe.config import Shapes, load_settings
from hexpipe.inference.weights import WeightsBoard
from hexpipe.nets.checkpoints import checkpoint_meta, list_checkpoints, save_checkpoint
from hexpipe.roles import opponents
from hexpipe.roles.opponents import FIRST, Opponents, draw_checkpoint

SETTINGS = load_settings("quick", {"net.blocks": 1, "net.channels": 8})
SHAPES = Shapes(board_size=5, num_actions=25, num_seats=2, code_length=25)


def save(run: Path, step: int) -> Path:
    groups = {"model": {"x": np.zeros(2, np.float32)}, "ema": {"x": np.full(2, step, np.float32)}}
    return save_checkpoint(run, groups, checkpoint_meta(SETTINGS, SHAPES, step))


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(opponents.time, "monotonic", lambda: self.now)


def test_every_checkpoint_is_drawn_alike_and_those_that_cannot_be_read_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    assert draw_checkpoint(tmp_path, rng) is None
    for step in (10, 20, 30):
        save(tmp_path, step)
    steps = []
    for _ in range(150):
        drawn = draw_checkpoint(tmp_path, rng)
        assert drawn is not None
        assert drawn[0] == f"step-{int(drawn[1]['x'][0]):08d}"
        steps.append(int(drawn[1]["x"][0]))
    assert np.bincount(steps)[[10, 20, 30]].min() > 30
    assert {draw_checkpoint(tmp_path, rng, known) is None for known in ["step-00000020"] * 40} == {True, False}

    first, second, _ = list_checkpoints(tmp_path)
    (first / "ema.safetensors").write_bytes(b"broken")
    (second / "checkpoint.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert {(draw_checkpoint(tmp_path, rng) or ("none",))[0] for _ in range(30)} == {"step-00000030"}
    assert "step-00000010" in caplog.text
    for folder in list_checkpoints(tmp_path):
        shutil.rmtree(folder / "ema.safetensors", ignore_errors=True)
        (folder / "checkpoint.json").unlink(missing_ok=True)
    assert draw_checkpoint(tmp_path, rng) is None


def test_the_first_weights_play_until_there_is_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, names = Clock(monkeypatch), []
    board = WeightsBoard.create([("x", (2,))], private=True)
    source = Opponents(tmp_path, board, 2.0, np.random.default_rng(0), names.append)
    assert (source.read_if_newer(0), source.latest_version) == (None, 0)
    board.publish(1, {"x": np.full(2, 5, np.float32)})
    found = source.read_if_newer(0)
    assert found is not None
    assert (found[0], found[1]["x"].tolist(), source.latest_version) == (1, [5, 5], 1)
    board.publish(2, {"x": np.full(2, 6, np.float32)})
    save(tmp_path, 10)
    assert source.read_if_newer(1) is None, "two minutes are not over"
    clock.now += 121
    found = source.read_if_newer(1)
    assert found is not None
    assert (found[0], found[1]["x"].tolist()) == (2, [10, 10])
    clock.now += 121
    assert source.read_if_newer(2) is None, "the same again is no news"
    save(tmp_path, 20)
    assert source.read_if_newer(2) is None, "and is asked for only when the next two minutes are over"
    while (found := source.read_if_newer(2)) is None:
        clock.now += 121
    assert (found[0], found[1]["x"].tolist()) == (3, [20, 20])
    assert names == [FIRST, "step-00000010", "step-00000020"]
    board.close()


def test_a_resumed_run_has_an_opponent_at_once(tmp_path: Path) -> None:
    save(tmp_path, 10)
    board = WeightsBoard.create([("x", (2,))], private=True)
    found = Opponents(tmp_path, board, 5.0, np.random.default_rng(0), lambda name: None).read_if_newer(0)
    assert found is not None
    assert found[1]["x"].tolist() == [10, 10]
    board.close()


def test_a_replaced_server_numbers_its_opponents_on(tmp_path: Path) -> None:
    """Clients keep the answers of the newest opponent they have met, so a new server's must be newer than any."""
    save(tmp_path, 10)
    board = WeightsBoard.create([("x", (2,))], private=True)
    numbers = []
    for died in range(3):
        source = Opponents(tmp_path, board, 1e-9, np.random.default_rng(0), lambda name: None, died)
        found = source.read_if_newer(0)
        assert found is not None
        numbers.append(found[0])
        save(tmp_path, 20 + died)
        while (again := source.read_if_newer(found[0])) is None:
            pass
        numbers.append(again[0])
    assert numbers == sorted(set(numbers))
    board.close()
