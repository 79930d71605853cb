"""Checkpoints that were edited: what they say is held against what they have before it costs anything."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from hexpipe.cli.main import run
from hexpipe.errors import CheckpointError, NotFiniteError, UsageError
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.nets import factory
from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from hexpipe.nets.export import export_onnx
from hexpipe.nets.muzero_network import MuZeroNet
from tests.old_runs import unpack
from tests.refusals import refused

POSITION = '{"n": 5, "moves": [], "to_move": "black", "value": 1, "winning_moves": ["c3"]}\n'
COMMANDS = (
    ["analyze", "RUN"],
    ["match", "RUN", "random", "--pairs", "1", "--simulations", "4"],
    ["tournament", "RUN", "random", "--pairs", "1", "--simulations", "4"],
    ["score", "RUN", "--positions", "POSITIONS", "--simulations", "4"],
    ["selfplay", "--model-path", "RUN", "--num-games", "1", "--output-dir", "OUT"],
    ["train", "--resume", "RUN", "--steps", "63"],
    ["run", "--resume", "RUN", "--steps", "63"],
    ["train", "--size", "5", "--init-from", "RUN", "--steps", "1", "--run-dir", "NEW"],
    ["run", "--size", "5", "--init-from", "RUN", "--steps", "1", "--run-dir", "NEW"],
)


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return unpack("hex-5x5", tmp_path)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    for file in (folder, *folder.glob("checkpoints/*")):
        path = file / ("settings.json" if file == folder else "checkpoint.json")
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document if file == folder else document["settings"])
        path.write_text(json.dumps(document), encoding="utf-8")


def fill(folder: Path, value: float) -> None:
    """All playing weights of every checkpoint become ``value``; lengths and checksums are those of the new files."""
    for checkpoint in folder.glob("checkpoints/*"):
        document = json.loads((checkpoint / "checkpoint.json").read_text(encoding="utf-8"))
        for group in ("model", "ema"):
            arrays = safetensors_numpy.load((checkpoint / f"{group}.safetensors").read_bytes())
            data = safetensors_numpy.save({name: np.full_like(array, value) for name, array in arrays.items()})
            (checkpoint / f"{group}.safetensors").write_bytes(data)
            document["groups"][group] = {"bytes": len(data), "crc32": zlib.crc32(data)}
        (checkpoint / "checkpoint.json").write_text(json.dumps(document), encoding="utf-8")


def words(command: list[str], old_run: Path) -> list[str]:
    positions = old_run.parent / "positions.jsonl"
    positions.write_text(POSITION, encoding="utf-8")
    names = {"RUN": old_run, "POSITIONS": positions, "OUT": old_run.parent / "out", "NEW": old_run.parent / "new"}
    return [str(names.get(word, word)) for word in command]


@pytest.mark.parametrize("net", [{"blocks": 80, "channels": 1024}, {"engram": 2**24}, {"dynamics_blocks": 80}])
def test_a_net_larger_than_its_weights_is_never_built(
    net: dict[str, int], old_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(old_run, lambda settings: settings["net"].update(net))

    def build(self: object, *arguments: object, **more: object) -> None:
        raise AssertionError("built")

    monkeypatch.setattr(factory.HexNet, "__init__", build)
    monkeypatch.setattr(MuZeroNet, "__init__", build)
    for command in COMMANDS:
        assert run(words(command, old_run)) == 2, command
        assert "the weights do not fit" in capsys.readouterr().err
    for ask in (SimpleModelInference, lambda path: export_onnx(load_checkpoint(path), path / "net.onnx")):
        with pytest.raises(UsageError):  # where onnx is not installed, that is said first
            ask(old_run)
    assert not (old_run.parent / "new").exists()


def test_weights_beyond_all_training_are_bad_input(old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(old_run, 3e38)
    for command in COMMANDS:
        assert run(words(command, old_run)) == 2, command
        assert "has numbers that no training gives" in capsys.readouterr().err


def test_answers_that_are_not_finite_are_bad_input_of_a_checkpoint(
    old_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(old_run, 1e17)
    for command in COMMANDS[1:4]:
        assert run(words(command, old_run)) == 2, command
        assert "not finite" in capsys.readouterr().err
    folder = latest_checkpoint(old_run)
    assert folder is not None
    model = SimpleModelInference(folder)
    with refused(NotFiniteError, kind="damaged") as caught:
        model.simple_infer("#5,a1")
    assert isinstance(caught.value, CheckpointError)
