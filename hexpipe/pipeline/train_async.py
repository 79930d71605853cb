"""`hexpipe run`: settings become segments and processes, which work until a limit, a signal or a failure ends them."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hexpipe.config import Settings
from hexpipe.errors import CheckpointError, HexpipeError, ProcessDiedError
from hexpipe.games.factory import make_game
from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from hexpipe.pipeline.devices import Plan, available_cores, plan_processes, thread_environment, visible_gpus
from hexpipe.pipeline.messages import Death, Start
from hexpipe.pipeline.metrics import MetricsWriter
from hexpipe.pipeline.progress import ProgressMeter, as_metrics
from hexpipe.pipeline.run_folder import ARCHIVE_NAME, RunFolder, check_resume, read_settings
from hexpipe.pipeline.segments import Segments, make_segments
from hexpipe.pipeline.stats import Stop
from hexpipe.pipeline.supervisor import ChildSpec, StallWatch, Supervisor
from hexpipe.pipeline.view import View, clock, make_view
from hexpipe.pipeline.worker import setup_logging
from hexpipe.replay.archive import ReplayArchive

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_METRICS_SECONDS = 5.0
_GENERATOR_SECONDS = 5.0  # to end a step; what they have not sent is no loss to the archive
_COMMIT_SECONDS = 60.0
_CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class RunRequest:
    """What `hexpipe run` was asked for."""

    settings: Settings
    run_dir: Path
    resume: bool = False
    init_from: Path | None = None


@dataclass
class Interrupts:
    """Counts Ctrl-C and SIGTERM while in its block: the first asks for an orderly end, the second for a quick one."""

    count: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1

    def hurry(self) -> bool:
        """Whether a second signal has come."""
        return self.count > 1


def run(request: RunRequest, view: View | None = None) -> int:
    """Run the pipeline to its end; returns the exit code 0.

    Raises UsageError before anything is started, ProcessDiedError or another HexpipeError when the run failed.
    """
    # signals first: a Ctrl-C while the processes start is an orderly end too
    with Interrupts() as interrupts, RunFolder.open(request.run_dir, request.resume) as folder:
        try:
            run_ = _prepare(request, folder, view)
        except HexpipeError:
            folder.discard_if_empty()
            raise
        try:
            run_.supervise(interrupts)
        finally:
            run_.close()
    return 0


def _prepare(request: RunRequest, folder: RunFolder, view: View | None) -> _Run:
    """Check everything that can be checked, make the segments, and say what will be done."""
    settings = request.settings
    checkpoint, changes = None, {}
    if request.resume:
        checkpoint = latest_checkpoint(folder.path)
        changes = check_resume(read_settings(folder.path), settings, checkpoint is not None)
    _check_checkpoints(settings, checkpoint, request.init_from)
    game = make_game(settings.game)
    if request.resume:
        ReplayArchive(folder.path / ARCHIVE_NAME, game).close()
    gpus = visible_gpus()
    plan = plan_processes(settings, available_cores(), gpus)
    segments = make_segments(settings, game, plan)
    view = view or make_view(title=f"hexpipe {request.run_dir}")
    setup_logging(folder.path)
    folder.write_settings(settings)
    session = _next_session(folder)
    specs = _child_specs(settings, plan, segments, checkpoint, request.init_from)
    supervisor = Supervisor(specs, settings, folder.path, segments.stats, segments.slots.repair_after_death, session)
    for text in _announcement(request, plan, checkpoint, changes):
        view.say(text)
        log.info(text)
    return _Run(settings, folder, view, segments, supervisor, gpus)


class _Run:
    """A run under way."""

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder,
        view: View,
        segments: Segments,
        supervisor: Supervisor,
        gpus: int,
    ) -> None:
        self.settings, self.folder, self.view = settings, folder, view
        self.segments, self.supervisor = segments, supervisor
        self.meter = ProgressMeter(segments.stats, settings, gpus)
        self._metrics: MetricsWriter | None = None
        self._next_metrics = 0.0
        self._stall = StallWatch(segments.stats, settings.limits.stall_seconds)

    def supervise(self, interrupts: Interrupts) -> None:
        """Start the processes, watch them, and end them in order."""
        failure: HexpipeError | None = None
        try:
            self.supervisor.start()
            self.folder.write_run({"segments": self.segments.describe(), "processes": self.supervisor.pids()})
            self._metrics = MetricsWriter(self.folder.path)
            reason = self._watch(interrupts)
            self._say(f"stopping: {reason}")
        except HexpipeError as error:
            failure = error
            log.error("the run ends: %s", error)
            self._say("a failure ends the run; what has been learned is being saved")
        late = self._stop(interrupts, failure is not None)
        if failure is None and late:
            failure = ProcessDiedError(late[0].process, late[0].details)
        self._report_end()
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End whatever is left, without regard to order."""
        for role in ("generator", "inference", "replay", "learner"):
            self.supervisor.kill(role)
        if self._metrics is not None:
            self._metrics.close()
        self.view.close()
        logging.shutdown()

    def _watch(self, interrupts: Interrupts) -> str:
        """Look after the processes until there is a reason to stop, which is returned."""
        while True:
            for death in self.supervisor.watch(_TICK_SECONDS):
                self._say(f"{death.process} died and was replaced: {death.details.splitlines()[-1]}")
                self.folder.write_run({"segments": self.segments.describe(), "processes": self.supervisor.pids()})
            self._show()
            if interrupts.count:
                return "asked to (once more to hurry)"
            warning = self._stall.check()
            if warning:
                self._say(warning)
                log.warning(warning)
            reason = self._limit_reached()
            if reason:
                return reason

    def _limit_reached(self) -> str:
        limits, stats = self.settings.limits, self.segments.stats
        games, steps = stats.row("replay-0")["total_games"], stats.row("learner-0")["steps"]
        if limits.minutes and self.meter.elapsed >= limits.minutes * 60:
            return f"the limit of {limits.minutes:g} minutes is reached"
        if limits.games and games >= limits.games:
            return f"the limit of {limits.games} games is reached"
        if limits.steps and steps >= limits.steps:
            return f"the limit of {limits.steps} training steps is reached"
        return ""

    def _show(self) -> None:
        now = time.monotonic()
        figures = self.meter.read_if_due(now)
        if figures is None:
            return
        self.view.update(figures)
        if self._metrics is not None and now >= self._next_metrics:
            self._next_metrics = now + _METRICS_SECONDS
            self._metrics.write(as_metrics(figures))

    def _stop(self, interrupts: Interrupts, failed: bool) -> list[Death]:
        """End the processes so that nothing that was committed is lost; deaths on the way."""
        supervisor = self.supervisor
        hurry: Callable[[], bool] = interrupts.hurry
        supervisor.ask("generator")
        supervisor.join("generator", 0.5 if failed else _GENERATOR_SECONDS, hurry)
        supervisor.kill("generator")
        supervisor.ask("inference")
        self.segments.slots.request_stop()
        stop = Stop.QUICK if hurry() else Stop.ORDERLY
        supervisor.ask("replay", stop)
        stuck = supervisor.join("replay", _COMMIT_SECONDS)
        supervisor.ask("learner", stop)
        stuck += supervisor.join("learner", _CHECKPOINT_SECONDS)
        supervisor.join("inference", 2.0, hurry)
        supervisor.kill("inference")
        for name in stuck:
            self._say(f"{name} did not end in time and was killed; committed games and older checkpoints are safe")
        return [] if stuck else supervisor.failed("replay") + supervisor.failed("learner")

    def _report_end(self) -> None:
        figures = self.meter.read()
        self.view.update(figures)
        if self._metrics is not None:
            self._metrics.write(as_metrics(figures))
        checkpoint = latest_checkpoint(self.folder.path)
        self._say(
            f"{figures.get('games') or 0:,.0f} games, {figures.get('positions') or 0:,.0f} positions and "
            f"{figures.get('steps') or 0:,.0f} training steps in all; {clock(figures.elapsed)} this time"
        )
        if checkpoint is not None:
            self._say(f"newest checkpoint: {checkpoint}")
        self._say(f"go on with: hexpipe run --resume {self.folder.path}")

    def _say(self, text: str) -> None:
        self.view.say(text)
        log.info(text)


def _child_specs(
    settings: Settings, plan: Plan, segments: Segments, checkpoint: Path | None, init_from: Path | None
) -> list[ChildSpec]:
    """The children in the order in which they are started: those that take longest to start come first."""
    package = "hexpipe.pipeline"
    one = thread_environment(1)
    start = Start(checkpoint, None if checkpoint is not None else init_from)
    learners = [
        ChildSpec(
            f"learner-{number}",
            f"{package}.learner_main:learner_main",
            {"buffer": segments.buffer, "weights": segments.weights, "device": device, "start": start},
            thread_environment(plan.learner_threads),
        )
        for number, device in enumerate(plan.learner_devices)
    ]
    servers = [
        ChildSpec(
            f"inference-{number}",
            f"{package}.server_main:server_main",
            {"slots": segments.slots.for_server(number), "weights": segments.weights, "device": device},
            one,
        )
        for number, device in enumerate(plan.server_devices)
    ]
    generators = [
        ChildSpec(
            f"generator-{number}",
            f"{package}.generator_main:generator_main",
            {"outboxes": segments.outboxes, "slots": segments.slots.for_worker(number)},
            one,
            replaceable=True,
        )
        for number in range(plan.workers)
    ]
    replay = ChildSpec(
        "replay-0",
        f"{package}.replay_main:replay_main",
        {"outboxes": segments.outboxes, "buffer": segments.buffer},
        one,
    )
    return [*servers, *learners, *generators, replay]


def _check_checkpoints(settings: Settings, resume: Path | None, init_from: Path | None) -> None:
    """Raises CheckpointError now, not in a child, where a checkpoint is damaged or of another net."""
    for path in (resume, init_from):
        if path is not None:
            checkpoint = load_checkpoint(path)
            if checkpoint.settings.net != settings.net:
                raise CheckpointError(
                    f"{path} is of a net with {checkpoint.settings.net.blocks} blocks of "
                    f"{checkpoint.settings.net.channels} channels, these settings want {settings.net.blocks} of "
                    f"{settings.net.channels}; set net.blocks, net.channels and net.value_hidden as in the checkpoint"
                )


def _next_session(folder: RunFolder) -> int:
    """The number of this part of the run: 0 in a new one, one more with every resume."""
    path = folder.path / "session.json"
    session = 0
    with contextlib.suppress(OSError, ValueError, TypeError):
        session = int(json.loads(path.read_text(encoding="utf-8"))) + 1
    path.write_text(f"{session}\n", encoding="utf-8")
    return session


def _announcement(
    request: RunRequest, plan: Plan, checkpoint: Path | None, changes: dict[str, tuple[Any, Any]]
) -> Iterator[str]:
    """What the run will do, in a few lines."""
    settings = request.settings
    size = settings.game.board_size
    what = f"preset {settings.preset}: Hex {size}x{size}{' with swap' if settings.game.swap else ''}"
    net = f"net {settings.net.blocks} blocks x {settings.net.channels} channels"
    yield f"{what}, {net}, {settings.search.num_simulations} simulations a move, seed {settings.seed}"
    devices = ", ".join(sorted(set(plan.server_devices)))
    servers = f"{len(plan.server_devices)} inference server{'s' * (len(plan.server_devices) > 1)} on {devices}"
    workers = f"{plan.workers} generator{'s' * (plan.workers > 1)}"
    learners = f"{len(plan.learner_devices)} learner{'s' * (len(plan.learner_devices) > 1)}"
    where = ", ".join(sorted(set(plan.learner_devices)))
    yield f"{workers}, {servers}, {learners} on {where}, 1 replay process; {plan.cores} cores"
    limits = settings.limits
    named = ((limits.minutes, "minutes"), (limits.steps, "training steps"), (limits.games, "games"))
    given = [f"{value:g} {name}" for value, name in named if value]
    yield f"runs for {' or '.join(given)}" if given else "runs until you press Ctrl-C"
    yield f"run folder: {request.run_dir}"
    if request.resume:
        yield f"goes on from {checkpoint.name if checkpoint else 'its games (there is no checkpoint yet)'}"
    for name, (old, new) in changes.items():
        yield f"changed: {name} is {new}, was {old}"
    if request.init_from is not None:
        yield f"starts from the net of {request.init_from}"
