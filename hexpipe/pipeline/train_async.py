"""`hexpipe run`: segments and processes are made from settings, and work until a limit, a signal or a failure ends
them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hexpipe import kernel_cache
from hexpipe.config import Settings
from hexpipe.config.limits import limit_reached
from hexpipe.errors import DiskFullError, GoneError, HexpipeError, ProcessDiedError
from hexpipe.games.factory import make_game, make_stages
from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint, newest_whole
from hexpipe.pipeline.preparation import RunRequest, announcement, check_games, check_net, check_stages, stage_of
from hexpipe.plain_files import read_document
from hexpipe.presence import Presence
from hexpipe.processes.child import setup_logging
from hexpipe.processes.interrupts import Interrupts, start_resource_tracker
from hexpipe.processes.machine import available_cores, visible_gpus
from hexpipe.processes.main_guard import check_main_guard
from hexpipe.processes.messages import Death
from hexpipe.processes.nursery import Nursery
from hexpipe.processes.output import may_go_away
from hexpipe.processes.role import Role, in_ending_order
from hexpipe.processes.stall_watch import StallWatch, forget_stacks, stack_of
from hexpipe.processes.supervisor import Supervisor
from hexpipe.replay.archive import ReplayArchive
from hexpipe.roles.cluster import NODE, check_cluster
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.learner import LEARNER
from hexpipe.roles.nursery import nursery_for
from hexpipe.roles.plan import Plan, plan_processes
from hexpipe.roles.segments import Segments, Start, child_specs, make_segments
from hexpipe.run_folder import (
    ARCHIVE_NAME,
    RunFolder,
    check_resume,
    read_settings,
    resume_arguments,
    write_atomic,
)
from hexpipe.shm import named_semaphores
from hexpipe.watch.metrics import MetricsWriter, room_may_lack
from hexpipe.watch.progress import Figures, ProgressMeter, as_metrics
from hexpipe.watch.trackers import check_trackers
from hexpipe.watch.view import View, clock, make_view

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_METRICS_SECONDS = 5.0
_FAILED_SEARCH_SECONDS = 0.5  # for clients of inference servers, if the run has failed
_MOST_SESSIONS = 2**31


def run(request: RunRequest, view: View | None = None, roles: Sequence[Role[Plan, Any]] = ROLES) -> int:
    """Run the pipeline to its end; return the exit code 0.

    Where the boards of a curriculum are not the same for a net, each stage is a leg, with processes and shared memory
    of its own; the next one goes on from the checkpoint with which the last ends.

    Raises UsageError before anything is started, GoneError if the run's folder or its archive was moved away,
    ProcessDiedError or another HexpipeError when the run failed.
    """
    check_main_guard()
    start_resource_tracker()
    # signals first: a Ctrl-C while the processes start also leads to an orderly end
    with (
        Interrupts() as interrupts,
        may_go_away("stdout", "stderr"),
        RunFolder.open(request.run_dir, request.resume) as folder,
    ):
        started, views = time.monotonic(), [view] if view is not None else []
        nursery = nursery_for(request.settings)

        def shown() -> View:
            if not views:
                views.append(make_view(title=f"hexpipe {request.run_dir}"))
            return views[0]

        try:
            prepare = partial(_prepare, folder=folder, shown=shown, roles=roles, started=started, nursery=nursery)
            go_on = _run_leg(partial(prepare, request, first=True), folder, interrupts)
            next_leg = partial(prepare, replace(request, resume=True, init_from=None), first=False)
            while go_on:
                go_on = _run_leg(next_leg, folder, interrupts)
        finally:
            nursery.end()
            for each in views:
                each.close()
    return 0


def _run_leg(prepare: Callable[[], _Leg], folder: RunFolder, interrupts: Interrupts) -> bool:
    """Play a leg from its preparation to its end, after which nothing of it is left in memory; return whether another
    is due."""
    try:
        leg = prepare()
    except (HexpipeError, KeyboardInterrupt):
        folder.discard_if_empty()
        raise
    try:
        return leg.supervise(interrupts)
    finally:
        leg.close()


def _prepare(
    request: RunRequest,
    *,
    folder: RunFolder,
    shown: Callable[[], View],
    roles: Sequence[Role[Plan, Any]],
    started: float,
    nursery: Nursery,
    first: bool,
) -> _Leg:
    """Check all that can be checked, make the segments, and announce the run, or its next leg."""
    stage = stage_of(request.settings, folder.path)
    settings = request.settings.at_stage(stage)
    checkpoint, passed_over, changes = _checked_checkpoint(request, folder)
    check_games(settings, folder.path)
    check_stages(settings)
    check_trackers(settings.tracking)
    kernel_cache.need(*kernel_cache.to_train(settings.game.name, settings.algorithm))
    game = make_game(settings.game)
    gpus = visible_gpus()
    plan = plan_processes(settings, available_cores(), gpus)
    if settings.cluster.address:
        check_cluster(settings.cluster.address)
    start = Start(checkpoint, None if checkpoint is not None else request.init_from)
    segments = replace(make_segments(roles, settings, game, plan), start=start)
    nursery.begin()  # it loads while this goes on; after the segments, which may raise the limit of open files
    if checkpoint is not None and not (folder.path / ARCHIVE_NAME).exists():
        passed_over.append(
            f"there is no {ARCHIVE_NAME} beside the checkpoints: if it lies elsewhere, stop and put it back; the run "
            f"begins a new one, with no games, and the net of {checkpoint.name}"
        )
    view = shown()
    setup_logging(folder.path)
    folder.write_settings(request.settings)
    session = _next_session(folder, settings)
    with ReplayArchive(folder.path / ARCHIVE_NAME, make_stages(settings)) as archive:  # created if missing
        presence = Presence(folder.path, archive.path)
    specs, stats, state = child_specs(roles, settings, plan, segments), segments.stats, segments.state
    repair = segments.repair_after_death
    supervisor = Supervisor(specs, settings, folder.path, stats, state, repair, session, started, nursery)
    news = announcement(request, plan, checkpoint, changes) if first else ()
    for text in (*passed_over, *news):
        view.say(text)
        log.info(text)
    return _Leg(settings, folder, presence, view, segments, supervisor, gpus, roles, stage, started)


def _checked_checkpoint(
    request: RunRequest, folder: RunFolder
) -> tuple[Path | None, list[str], dict[str, tuple[Any, Any]]]:
    """Return the checkpoint of a resumed run, messages on damaged checkpoints, and the changes of settings."""
    passed_over: list[str] = []
    checkpoint, changes = None, {}
    if request.resume:
        newest = newest_whole(folder.path, passed_over.append)
        changes = check_resume(read_settings(folder.path), request.settings, newest is not None)
        if newest is not None:
            check_net(request.settings, newest)
            checkpoint = newest.path
    if request.init_from is not None:
        check_net(request.settings, load_checkpoint(request.init_from))
    return checkpoint, passed_over, changes


class _Leg:
    """A run in progress, or the part of it that plays on one board, which is stage ``stage`` (from 0)."""

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder,
        presence: Presence,
        view: View,
        segments: Segments,
        supervisor: Supervisor,
        gpus: int,
        roles: Sequence[Role[Plan, Any]],
        stage: int,
        started: float,
    ) -> None:
        self._roles, self._number = roles, stage
        self.settings, self.folder, self.view = settings, folder, view
        self._presence = presence
        self.segments, self.supervisor = segments, supervisor
        self.meter = ProgressMeter(segments.stats, segments.state, settings, gpus, started)
        self._metrics: MetricsWriter | None = None
        self._next_metrics = 0.0
        self._stage = ""
        self._pids: dict[str, int] | None = None
        self._nodes: dict[str, str] = {}
        stack = partial(stack_of, folder.path)
        self._stall = StallWatch(segments.stats, segments.state, roles, settings.limits.stall_seconds, stack)

    def supervise(self, interrupts: Interrupts) -> bool:
        """Start the processes, watch them, and end them in order; return whether the next leg is due."""
        failure: HexpipeError | None = None
        try:
            self._tell_processes()
            self.supervisor.start()
            self._metrics = MetricsWriter(self.folder.path, self.settings)
            reason = self._watch(interrupts)
            self._say(f"stopping: {reason}" if reason else "the next board begins")
        except (HexpipeError, OSError) as error:
            failure = self._gone() or (error if isinstance(error, HexpipeError) else None)
            if failure is None:
                raise
            log.error("the run ends: %s", failure)
            self._say("a failure ends the run; what has been learned is being saved")
        late = self._stop(interrupts, failure)
        failure = failure or self._gone()
        if failure is None and late:
            failure = _late_failure(late[0], self.folder)
        go_on = failure is None and self._next_is_due() and not interrupts.asked()
        if not go_on:
            self._report_end()
        if failure is not None:
            raise failure
        return go_on

    def _gone(self) -> GoneError | None:
        """Return the error to report if the folder or the archive is no longer the original one, else None."""
        try:
            self._presence.check()
        except GoneError as error:
            return error
        return None

    def close(self) -> None:
        """End whatever is left, in any order."""
        for roles in in_ending_order(self._roles):
            for role in roles:
                self.supervisor.kill(role.name)
        for spec in self.supervisor.specs.values():
            self.segments.repair_after_death(spec.role, spec.number)
        if self._metrics is not None:
            self._metrics.close()
        forget_stacks(self.folder.path)
        for segment in self.segments.all():
            segment.close()
        logging.shutdown()

    def _watch(self, interrupts: Interrupts) -> str:
        """Watch the processes until there is a reason to stop; return it, "" where the next leg is due."""
        while True:
            self._presence.check()
            for death in self.supervisor.watch(_TICK_SECONDS):
                replaced = self.supervisor.specs[death.process].role.needed
                what = "was replaced" if replaced else "the run goes on without it"
                self._say(f"{death.process} died and {what}: {death.details.splitlines()[-1]}")
            self._tell_processes()
            self._show()
            if self._next_is_due():
                return ""
            self._tell_stage()
            self._tell_nodes()
            if interrupts.asked():
                return "asked to (once more to hurry)"
            for warning in self._stall.check():
                self._say(warning)
            reason = self._limit_reached()
            if reason:
                return reason

    def _next_is_due(self) -> bool:
        return self.settings.plays_in_legs and self.segments.state.stage > self._number + 1

    def _tell_processes(self) -> None:
        """Keep RUN/run.json up to date: a replacement may come some seconds after the death."""
        pids = self.supervisor.pids()
        if pids != self._pids:
            shared = {"segments": self.segments.describe(), "semaphores": named_semaphores()}
            with room_may_lack():
                self.folder.write_run({**shared, "processes": pids})
                self._pids = pids

    def _tell_stage(self) -> None:
        """Report each new stage of the curriculum in one line; replay, which decides, logs it."""
        stage = self.meter.stage()
        if stage != self._stage:
            self._stage = stage
            self.view.say(stage)

    def _tell_nodes(self) -> None:
        """Report each node of a cluster that comes or is lost, in the words of the cluster process."""
        for name, row in self.segments.stats.rows(NODE.name).items():
            note = row.note
            if note != self._nodes.get(name, ""):
                self._nodes[name] = note
                self.view.say(f"{name}: {note}")

    def _limit_reached(self) -> str:
        stats = self.segments.stats
        games, steps = stats.row("replay-0")["total_games"], stats.row("learner-0")["steps"]
        return limit_reached(self.settings.limits, self.meter.elapsed / 60, games, steps)

    def _show(self) -> None:
        now = time.monotonic()
        known = self._counters_known()  # before the figures are read, which may lack later counters
        figures = self.meter.read_if_due(now)
        if figures is None:
            return
        self.view.update(figures)
        if known and now >= self._next_metrics:
            self._next_metrics = now + _METRICS_SECONDS
            self._write_metrics(figures)

    def _counters_known(self) -> bool:
        """Return whether the games and steps of earlier parts of the run are counted; until then figures would drop to
        0."""
        state = self.segments.state
        return bool(state.of("replay-0").ready and state.published)

    def _write_metrics(self, figures: Figures) -> None:
        if self._metrics is not None:
            self._metrics.write(as_metrics(figures))

    def _stop(self, interrupts: Interrupts, failure: HexpipeError | None) -> list[Death]:
        """End the processes without loss of anything committed; return deaths on the way."""
        supervisor, stuck = self.supervisor, []
        gone = isinstance(failure, GoneError)

        def hurry() -> bool:
            return gone or interrupts.hurry()

        def seconds(role: Role[Any, Any]) -> float:
            return _FAILED_SEARCH_SECONDS if failure and role.searches else role.ending.seconds

        for roles in in_ending_order(self._roles):
            if not any(role.searches for role in roles):
                self.segments.buffer.free_lock_of_the_dead()
                self.segments.request_stop()
                if self.folder.presence.lost() is not None:  # a checkpoint would go into another's folder, or a new one
                    supervisor.kill(LEARNER.name)
            for role in roles:
                if role.ending.revived and not failure and not hurry():
                    supervisor.revive(role.name)
            stuck += supervisor.end(roles, seconds, hurry)
        for name in stuck:
            self._say(f"{name} did not end in time and was killed; committed games and older checkpoints are safe")
        saving = [role.name for role in self._roles if role.ending.saves]
        return [] if stuck else [death for name in saving for death in supervisor.failed(name)]

    def _report_end(self) -> None:
        figures = self.meter.read()
        self.view.update(figures)
        if self._counters_known():
            self._write_metrics(figures)
        self._say(
            f"{figures.get('games') or 0:,.0f} games, {figures.get('positions') or 0:,.0f} positions and "
            f"{figures.get('steps') or 0:,.0f} training steps in all; {clock(figures.elapsed)} this time"
        )
        if self.folder.presence.lost() is not None:
            return
        checkpoint = latest_checkpoint(self.folder.path)
        if checkpoint is not None:
            self._say(f"newest checkpoint: {checkpoint}")
        self._say(f"go on with: hexpipe run {resume_arguments(self.folder.path, self.settings)}")

    def _say(self, text: str) -> None:
        self.view.say(text)
        log.info(text)


def _late_failure(death: Death, folder: RunFolder) -> HexpipeError:
    """Return the error for a death while the run ends."""
    if death.disk_full:
        return DiskFullError(
            f"there is no room in {folder.path} for what {death.process} had to write last; every game that was "
            "committed is there: free some room, and go on with --resume",
            path=folder.path,
        )
    return ProcessDiedError(death.process, death.details)


def _next_session(folder: RunFolder, settings: Settings) -> int:
    """Return the number of this part of the run: 0 for a new one, one more with each resume, even if the file is
    damaged."""
    path, archive_path = folder.path / "session.json", folder.path / ARCHIVE_NAME
    session = 0
    with contextlib.suppress(OSError, ValueError, TypeError, OverflowError):
        session = max(0, min(int(read_document(path)), _MOST_SESSIONS) + 1)
    if archive_path.exists():
        with ReplayArchive(archive_path, make_stages(settings), read_only=True) as archive:
            session = max(session, archive.newest_session + 1)
    write_atomic(path, f"{session}\n")
    return session
