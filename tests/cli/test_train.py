from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hexpipe.cli.main import run
from hexpipe.cli.train import describe_progress
from hexpipe.config import load_settings
from hexpipe.errors import CheckpointError
from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from hexpipe.pipeline.preparation import check_net
from hexpipe.pipeline.train import TrainProgress

TINY = ["--size", "3", "--simulations", "8", "--devices", "0"]
for _assignment in (
    "net.blocks=1",
    "net.channels=8",
    "net.value_hidden=8",
    "selfplay.games_per_worker=4",
    "replay.min_games=4",
    "learner.batch_size=16",
):
    TINY += ["--set", _assignment]


def test_train_then_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *TINY, "--steps", "5", "--run-dir", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "5 steps" in out
    assert f"hexpipe train --resume {tmp_path / 'run'}" in out
    assert run(["train", "--resume", str(tmp_path / "run"), "--steps", "8"]) == 0
    assert load_checkpoint(tmp_path / "run").step == 8


def test_a_transformer_trains_and_is_no_residual_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformer = [*TINY, "--backbone", "transformer", "--set", "net.channels=16"]
    assert run(["train", *transformer, "--steps", "2", "--run-dir", str(tmp_path / "run")]) == 0
    assert load_checkpoint(tmp_path / "run").settings.net.backbone == "transformer"
    capsys.readouterr()
    start = ["train", *TINY, "--steps", "2", "--init-from", str(tmp_path / "run")]
    assert run([*start, "--backbone", "resnet", "--run-dir", str(tmp_path / "other")]) != 0
    assert "do not fit a resnet of 1 blocks" in capsys.readouterr().err
    with pytest.raises(CheckpointError) as caught:  # what `hexpipe run` says before it starts a child
        check_net(load_settings("quick", {"net.channels": 8}), load_checkpoint(tmp_path / "run"))
    theirs = "is of a transformer with 1 blocks of 16 channels, 2 heads"
    assert f"{theirs}, these settings want a resnet with 4" in str(caught.value)
    assert "net.backbone and net.blocks and net.channels" in str(caught.value)


def test_a_memory_is_saved_resumed_scored_and_taken_to_a_larger_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    assert run(["train", *TINY, "--engram", "--steps", "5", "--run-dir", str(run_dir)]) == 0
    saved = load_checkpoint(run_dir)
    assert saved.settings.net.engram == 4096
    assert saved.play_weights["engram.cursor"].tolist() == [5 * 16]
    assert (saved.groups["model"]["engram.values"] == saved.play_weights["engram.values"]).all()
    assert run(["train", "--resume", str(run_dir), "--steps", "8"]) == 0
    assert load_checkpoint(run_dir).play_weights["engram.cursor"].tolist() == [8 * 16]
    other = tmp_path / "other"
    larger = ["train", *TINY, "--size", "4", "--steps", "1", "--init-from", str(run_dir)]
    assert run([*larger, "--run-dir", str(other)]) == 0
    taken = load_checkpoint(other).play_weights
    assert taken["engram.cursor"].tolist() == [9 * 16]
    assert (taken["engram.keys"][:128] == load_checkpoint(run_dir).play_weights["engram.keys"][:128]).all()
    capsys.readouterr()
    positions = tmp_path / "positions.jsonl"
    positions.write_text('{"n": 3, "moves": [], "to_move": "black", "value": 1, "winning_moves": ["b2"]}\n')
    assert run(["score", str(run_dir), "--positions", str(positions), "--simulations", "8", "--json"]) == 0
    assert '"positions": 1' in capsys.readouterr().out
    assert run(["train", "--resume", str(run_dir), "--set", "net.engram=0"]) == 2
    assert "its weights would not fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "2"], "game.board_size"),
        (["--resume", "/nowhere"], "no run in /nowhere"),
        (["--resume", "/nowhere", "--preset", "quick"], "--preset cannot be given"),
        (["--init-from", "/nowhere"], "no checkpoint in /nowhere"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    where = [] if "--resume" in arguments else ["--run-dir", str(tmp_path / "run")]
    assert run(["train", *arguments, *where]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "run").exists()


def test_the_rules_cannot_change_on_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *TINY, "--games", "2", "--run-dir", str(tmp_path / "run")]) == 0
    assert run(["train", "--resume", str(tmp_path / "run"), "--size", "4"]) == 2
    assert "game.board_size" in capsys.readouterr().err


def test_ctrl_c_ends_with_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-m", "hexpipe.cli.main", "train", *TINY, "--minutes", "5", "--run-dir", str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    )
    deadline = time.monotonic() + 200
    while not (path / "archive.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=250)
    assert child.returncode == 0, out
    assert "go on with: hexpipe train --resume" in out
    assert latest_checkpoint(path) is not None


def test_progress_in_words() -> None:
    losses = {"policy_loss": 1.0, "policy_kl": 0.25, "value_loss": 0.5, "value_sign_accuracy": 0.9}
    progress = TrainProgress(elapsed=30.0, games=10, positions=100, steps=4, losses=losses)
    line = describe_progress(progress)
    assert "10 games, 100 positions, 4 steps, policy loss 1.000 (KL 0.250)" in line
    assert "value sign 90%" in line
