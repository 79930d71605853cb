"""Supervisor: it spawns the child processes, watches them, replaces those that can be and ends the rest in order.

It knows processes, not what they compute. Every process is forked from the run's nursery, where it has one, and else
spawned; never forked from this process, whose threads forbid it. The thread that calls `start` must live as long as the
children: the kernel kills the nursery or them when that thread is gone, and them when the nursery is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hexpipe.config import Settings
from hexpipe.errors import HexpipeError, ProcessDiedError, UsageError
from hexpipe.processes.child import child_main
from hexpipe.processes.interrupts import signals_blocked
from hexpipe.processes.machine import exported
from hexpipe.processes.messages import ChildContext, Death, forget_error, read_death
from hexpipe.processes.nursery import ForkedProcess, Nursery
from hexpipe.processes.role import Role
from hexpipe.processes.run_state import RunState
from hexpipe.processes.stats import StatsBoard
from hexpipe.shm import spawn_context

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.3  # after a death: time for other victims of its cause to report
CAUSE_SECONDS = 5.0
_KILL_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""Time at work after which a process's death is no longer part of a crash loop."""
MOST_DEATHS = 4
"""Deaths of a process in a row, none after steady work, that end the run; replacements wait 0, 1, 2, ... seconds."""


@dataclass(frozen=True)
class ChildSpec:
    """One child to spawn: its role, its number in that role, and the arguments of its body."""

    role: Role[Any, Any]
    number: int
    parts: dict[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The process's name: "generator-0"."""
        return f"{self.role.name}-{self.number}"


class Supervisor:
    """The children of one run."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        settings: Settings,
        run_dir: Path,
        stats: StatsBoard,
        state: RunState,
        repair: Callable[[Role[Any, Any], int], None],
        session: int = 0,
        started: float | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        """Make the supervisor; ``repair(role, number)`` repairs the shared memory of a dead process for its
        replacement; ``started``: when the run was, in monotonic seconds, if not now; ``nursery``: what children are
        forked from, to be ended by the caller."""
        self.specs = {spec.name: spec for spec in specs}
        self.settings, self.run_dir, self.stats, self.state = settings, run_dir, stats, state
        self.processes: dict[str, BaseProcess] = {}
        self.deaths: list[Death] = []
        self._repair = repair
        self._session = session
        self._started = time.monotonic() if started is None else started
        self.nursery = nursery
        self._leaving: set[str] = set()
        self._killed: set[str] = set()  # by us
        self._early_deaths: dict[str, list[Death]] = {}
        self._due: dict[str, float] = {}  # pending replacements by name: their start times

    def start(self, names: Sequence[str] | None = None) -> None:
        """Spawn the children ``names`` (or all), in the order of the specs. Raises HexpipeError if the system
        refuses."""
        for name in names or list(self.specs):
            self._spawn(self.specs[name])

    def watch(self, timeout: float) -> list[Death]:
        """Wait up to ``timeout`` seconds for a death and return the new deaths.

        Replaces the dead that can be replaced; dead helpers leave ``processes``.

        Raises ProcessDiedError, of the first that died, when the run cannot go on; UsageError if its cause is that
        something in the settings is unavailable.
        """
        self._spawn_due()
        if self._due:
            timeout = min(timeout, max(0.0, min(self._due.values()) - time.monotonic()))
        sentinels = {process.sentinel: name for name, process in self.processes.items() if name not in self._leaving}
        if not sentinels:
            time.sleep(timeout)
            return []
        if not connection.wait(list(sentinels), timeout):
            return []
        time.sleep(GRACE_SECONDS)
        deaths = self._collect()
        if deaths and all(death.follows for death in deaths):
            # their inference server is dying: let it report the cause
            left = [p.sentinel for name, p in self.processes.items() if not self.specs[name].role.searches]
            if connection.wait(left, CAUSE_SECONDS):
                time.sleep(GRACE_SECONDS)
                deaths = sorted(deaths + self._collect(), key=_cause_first)
        needed = [death for death in deaths if self.specs[death.process].role.needed]
        if needed and needed[0].usage and not self.state.of(needed[0].process).restarts:
            raise UsageError(needed[0].usage)  # a replacement would fail, too
        for death in needed:
            self._count_early(death)
        final = [death for death in needed if death.final or not self.specs[death.process].role.replaceable]
        if final:
            first = next((death for death in final if death.final), needed[0])
            if first.usage:
                raise UsageError(first.usage)
            raise ProcessDiedError(first.process, first.details)
        for early in self._early_deaths.values():
            if len(early) >= MOST_DEATHS:
                raise ProcessDiedError(
                    early[0].process,
                    f"{early[0].details}\n(it died {len(early)} times in a row within {STEADY_SECONDS:.0f} s of its "
                    "start: giving up)",
                )
        healed: set[str] = set()
        for death in deaths:
            if death not in needed:
                self.state.of(death.process).done = 1
            elif death.process not in healed:
                healed.update(self._heal(death))
        return deaths

    def revive(self, role: str) -> None:
        """Replace at once the dead of a role, noticed or not, so that they can end in order."""
        for spec in self.specs.values():
            process = self.processes.get(spec.name)
            if spec.role.name == role and (process is None or not process.is_alive()):
                self._due.pop(spec.name, None)
                self._repair_after(spec)
                self._spawn(spec)

    def ask(self, role: str) -> None:
        """Ask the processes of a role to end; their end is expected from now on."""
        for name in self._of_role(role):
            self._leaving.add(name)
            self.state.of(name).stop = 1

    def end(
        self,
        roles: Sequence[Role[Any, Any]],
        seconds: Callable[[Role[Any, Any]], float] = lambda role: role.ending.seconds,
        hurry: Callable[[], bool] = lambda: False,
    ) -> list[str]:
        """Ask all processes of ``roles`` to end, wait for each role ``seconds(role)`` at most, and kill the rest.

        In a ``hurry()`` it waits only for those that save and have begun their work. Returns the names of those that
        save and were killed.
        """
        for role in roles:
            self.ask(role.name)
        stuck = []
        for role in roles:
            left = self.join(role.name, seconds(role), partial(self._may_go, role, hurry))
            if role.ending.saves and (not hurry() or self.at_work(role.name)):
                stuck += left
            self.kill(role.name)
        return stuck

    def _may_go(self, role: Role[Any, Any], hurry: Callable[[], bool]) -> bool:
        """Return whether those of ``role`` need no more waiting for."""
        return hurry() and not (role.ending.saves and self.at_work(role.name))

    def join(self, role: str, timeout: float, hurry: Callable[[], bool] = lambda: False) -> list[str]:
        """Wait for the processes of a role to end, ``timeout`` seconds or until ``hurry()``; return the names of those
        left."""
        deadline = time.monotonic() + timeout
        while True:
            left = [name for name in self._of_role(role) if self.processes[name].is_alive()]
            remaining = deadline - time.monotonic()
            if not left or remaining <= 0 or hurry():
                return left
            connection.wait([self.processes[name].sentinel for name in left], min(remaining, 0.2))

    def kill(self, role: str) -> None:
        """Kill the processes of a role."""
        for name in self._of_role(role):
            self._leaving.add(name)
            if self.processes[name].is_alive():
                self._killed.add(name)
                self.processes[name].kill()
        for name in self._of_role(role):
            self.processes[name].join(_KILL_SECONDS)

    def at_work(self, role: str) -> bool:
        """Return whether a living process of a role has begun its work; before that it has nothing to save."""
        return any(self.state.of(name).ready for name in self.alive(role))

    def alive(self, role: str) -> list[str]:
        """Return the names of a role's living processes."""
        return [name for name in self._of_role(role) if self.processes[name].is_alive()]

    def failed(self, role: str) -> list[Death]:
        """Return the deaths among processes of a role that were asked to end and did so with an error."""
        found = []
        for name in self._of_role(role):
            process = self.processes[name]
            if process.exitcode not in (None, 0) and process.pid is not None and name not in self._killed:
                found.append(read_death(self.run_dir, name, process.pid, int(process.exitcode or 0)))
        return sorted(found, key=lambda death: death.when)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the living children by name."""
        return {name: int(p.pid) for name, p in self.processes.items() if p.pid is not None and p.is_alive()}

    def _of_role(self, role: str) -> list[str]:
        return [name for name in self.processes if self.specs[name].role.name == role]

    def _spawn(self, spec: ChildSpec) -> None:
        context = ChildContext(
            spec.name,
            spec.number,
            self.settings,
            self.run_dir,
            self.stats,
            self.state,
            self._session,
            self._started,
            spec.role.searches,
        )
        row = self.stats.row(spec.name)
        row["started"] = row["beat"] = time.monotonic()
        try:
            process = self._begin(spec, context)
        except OSError as error:
            raise HexpipeError(
                f"{spec.name} cannot be started ({error}): lower --workers or raise the limits on processes and files"
            ) from error
        forget_error(self.run_dir, spec.name, int(process.pid or 0))
        self.processes[spec.name] = process
        log.info("started %s (process %d)", spec.name, process.pid)

    def _begin(self, spec: ChildSpec, context: ChildContext) -> BaseProcess:
        arguments = (context, spec.role.body, spec.parts, dict(spec.environment))
        if self.nursery is not None:
            forked = ForkedProcess(self.nursery, target=child_main, args=arguments, name=spec.name, daemon=True)
            forked.start()
            return forked
        spawned = spawn_context().Process(target=child_main, args=arguments, name=spec.name, daemon=True)
        with exported(spec.environment), signals_blocked():
            spawned.start()
        return spawned

    def _collect(self) -> list[Death]:
        """Record the new deaths, in order of time."""
        deaths = []
        for name, process in list(self.processes.items()):
            if name in self._leaving or process.is_alive():
                continue
            process.join()
            deaths.append(read_death(self.run_dir, name, int(process.pid or 0), int(process.exitcode or 0)))
            del self.processes[name]
        deaths.sort(key=_cause_first)
        for death in deaths:
            log.error("%s (process %d) died: %s", death.process, death.pid, death.details)
        self.deaths += deaths
        return deaths

    def _heal(self, death: Death) -> list[str]:
        """Replace a dead process, with its whole group; return the names of those replaced."""
        spec = self.specs[death.process]
        group = [s for s in self.specs.values() if s.role is spec.role] if spec.role.together else [spec]
        early = len(self._early_deaths.get(spec.name, []))
        due = time.monotonic() + max(0, early - 1)
        for one in group:
            process = self.processes.pop(one.name, None)
            if process is not None:
                process.kill()
                process.join(_KILL_SECONDS)
        for one in group:
            self._repair_after(one)
            row = self.stats.row(one.name)
            row["started"] = row["beat"] = time.monotonic()
            self._due[one.name] = due
        self._spawn_due()
        return [one.name for one in group]

    def _repair_after(self, spec: ChildSpec) -> None:
        """Repair the shared memory of a dead process, and count its replacement."""
        self._repair(spec.role, spec.number)
        state = self.state.of(spec.name)
        state.restarts += 1
        state.ready = 0.0  # a replacement that fails to start must not count as having worked

    def _spawn_due(self) -> None:
        """Start the replacements that are due."""
        for name in [name for name, when in self._due.items() if when <= time.monotonic()]:
            del self._due[name]
            self._spawn(self.specs[name])
            log.warning("%s was replaced", name)

    def _count_early(self, death: Death) -> None:
        ready = self.state.of(death.process).ready
        if ready and death.when - ready >= STEADY_SECONDS:
            self._early_deaths.pop(death.process, None)
        else:
            self._early_deaths.setdefault(death.process, []).append(death)


def _cause_first(death: Death) -> tuple[bool, float]:
    return death.follows, death.when
