"""Processes on one node of a cluster: generators and inference servers, as on one machine, and who looks after them.

A pod knows nothing of Ray, which calls it: it is asked for finished games, and with every question it is told what is
new. Its own outboxes bound what may wait; a slot is free only once the next question says that its game has arrived.
Its children end with it, however it ends.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hexpipe
from hexpipe import kernel_cache
from hexpipe.cluster.nodes import Report
from hexpipe.cluster.private_folder import private_folder
from hexpipe.config import settings_from_json
from hexpipe.errors import HexpipeError, SettingsError, UsageError
from hexpipe.games.factory import make_game
from hexpipe.games.own_games import import_game
from hexpipe.processes.child import logging_to
from hexpipe.processes.role import in_ending_order
from hexpipe.processes.stall_watch import StallWatch, stack_of
from hexpipe.processes.stats import Waiting
from hexpipe.processes.supervisor import Supervisor
from hexpipe.replay.outbox import Arrival
from hexpipe.roles.cluster import POD_COUNTERS
from hexpipe.roles.generator import GENERATOR
from hexpipe.roles.nursery import nursery_for
from hexpipe.roles.plan import Plan, plan_processes
from hexpipe.roles.segments import child_specs, make_playing_segments
from hexpipe.roles.server import INFERENCE

log = logging.getLogger(__name__)

_ROLES = (INFERENCE, GENERATOR)
FOLDER_PREFIX = "hexpipe-pod-"
_WAIT_SECONDS = 0.5  # for a game; then there are figures to tell
_MOST_GAMES = 64
_TICK_SECONDS = 0.25
_END_SECONDS = 30.0

Weights = tuple[int, Mapping[str, NDArray[np.float32]]]


class Pod:
    """Generators and servers on this machine; every method is for one thread, and returns within seconds."""

    def __init__(self, settings: str, version: str, cores: int, gpus: int) -> None:
        """Start them by ``settings``, in JSON, of a run of hexpipe ``version``, on ``cores`` and ``gpus``."""
        self._ending = threading.Event()
        self._failure: Exception | None = None
        self._under_way: list[Arrival] = []
        self._evals = 0.0
        self._resources = ExitStack()
        self._playing: _Playing | None = None
        try:
            if version != hexpipe.__version__:
                raise SettingsError(
                    f"it has hexpipe {hexpipe.__version__}, the run {version}: install the same on every node",
                    kind="version",
                )
            folder = Path(tempfile.gettempdir())
            path = self._resources.enter_context(private_folder(FOLDER_PREFIX, folder))
            self._resources.enter_context(logging_to(path))
            self._playing = _Playing(settings, cores, gpus, path)
        except (HexpipeError, OSError) as error:
            self._failure = error
            self._resources.close()
            return
        self._thread = threading.Thread(target=self._supervise, args=(self._playing,), name="pod", daemon=True)
        self._thread.start()

    def exchange(self, stage: tuple[int, int], weights: Weights | None = None) -> Report:
        """Return finished games, waiting half a second for one; those of the last exchange have arrived.

        ``stage`` is the run's `RunState.stage` and ``mastered_after``; ``weights`` are a version and float32 arrays by
        name.
        """
        playing = self._playing
        if playing is None or self._ended():
            self._resources.close()
            return self._report([])
        playing.receiver.acknowledge(self._under_way)
        if weights is not None and weights[0] > playing.segments.weights.latest_version:
            playing.segments.weights.publish(*weights)
        state = playing.segments.state
        state.stage, state.mastered_after = stage
        self._under_way = playing.receiver.take(_MOST_GAMES)
        if not self._under_way and playing.receiver.wait(_WAIT_SECONDS):
            self._under_way = playing.receiver.take(_MOST_GAMES)
        return self._report(self._under_way)

    def stop(self) -> Report:
        """End everything in order; the games that were finished by then and have not been told yet."""
        playing = self._playing
        if playing is None:
            return self._report([])
        playing.receiver.acknowledge(self._under_way)
        self._ending.set()
        self._thread.join(_END_SECONDS)
        report = self._report(playing.receiver.take())
        self._playing = None
        playing.close()
        self._resources.close()
        return report

    def _ended(self) -> bool:
        if self._failure is None and not self._thread.is_alive():
            self._failure = HexpipeError("its supervising thread has ended without a word: report this as a bug")
        return self._failure is not None

    def _supervise(self, playing: _Playing) -> None:
        """Run the children, in the one thread that they live as long as."""
        supervisor = playing.supervisor
        try:
            supervisor.start()
            while not self._ending.is_set():
                supervisor.watch(_TICK_SECONDS)
                if playing.waits_for_head():
                    playing.stall.begin_anew()
                for warning in playing.stall.check():
                    log.warning(warning)
        except HexpipeError as error:
            log.exception("the pod ends")
            self._failure = error
        finally:
            playing.end()

    def _report(self, arrivals: list[Arrival]) -> Report:
        failure, restarts = self._failure, 0
        counters, waiting, note, plan = dict.fromkeys(POD_COUNTERS, 0.0), Waiting.STARTING, "", None
        if self._playing is not None:
            board, plan = self._playing.segments.stats, self._playing.plan
            counters = {name: board.total(name) for name in POD_COUNTERS}
            state = self._playing.segments.state
            restarts = sum(state.of(name).restarts for name in state.names)
            server = board.row("inference-0")
            waiting = Waiting.WORKING if counters["evals"] > self._evals else server.waiting
            note = server.note
        self._evals = counters["evals"]
        return Report(
            games=[arrival.record.to_bytes() for arrival in arrivals],
            counters=counters,
            restarts=restarts,
            generators=plan.workers if plan else 0,
            servers=len(plan.server_devices) if plan else 0,
            ready=counters["evals"] > 0,
            waiting=int(waiting),
            note=note,
            failure="" if failure is None else str(failure) or type(failure).__name__,
            usage=isinstance(failure, UsageError),
        )


class _Playing:
    """The shared memory and the children of a pod."""

    def __init__(self, text: str, cores: int, gpus: int, folder: Path) -> None:
        settings = settings_from_json(text)
        import_game(settings.game)  # whoever started the run named it
        kernel_cache.need(*kernel_cache.to_play(settings.game.name, settings.algorithm))
        game = make_game(settings.game)
        plan: Plan = plan_processes(settings, cores, gpus)
        self.plan = plan
        self.segments = make_playing_segments(_ROLES, settings, game, plan)
        self.receiver = self.segments.outboxes.receiver()
        stats, state = self.segments.stats, self.segments.state
        specs = child_specs(_ROLES, settings, plan, self.segments)
        self._nursery = nursery_for(settings)
        self.supervisor = Supervisor(
            specs, settings, folder, stats, state, self.segments.repair_after_death, nursery=self._nursery
        )
        stack = partial(stack_of, folder)
        self.stall = StallWatch(stats, state, _ROLES, settings.limits.stall_seconds, stack)

    def waits_for_head(self) -> bool:
        """Return whether a generator has filled its outbox: the run's machine has not asked for its games for a while,
        and may have a reason, such as a full disk."""
        rows = self.segments.stats.rows("generator").values()
        return any(row.waiting is Waiting.OUTBOX for row in rows)

    def end(self) -> None:
        """End the children: those who search first."""
        for roles in in_ending_order(_ROLES):
            if not any(role.searches for role in roles):
                self.segments.request_stop()
            self.supervisor.end(roles)

    def close(self) -> None:
        """Let go of the shared memory."""
        self._nursery.end()
        for segment in self.segments.all():
            segment.close()
