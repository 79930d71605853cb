"""Several learners in one run train as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from tests.pipeline.runs import all_gone, tiny_run


@pytest.mark.slow
def test_two_learners_train_save_and_end_together(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}", "--learner-devices=cpu,cpu", "--steps=20") as run:
        run.until(lambda: "learner-1" in run.pids())
        pids = list(run.pids().values())
        code, output = run.wait(180)
    assert code == 0, output
    assert "2 learners on cpu" in output
    assert all_gone(pids)
    newest = latest_checkpoint(run_dir)
    assert newest is not None
    assert load_checkpoint(newest).step >= 20
    assert not list(run_dir.glob("learners-*"))
