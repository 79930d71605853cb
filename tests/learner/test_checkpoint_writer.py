"""Checkpoints that are written beside training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hexpipe.errors import RunFolderError
from hexpipe.learner.checkpoint_writer import CheckpointWriter
from hexpipe.learner.learner import Learner
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint
from tests.learner.test_learner import SHAPES, _batch, _settings
from tests.refusals import refused


def test_what_is_written_is_the_moment_it_was_begun(tmp_path: Path) -> None:
    settings = _settings(**{"learner.keep_checkpoints": 2})
    learner = Learner(settings, SHAPES)
    moments = {}
    with CheckpointWriter(tmp_path, settings) as writer:
        for step in range(4):
            learner.step(_batch(step))
            moments[step + 1] = learner.ema_weights()
            writer.begin(learner.snapshot({"pacing": step}))
            learner.step(_batch(99))  # at once, while the thread writes
            learner.steps -= 1
        path = writer.finish()
    assert path is not None
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]
    for folder in list_checkpoints(tmp_path):
        checkpoint = load_checkpoint(folder)
        assert checkpoint.meta["pacing"] == checkpoint.step - 1
        wanted = moments[checkpoint.step]
        assert all(np.array_equal(checkpoint.groups["ema"][name], wanted[name]) for name in wanted)


def test_it_is_told_once(tmp_path: Path) -> None:
    settings = _settings()
    learner = Learner(settings, SHAPES)
    with CheckpointWriter(tmp_path, settings) as writer:
        assert writer.written() is None
        writer.begin(learner.snapshot())
        assert writer.finish() is not None
        assert writer.written() is None
        assert not writer.busy


def test_leaving_waits(tmp_path: Path) -> None:
    settings = _settings()
    with CheckpointWriter(tmp_path, settings) as writer:
        writer.begin(Learner(settings, SHAPES).snapshot())
    assert len(list_checkpoints(tmp_path)) == 1


def test_a_full_or_closed_folder_is_told(tmp_path: Path) -> None:
    settings = _settings()
    (tmp_path / "checkpoints").write_text("in the way")
    with CheckpointWriter(tmp_path, settings) as writer:
        writer.begin(Learner(settings, SHAPES).snapshot())
        with refused(RunFolderError, kind="foreign", path=tmp_path / "checkpoints"):
            writer.finish()
