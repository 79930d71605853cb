"""Trackers: TensorBoard, Weights & Biases and MLflow, each a function that opens it. Imports no torch.

The last two may be remote. Each is opened and served on its own thread: its delays and failures neither stop nor slow a
run, and every line is in metrics.jsonl anyway. A resumed run continues its run there, whose id is kept in RUN/tracking.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from hexpipe.config import Settings, TrackingSettings, flatten
from hexpipe.errors import UsageError, install_command
from hexpipe.plain_files import open_own, own_folder, read_document
from hexpipe.run_folder import write_atomic

log = logging.getLogger(__name__)

EXPERIMENT = "hexpipe"
"""MLflow's experiment for all runs."""
CLOSE_SECONDS = 10.0
QUEUED_LINES = 1000
RETRY_SECONDS = 60.0

_BESIDE = ("time", "elapsed")
_PARAMS_AT_ONCE = 100  # MLflow's limit in one request

Line = Mapping[str, Any]


class Tracker(Protocol):
    """A destination of figures."""

    def write(self, line: Line) -> None:
        """Write one dict of numbers by name, with "time" in seconds since 1970, and "steps"."""

    def close(self) -> None:
        """Flush what is buffered."""


class _Opened:
    """A tracker of two functions."""

    def __init__(self, write: Callable[[Line], None], close: Callable[[], None]) -> None:
        self.write, self.close = write, close


def check_trackers(tracking: TrackingSettings) -> None:
    """Raise UsageError, before anything is started, if a tracker is not installed or not logged in."""
    for name in ("wandb", "mlflow"):
        if getattr(tracking, name) is not None and importlib.util.find_spec(name) is None:
            words = f"tracking.{name} needs a package that is not installed: {install_command(name)}"
            raise UsageError(words, kind="missing", setting=f"tracking.{name}")
    if tracking.wandb is not None and os.environ.get("WANDB_MODE", "online") == "online":
        import wandb

        if not wandb.api.api_key:  # it would ask for one on the terminal, amid the run's view
            words = "tracking.wandb: nobody is logged in; run `wandb login`, or set WANDB_MODE=offline"
            raise UsageError(words, kind="missing", setting="tracking.wandb")
    if tracking.mlflow is not None and urlsplit(tracking.mlflow).scheme in ("", "file"):
        _check_file_store(tracking.mlflow)


def _check_file_store(uri: str) -> None:
    """Raise UsageError if this MLflow refuses a store of plain files, as newer ones do; the store itself is asked."""
    from mlflow import MlflowClient

    try:
        MlflowClient(tracking_uri=uri).get_experiment_by_name(EXPERIMENT)
    except Exception as error:  # a library may raise anything
        words = " ".join(str(error).split())
        why = (
            f"tracking.mlflow={uri} is a store of plain files, which this MLflow does not take ({words[:100]}...): "
            "name a database, tracking.mlflow=sqlite:///mlflow.db, or a server"
        )
        raise UsageError(why, kind="type", setting="tracking.mlflow") from error


def open_trackers(run_dir: Path, settings: Settings) -> list[Tracker]:
    """Return the trackers that ``settings`` name; remote ones `in_background`."""
    tracking = settings.tracking
    trackers: list[Tracker] = [tensorboard_tracker(run_dir)] if tracking.tensorboard else []
    for name, setting, opener in (
        ("Weights & Biases", tracking.wandb, wandb_tracker),
        ("MLflow", tracking.mlflow, mlflow_tracker),
    ):
        if setting is not None:
            trackers.append(in_background(name, partial(opener, run_dir, settings, setting)))
    return trackers


def tensorboard_tracker(run_dir: Path) -> Tracker:
    """Open event files for TensorBoard in RUN/tensorboard.

    A resumed run begins at a checkpoint's step: points beyond it, of steps that were lost, are purged.
    """
    # imported here: it takes 0.4 s, which fits in while the run's children start
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    # not by EventFileWriter, whose thread dies of a full disk: this file keeps unwritten data for the next flush
    folder = own_folder(run_dir / "tensorboard")
    path = folder / f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    events = RecordWriter(open_own(path, "ab"))
    events.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())

    begun = False

    def write(line: Line) -> None:
        nonlocal begun
        if not begun:
            start = SessionLog(status=SessionLog.START)
            events.write(Event(wall_time=line["time"], step=_step(line), session_log=start).SerializeToString())
            begun = True
        values = [Summary.Value(tag=name, simple_value=value) for name, value in _scalars(line).items()]
        event = Event(wall_time=line["time"], step=_step(line), summary=Summary(value=values))
        events.write(event.SerializeToString())
        events.flush()

    return _Opened(write, events.close)


def wandb_tracker(run_dir: Path, settings: Settings, project: str) -> Tracker:
    """Open a run of Weights & Biases in ``project`` ("project" or "entity/project"); its files are in RUN/wandb."""
    import wandb

    entity, _, name = project.rpartition("/")
    run_id = _known_id(run_dir, "wandb", project) or uuid.uuid4().hex[:16]
    run = wandb.init(
        project=name,
        entity=entity or None,
        id=run_id,
        resume="allow",
        name=run_dir.resolve().name,
        dir=os.fspath(own_folder(run_dir / "wandb").parent),
        settings=wandb.Settings(console="off", silent=True),
    )
    _keep_id(run_dir, "wandb", project, run_id)
    run.config.update(_told(settings), allow_val_change=True)
    run.define_metric("*", step_metric="run/steps")
    return _Opened(lambda line: run.log(_scalars(line)), run.finish)


def mlflow_tracker(run_dir: Path, settings: Settings, uri: str) -> Tracker:
    """Open a run of MLflow under `EXPERIMENT` at the tracking ``uri``; its params are the run's first settings."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it would write into the run's view
    client = MlflowClient(tracking_uri=uri)
    run_id = _known_id(run_dir, "mlflow", uri)
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
    else:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        number = client.create_experiment(EXPERIMENT) if experiment is None else experiment.experiment_id
        run_id = str(client.create_run(number, run_name=run_dir.resolve().name).info.run_id)
        _keep_id(run_dir, "mlflow", uri, run_id)
        params = [Param(name, str(value)) for name, value in _told(settings).items()]
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            client.log_batch(run_id, params=params[first : first + _PARAMS_AT_ONCE])

    def write(line: Line) -> None:
        when, step = int(line["time"] * 1000), _step(line)
        client.log_batch(run_id, metrics=[Metric(name, value, when, step) for name, value in _scalars(line).items()])

    return _Opened(write, lambda: client.set_terminated(run_id))


def in_background(name: str, open_tracker: Callable[[], Tracker]) -> Tracker:
    """Return the tracker of ``open_tracker`` on a thread of its own; its ``write`` never waits and never raises.

    A failure is logged, once until it works again, and a line a minute later is another try. `QUEUED_LINES` lines wait
    at most; further ones are dropped, as are those that ``close`` leaves after `CLOSE_SECONDS`.
    """
    waiting: queue.Queue[Line | None] = queue.Queue(QUEUED_LINES)
    thread = threading.Thread(target=_serve, args=(name, open_tracker, iter(waiting.get, None)), name=name, daemon=True)
    thread.start()

    def write(line: Line) -> None:
        with contextlib.suppress(queue.Full):
            waiting.put_nowait(line)

    def close() -> None:
        with contextlib.suppress(queue.Full):
            waiting.put_nowait(None)
        thread.join(CLOSE_SECONDS)
        if thread.is_alive():
            log.warning("%s has not taken every figure in time; metrics.jsonl has them all", name)

    return _Opened(write, close)


def _serve(name: str, open_tracker: Callable[[], Tracker], lines: Iterator[Line]) -> None:
    """Pass ``lines`` to the tracker, from its opening to its close."""
    tracker: Tracker | None = None
    failures, retry = 0, 0.0
    for line in lines:
        if time.monotonic() < retry:
            continue
        try:
            if tracker is None:
                tracker = open_tracker()
            tracker.write(line)
            failures = 0
        except Exception as error:  # a library, a network or a server may raise anything
            retry = time.monotonic() + RETRY_SECONDS
            failures += 1
            if failures == 1:
                log.warning("%s fails (%s: %s); metrics.jsonl has the figures", name, type(error).__name__, error)
            log.debug("%s", name, exc_info=True)
    if tracker is not None:
        try:
            tracker.close()
        except Exception:
            log.warning("%s could not be closed", name, exc_info=True)


def _scalars(line: Line) -> dict[str, float]:
    """Return the figures of ``line`` by their names in trackers: "run/games", "cpu_percent/learner-0"."""
    return {name if "/" in name else f"run/{name}": float(value) for name, value in line.items() if name not in _BESIDE}


def _step(line: Line) -> int:
    return int(line.get("steps", 0))


def _told(settings: Settings) -> dict[str, Any]:
    """Return the settings to report to trackers, without the trackers' own addresses."""
    return {name: value for name, value in flatten(settings).items() if not name.startswith("tracking.")}


def _known_id(run_dir: Path, tracker: str, place: str) -> str | None:
    """Return the id of this run at ``place`` of ``tracker``, if it has been there before."""
    path = run_dir / "tracking" / f"{tracker}.json"
    with contextlib.suppress(OSError, ValueError):
        document = read_document(path)
        if isinstance(document, dict) and document.get("place") == place:
            return str(document["id"])
    return None


def _keep_id(run_dir: Path, tracker: str, place: str, run_id: str) -> None:
    folder = own_folder(run_dir / "tracking")
    write_atomic(folder / f"{tracker}.json", json.dumps({"place": place, "id": run_id}) + "\n")
