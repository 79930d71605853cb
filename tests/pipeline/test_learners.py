"""Several learners in one run train as one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from tests.pipeline.runs import all_gone, tiny_run


@pytest.mark.slow
def test_learners_go_on_together_after_one_was_killed(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    options = ("--learner-devices=cpu,cpu", "--set=learner.checkpoint_minutes=0.03", "--steps=400")
    with tiny_run(run_dir, f"--run-dir={run_dir}", *options) as run:
        run.until(lambda: latest_checkpoint(run_dir) is not None)
        before = run.pids()
        os.kill(before["learner-1"], signal.SIGKILL)
        run.until(lambda: run.pids().get("learner-0") not in (None, before["learner-0"]))
        assert run.pids()["generator-0"] == before["generator-0"]
        code, output = run.wait(240)
    assert code == 0, output
    assert "learner-1 died and was replaced" in output
    assert run.log().count("goes on from") == 2
    newest = latest_checkpoint(run_dir)
    assert newest is not None
    assert load_checkpoint(newest).step >= 400
    assert not list(run_dir.glob("learners-*"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_learners_train_save_and_end_together(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}", "--learner-devices=cpu,cpu", "--steps=20") as run:
        run.until(lambda: "learner-1" in run.pids())
        pids = list(run.pids().values())
        code, output = run.wait()
    assert code == 0, output
    assert "2 learners on cpu" in output
    assert all_gone(pids)
    newest = latest_checkpoint(run_dir)
    assert newest is not None
    assert load_checkpoint(newest).step >= 20
    assert not list(run_dir.glob("learners-*"))
