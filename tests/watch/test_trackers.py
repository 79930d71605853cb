"""Trackers behind their interface, with others in the places of their libraries; none may hold a run up."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hexpipe.cli.main import run
from hexpipe.config import Settings, load_settings
from hexpipe.errors import UsageError
from hexpipe.watch import trackers
from hexpipe.watch.metrics import MetricsWriter
from hexpipe.watch.trackers import Line, check_trackers, in_background
from tests.refusals import refused

LINES = [
    {"time": 1000.5 + k, "elapsed": 1.0, "steps": 10 * k, "policy_loss": 2.0 - k, "cpu_percent/x": 5} for k in range(2)
]
TOLD = {"run/steps": 10.0, "run/policy_loss": 1.0, "cpu_percent/x": 5.0}


def module(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    fake = ModuleType(name)
    fake.__spec__ = ModuleSpec(name, None)
    vars(fake).update(content)
    monkeypatch.setitem(sys.modules, name, fake)


def write_all(run_dir: Path, settings: Settings) -> None:
    writer = MetricsWriter(run_dir, settings)
    for line in LINES:
        writer.write(line)
    writer.close()


def settings_with(**tracking: str) -> Settings:
    return load_settings("quick", {f"tracking.{name}": value for name, value in tracking.items()})


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What came to Weights & Biases: ``runs``, the arguments of each, and the ``lines`` of all."""
    seen = SimpleNamespace(runs=[], lines=[], config={}, finished=0)

    def finish() -> None:
        seen.finished += 1

    def init(**arguments: Any) -> Any:
        seen.runs.append(arguments)
        config = SimpleNamespace(update=lambda told, allow_val_change: seen.config.update(told))
        return SimpleNamespace(config=config, define_metric=lambda *_, **__: None, log=seen.lines.append, finish=finish)

    module(monkeypatch, "wandb", init=init, Settings=dict, api=SimpleNamespace(api_key="secret"))
    return seen


def test_wandb_gets_every_line_and_a_resumed_run_is_the_same_one(tmp_path: Path, wandb: SimpleNamespace) -> None:
    settings = settings_with(wandb="team/hex")
    check_trackers(settings.tracking)
    write_all(tmp_path, settings)
    write_all(tmp_path, settings)
    first, second = wandb.runs
    assert (first["entity"], first["project"], first["resume"]) == ("team", "hex", "allow")
    assert first["id"] == second["id"]
    assert wandb.lines[1] == TOLD
    assert len(wandb.lines) == 4
    assert wandb.finished == 2
    assert wandb.config["game.board_size"] == 5
    assert not any(name.startswith("tracking") for name in wandb.config)
    write_all(tmp_path, settings_with(wandb="other"))
    assert wandb.runs[2]["id"] != first["id"]


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What came to MLflow: ``calls``, and the ``lines`` of metrics."""
    seen = SimpleNamespace(calls=[], lines=[], params={}, experiments={})

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            seen.calls.append(("client", tracking_uri))

        def get_experiment_by_name(self, name: str) -> Any:
            return seen.experiments.get(name)

        def create_experiment(self, name: str) -> str:
            seen.experiments[name] = SimpleNamespace(experiment_id="7")
            return "7"

        def create_run(self, experiment_id: str, run_name: str) -> Any:
            seen.calls.append(("create", experiment_id, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id=f"run{len(seen.calls)}"))

        def update_run(self, run_id: str, status: str) -> None:
            seen.calls.append(("update", run_id, status))

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            assert len(params) <= 100
            seen.params.update(params)
            if metrics:
                seen.lines.append({name: value for name, value, *_ in metrics})
                seen.last = metrics[0][2:]

        def set_terminated(self, run_id: str) -> None:
            seen.calls.append(("end", run_id))

    module(monkeypatch, "mlflow", MlflowClient=Client)
    module(monkeypatch, "mlflow.entities", Metric=lambda *parts: parts, Param=lambda *parts: parts)
    return seen


def test_mlflow_gets_every_line_and_a_resumed_run_is_the_same_one(tmp_path: Path, mlflow: SimpleNamespace) -> None:
    settings = settings_with(mlflow="http://somewhere")
    check_trackers(settings.tracking)
    write_all(tmp_path, settings)
    write_all(tmp_path, settings)
    client = ("client", "http://somewhere")
    name = tmp_path.name
    assert mlflow.calls == [
        client, ("create", "7", name), ("end", "run2"), client, ("update", "run2", "RUNNING"), ("end", "run2"),
    ]  # fmt: skip
    assert mlflow.lines[1] == TOLD
    assert mlflow.last == (1001500, 10)
    assert len(mlflow.lines) == 4
    assert mlflow.params["game.board_size"] == "5"


def test_a_tracker_that_is_not_there_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        for command in ("run", "train"):
            path = tmp_path / "run"
            assert run([command, "--set", f"tracking.{name}=x", "--run-dir", str(path)]) == 2
            error = capsys.readouterr().err
            assert (
                f"tracking.{name} needs a package that is not installed: {sys.executable} -m pip install {name}"
                in error
            )
            assert not path.exists()


def test_wandb_without_a_login_is_said_too(wandb: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["wandb"], "api", SimpleNamespace(api_key=None))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with refused(UsageError, "wandb login", kind="missing", setting="tracking.wandb"):
        check_trackers(settings_with(wandb="hex").tracking)
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_trackers(settings_with(wandb="hex").tracking)


@pytest.mark.parametrize("uri", ["file:./mlruns", "file:///tmp/mlruns", "./mlruns", "mlruns"])
def test_a_store_of_files_that_mlflow_refuses_is_said_before_anything_starts(
    uri: str,
    tmp_path: Path,
    mlflow: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As MLflow 3.17 does; one that takes it is asked in vain, and a database or a server is not asked at all."""
    check_trackers(settings_with(mlflow=uri).tracking)

    def refuse(self: Any, name: str) -> None:
        raise RuntimeError("The filesystem tracking backend\nis in maintenance mode")

    monkeypatch.setattr(sys.modules["mlflow"].MlflowClient, "get_experiment_by_name", refuse)
    for command in ("run", "train"):
        path = tmp_path / "run"
        assert run([command, "--set", f"tracking.mlflow={uri}", "--run-dir", str(path)]) == 2
        error = capsys.readouterr().err
        assert f"tracking.mlflow={uri} is a store of plain files" in error
        assert "sqlite:///mlflow.db" in error
        assert len(error.splitlines()) == 1
        assert not path.exists()
    for other in ("sqlite:///mlflow.db", "http://localhost:5000", "databricks://team"):
        check_trackers(settings_with(mlflow=other).tracking)


class Tracker:
    """Takes lines as ``take`` does."""

    def __init__(self, take: Callable[[Line], None]) -> None:
        self.write, self.closed = take, 0

    def close(self) -> None:
        self.closed += 1


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_failure_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trackers, "RETRY_SECONDS", 0.0)
    taken: list[Line] = []
    failing = [ConnectionError("no route"), ValueError("not yet")]

    def take(line: Line) -> None:
        if failing:
            raise failing.pop(0)
        taken.append(line)

    made = Tracker(take)
    opened = 0

    def open_it() -> Tracker:
        nonlocal opened
        opened += 1
        if opened == 1:
            raise OSError("no network")
        return made

    with caplog.at_level(logging.WARNING):
        tracker = in_background("It", open_it)
        for k in range(5):
            tracker.write({"time": 0.0, "steps": k})
        tracker.close()
    assert [line["steps"] for line in taken] == [3, 4]
    assert (opened, made.closed) == (2, 1)
    assert [record.message for record in caplog.records] == [
        "It fails (OSError: no network); metrics.jsonl has the figures"
    ]


def test_after_a_failure_it_is_left_alone_for_a_while() -> None:
    tries = []

    def fail(line: Line) -> None:
        tries.append(line)
        raise OSError("down")

    tracker = in_background("It", lambda: Tracker(fail))
    for _ in range(50):
        tracker.write({"time": 0.0})
    tracker.close()
    assert len(tries) == 1


def test_one_that_hangs_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wandb: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trackers, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(trackers, "QUEUED_LINES", 3)
    go_on = threading.Event()
    hanging = threading.Event()

    def init(**arguments: Any) -> Any:
        hanging.set()
        go_on.wait(60)
        raise OSError("too late")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    writer = MetricsWriter(tmp_path, settings_with(wandb="hex"))
    for k in range(20):
        writer.write({"time": 0.0, "steps": k})
    until(hanging.is_set)
    writer.close()
    go_on.set()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["steps"] for line in lines] == list(range(20))
    assert "has not taken every figure in time" in caplog.text


def test_tensorboard_can_be_turned_off(tmp_path: Path) -> None:
    write_all(tmp_path, load_settings("quick", {"tracking.tensorboard": False}))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_resumed_run_takes_back_what_tensorboard_drew_of_lost_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed goes on at its newest checkpoint, steps before its last figures: no step is shown twice."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for part, steps in enumerate([range(0, 100, 10), range(60, 130, 10), range(130, 150, 10)]):
        monkeypatch.setattr("os.getpid", lambda part=part: 4_000_000 + part)  # each has a process of its own
        tracker = trackers.tensorboard_tracker(tmp_path)
        for step in steps:
            tracker.write({"time": 1000.0 * part + step, "steps": step, "loss": float(part)})
        tracker.close()
    shown = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    (tag,) = (tag for tag in shown.Tags()["scalars"] if tag.endswith("/loss"))
    losses = shown.Scalars(tag)
    assert [event.step for event in losses] == list(range(0, 150, 10))
    assert [event.value for event in losses] == [0.0] * 6 + [1.0] * 7 + [2.0] * 2
