"""Several learners in one run train as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from hexpipe.pipeline.devices import plan_processes
from tests.pipeline.runs import all_gone, tiny_run


def test_learners_take_the_last_gpus() -> None:
    settings = load_settings("large", {"learner.processes": 2, "inference.servers": 2})
    plan = plan_processes(settings, cores=32, gpus=4)
    assert plan.server_devices == ("cuda:0", "cuda:1")
    assert plan.learner_devices == ("cuda:3", "cuda:2")


def test_shares_of_a_batch_must_be_equal() -> None:
    with pytest.raises(SettingsError, match=r"multiple of learner\.processes"):
        load_settings("quick", {"learner.batch_size": 255, "learner.processes": 2})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_learners_train_save_and_end_together(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}", "--set=learner.processes=2", "--steps=20") as run:
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
