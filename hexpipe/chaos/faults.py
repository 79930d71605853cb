"""Faults that `hexpipe chaos` gives a run, one function a kind; each returns what it did, in words."""

from __future__ import annotations

import os
import pty
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import numpy as np
import psutil

from hexpipe.chaos.run_under_test import RunUnderTest
from hexpipe.errors import HexpipeError
from hexpipe.games.factory import make_stages
from hexpipe.nets.checkpoints import latest_checkpoint, step_of
from hexpipe.processes.stall_watch import SILENT_SECONDS
from hexpipe.processes.stats import Waiting, role_of
from hexpipe.processes.supervisor import MOST_DEATHS, STEADY_SECONDS
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import read_settings

STOP_SECONDS = 3.0
QUEUE_SECONDS = 240.0
DISK_SECONDS = 5.0
QUOTA_BYTES = 2**18
_BAD_INPUT = 2
_OUTPUT_GONE = "cannot be written to"  # in the words of `processes.output`


class Faults:
    """The faults that a run is given, and how often; ``rng`` draws their victims."""

    def __init__(self, tested: RunUnderTest, rng: np.random.Generator) -> None:
        self.tested, self.rng = tested, rng
        self._early: dict[str, int] = {}
        self.kills: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.games_aside = 0  # in archives that were set aside
        self.kinds: dict[str, Callable[[], str]] = {
            "kill": self.kill,
            "queue": self.fill_queue,
            "disk": self.fill_disk,
            "stop": self.stop,
            "group": self.kill_all,
            "memory": self.shrink_memory,
            "hang": self.hang,
            "pipe": self.break_pipe,
            "terminal": self.close_terminal,
            "archive": self.take_archive,
        }

    def committed(self) -> int:
        """Return how many games the run says are committed, with those in archives that were set aside."""
        return self.games_aside + int(self.tested.counter("replay-0", "total_games"))

    def give(self, kind: str) -> str:
        """Do one of ``kinds``; what was done, in words."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.kinds[kind]()

    def kill(self) -> str:
        """Kill a process of a role drawn at random; none so often that it must look like a crash loop."""
        ready = {name: process.state.ready for name, process in self.tested.processes().items()}
        steady = {name: since and time.monotonic() - since > STEADY_SECONDS for name, since in ready.items()}
        names = [name for name in ready if steady[name] or self._early.get(name, 0) < MOST_DEATHS - 2]
        roles = sorted({name.rpartition("-")[0] for name in names})
        if not roles:
            return "nothing: all processes have just begun"
        role = str(self.rng.choice(roles))
        name = str(self.rng.choice([name for name in names if name.startswith(f"{role}-")]))
        self._early[name] = 0 if steady[name] else self._early.get(name, 0) + 1
        try:
            os.kill(self.tested.pids()[name], signal.SIGKILL)
        except (ProcessLookupError, KeyError):
            return f"nothing: {name} was gone already"
        self.kills[role] = self.kills.get(role, 0) + 1
        return f"killed {name}"

    def stop(self, seconds: float = STOP_SECONDS) -> str:
        """Stop a process for a while."""
        names = [name for name in self.tested.pids() if name != "supervisor"]
        name = str(self.rng.choice(names))
        with self._stopped(name):
            time.sleep(seconds)
        return f"stopped {name} for {seconds:.0f} s"

    def hang(self) -> str:
        """Stop a process for so long that the run must name it."""
        return self.stop(SILENT_SECONDS + 5.0)

    def fill_queue(self) -> str:
        """Stop the replay process until every generator has filled its outbox."""
        tested = self.tested

        def full() -> bool:
            known = tested.processes().items()
            waiting = [process.row.waiting for name, process in known if role_of(name) == "generator"]
            return bool(waiting) and all(found is Waiting.OUTBOX for found in waiting)

        with self._stopped("replay-0"):
            tested.until(full, "full outboxes while replay is stopped", QUEUE_SECONDS)
        return "held replay up until every outbox was full"

    def fill_disk(self) -> str:
        """Leave the replay process and the learner no room in any file for a while: a limit on the size of files, which
        can be set from outside and harms nobody else."""
        names = ("replay-0", "learner-0")
        changed = []
        for name in names:
            with suppress(psutil.Error, KeyError):
                process = psutil.Process(self.tested.pids()[name])
                before = process.rlimit(RLIMIT_FSIZE)
                process.rlimit(RLIMIT_FSIZE, (1, before[1]))
                changed.append((process, before))
        time.sleep(DISK_SECONDS)
        for process, before in changed:
            with suppress(psutil.Error):
                process.rlimit(RLIMIT_FSIZE, before)
        return f"left replay and learner no room on the disk for {DISK_SECONDS:.0f} s"

    def kill_all(self) -> str:
        """Kill the whole group of processes at one moment, and go on with the run."""
        self._kill_group()
        self._resume()
        return "killed every process and resumed the run"

    def shrink_memory(self) -> str:
        """Kill the whole group, and go on with the run under a quota on shared memory that is too small: that must be
        refused in one line. Then go on without it.

        A run takes all its shared memory before it starts a process, so this is where the lack of it can be felt. The
        quota is a limit on the size of files, which segments are.
        """
        self._kill_group()
        before = getrlimit(RLIMIT_FSIZE)
        setrlimit(RLIMIT_FSIZE, (QUOTA_BYTES, before[1]))
        try:
            self.tested.start(resume=True)
        finally:
            setrlimit(RLIMIT_FSIZE, before)
        code, last = self.tested.wait(), self.tested.output().splitlines()[-1]
        if code != _BAD_INPUT or "shared memory" not in last:
            raise HexpipeError(f"a run without shared memory ended with exit code {code}. {self.tested.output()}")
        self._resume()
        return f"killed every process, had a resume refused for want of shared memory ({last}), and resumed the run"

    def break_pipe(self) -> str:
        """End the run in order, go on with it into a pipe, and close that once it has said something: it must go on,
        and say so in its log."""
        tested = self.tested
        self._end_in_order()
        reader, writer = os.pipe()
        try:
            tested.start(resume=True, output=writer)
        finally:
            os.close(writer)
        with os.fdopen(reader, "rb") as lines:
            said = lines.readline()
            before = tested.log().count(_OUTPUT_GONE)
        tested.until(lambda: tested.log().count(_OUTPUT_GONE) > before, "a line in the log about output that is gone")
        self._early.clear()
        return f"closed the pipe that the run wrote to after {len(said)} bytes"

    def close_terminal(self) -> str:
        """End the run in order, go on with it on a terminal that nobody reads, and close that: the run must end in
        order, with a checkpoint of its last step. Then go on with it."""
        tested = self.tested
        self._end_in_order()
        screen, terminal = pty.openpty()
        try:
            tested.start(resume=True, output=terminal, on_terminal=True)
            os.close(terminal)
            tested.until_it_works()
        finally:
            os.close(screen)
        self._expect(0, "a run whose terminal was closed")
        newest, steps = latest_checkpoint(tested.run_dir), int(tested.figures()["steps"])
        if newest is None or step_of(newest) != steps:
            raise HexpipeError(f"a run whose terminal was closed at step {steps} has left {newest}")
        self._resume()
        return f"closed the run's terminal, which ended it with a checkpoint of step {steps:,}, and resumed it"

    def take_archive(self) -> str:
        """Move the archive aside: the run must notice and end with exit code 1. Then go on without it; what was set
        aside is kept, and counts."""
        tested = self.tested
        aside, since = tested.set_archive_aside(), time.monotonic()
        self._expect(1, "a run whose archive was moved aside")
        seconds, steps, saved = time.monotonic() - since, tested.figures()["steps"], latest_checkpoint(tested.run_dir)
        if saved is None or step_of(saved) != int(steps):
            raise HexpipeError(f"a run whose archive was moved aside at step {steps:.0f} has left {saved}")
        with ReplayArchive(aside, make_stages(read_settings(tested.run_dir)), read_only=True) as archive:
            games = archive.total_games
        if games < tested.figures()["games"]:
            raise HexpipeError(f"the run told of {tested.figures()['games']:.0f} games, and {aside} has {games}")
        self.games_aside += games
        self._resume()
        return f"moved the archive aside with {games:,} games, which ended the run in {seconds:.1f} s, and resumed it"

    def _end_in_order(self) -> None:
        self.tested.signal_all(signal.SIGTERM)
        self._expect(0, "a run that was asked to end")

    def _expect(self, code: int, what: str) -> None:
        found = self.tested.wait()
        if found != code:
            raise HexpipeError(f"{what} ended with exit code {found}, not {code}. {self.tested.output()}")

    def _kill_group(self) -> None:
        self.tested.signal_all(signal.SIGKILL)
        self.tested.wait()

    def _resume(self) -> None:
        self.tested.start(resume=True)
        self._early.clear()

    @contextmanager
    def _stopped(self, name: str) -> Iterator[None]:
        pid = self.tested.pids().get(name)
        if pid is None:
            yield
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
