"""Exported nets answer as torch does, for every kind of net and any batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hexpipe.arena.engine import checkpoint_evaluator
from hexpipe.cli.export import command
from hexpipe.errors import UsageError
from hexpipe.games.factory import make_game
from hexpipe.inference.latents import PoolShape
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.choose_backend import random_codes
from hexpipe.nets.export import export_onnx
from tests.arena.checkpoints import small_checkpoint
from tests.refusals import refused

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own


@pytest.mark.parametrize("overrides", [{"game__swap": True}, {"algorithm": "muzero"}])
def test_any_batch_has_the_net_s_answers(tmp_path: Path, overrides: dict[str, Any]) -> None:
    run = small_checkpoint(tmp_path / "run", **overrides)
    result = CliRunner().invoke(command, [str(run), str(tmp_path / "net.onnx"), "--json"], catch_exceptions=False)
    facts = json.loads(result.output.splitlines()[-1])
    assert facts["largest_difference"] < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    checkpoint = load_checkpoint(run)
    game = make_game(checkpoint.settings.game)
    codes = random_codes(game.shapes, 20, seed=9)
    priors, values = session.run(None, {"codes": codes})[:2]
    evaluator = checkpoint_evaluator(checkpoint, game, PoolShape(32, 2))
    evaluator.submit(0, codes)
    answers = evaluator.collect(0).answers
    np.testing.assert_allclose(priors, answers.priors, atol=5e-3)  # the fastest backend may compute in bfloat16
    np.testing.assert_allclose(values, answers.values, atol=2e-2)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(small_checkpoint(tmp_path / "run"))
    with refused(UsageError, kind="access", path=tmp_path / "no" / "net.onnx"):
        export_onnx(checkpoint, tmp_path / "no" / "net.onnx")
