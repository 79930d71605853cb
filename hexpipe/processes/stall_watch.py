"""Detection of stalls: of a process or of the whole run, with what each process waits for and its stack.

A process sends a heartbeat with every step and before every wait. If none has come for a while it is asked for its
stack, which faulthandler writes from a signal handler, whatever the interpreter is doing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import psutil

from hexpipe.errors import HexpipeError
from hexpipe.plain_files import open_own
from hexpipe.processes.role import Role
from hexpipe.processes.run_state import RunState
from hexpipe.processes.stats import WAITING_TEXT, ProcessRow, StatsBoard, Waiting, role_of
from hexpipe.run_folder import STACKS_NAME

log = logging.getLogger(__name__)

SILENT_SECONDS = 20.0
"""Time without a heartbeat after which a process is reported, with its stack."""
_ARCHIVE_SECONDS = 60.0  # between two warnings of an archive that cannot be written
_IMPORTING = "<frozen importlib"  # in the stack of a process that still imports its modules
_UNWRITTEN = {
    Waiting.DISK: (
        "the disk is full: play and training wait until there is room; no committed game is lost",
        "there is room on the disk again: the run goes on",
    ),
    Waiting.LOCKED: (
        "another program holds the archive locked: play and training wait until it lets go; no committed game is lost",
        "the archive is free again: the run goes on",
    ),
}
"""Why the archive cannot be written, the warning, and the message when it is over."""
_ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.05
_STILL_POLLS = 4  # without a further line: the stack is complete


def answer_with_stack(run_dir: Path) -> IO[str]:
    """Have this process answer `stack_of` with its threads' stacks, written to the returned file, which must stay
    open."""
    file = open_own(run_dir / STACKS_NAME, "a")
    faulthandler.register(signal.SIGUSR2, file, all_threads=True)
    return file


def stack_of(run_dir: Path, pid: int) -> str:
    """Return the stacks of a child process's threads, innermost call first; or in words why it cannot answer."""
    try:
        status = psutil.Process(pid).status()
        if status == psutil.STATUS_STOPPED:
            return "it is stopped by a signal (kill -CONT lets it go on)"
        if status == psutil.STATUS_DISK_SLEEP:
            return "it waits for the disk, in the kernel"
        path = run_dir / STACKS_NAME
        before = path.stat().st_size
        os.kill(pid, signal.SIGUSR2)
        deadline, size, still = time.monotonic() + _ANSWER_SECONDS, before, 0
        while time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            size, last = path.stat().st_size, size
            still = still + 1 if size == last > before else 0
            if still == _STILL_POLLS:
                break
        with open_own(path, "rb") as file:
            file.seek(before)
            found: bytes = file.read()
            return found.decode(errors="replace").strip() or "it does not answer"
    except (OSError, psutil.Error) as error:
        return f"its stack cannot be had ({error})"


def forget_stacks(run_dir: Path) -> None:
    """Remove the file of stacks; the log has those that were asked for."""
    with contextlib.suppress(OSError):
        (run_dir / STACKS_NAME).unlink(missing_ok=True)


class StallWatch:
    """Watch of a run's stats board; ``stack`` gives the stack of a process by its id."""

    def __init__(
        self,
        stats: StatsBoard,
        state: RunState,
        roles: Iterable[Role[Any, Any]],
        seconds: float,
        stack: Callable[[int], str],
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._stats, self._state, self._seconds, self._stack = stats, state, seconds, stack
        self._roles = {role.name: role for role in roles}
        self._silent_seconds = silent_seconds
        self._last: tuple[float, ...] = ()
        self._since = time.monotonic()
        self._warned = 0.0
        self._look_again: dict[str, float] = {}  # processes that were importing: when
        self._named: dict[str, float] = {}  # silent processes that were reported: their last heartbeat
        self._archive_told = 0.0
        self._unwritten: Waiting | None = None

    def begin_anew(self) -> None:
        """Restart the count of seconds without progress: the run waits for something outside."""
        self._since = time.monotonic()

    def check(self) -> list[str]:
        """Return the reports that are due.

        Each silent process is reported once; the whole run once in each ``seconds / 4`` without progress; an archive
        that cannot be written, for which the run waits without end, once a minute.

        Raises HexpipeError after ``seconds`` without progress, or without a heartbeat of some process.
        """
        said = [*self._look_at_archive(), *self._name_silent()]
        if self._unwritten is not None:
            self._since = time.monotonic()
        else:
            said += self._look_at_progress()
        return said

    def _look_at_progress(self) -> list[str]:
        now = time.monotonic()
        progress = tuple(
            number
            for name, row in self._stats.rows().items()
            for number in (*(row[column] for column in self._role(name).progress), self._state.of(name).ready)
        )
        if progress != self._last:
            self._last, self._since, self._warned = progress, now, 0.0
        silent = max(
            (now - row["beat"], name)
            for name, row in self._stats.rows().items()
            if not self._state.of(name).done and self._role(name).needed
        )
        stalled = max(now - self._since, silent[0])
        if stalled >= self._seconds:
            raise HexpipeError(
                f"nothing has gone on for {stalled:.0f} s. {self.explain()}. The run ends; start it again with --resume"
            )
        if stalled >= self._seconds / 4 and now - self._warned >= self._seconds / 4:
            self._warned = now
            return [f"slow: {stalled:.0f} s without progress. {self.explain()}"]
        return []

    def explain(self) -> str:
        """Describe what each process waits for, and the age of its last heartbeat."""
        now = time.monotonic()
        parts = []
        for name, row in self._stats.rows().items():
            if not self._role(name).body and not row["started"]:
                continue  # no node has taken this row
            silence = now - row["beat"]
            quiet = f" (no sign of life for {silence:.0f} s)" if silence > 5 else ""
            parts.append(f"{name} {'has ended' if self._state.of(name).done else WAITING_TEXT[row.waiting]}{quiet}")
        return "; ".join(parts)

    def _look_at_archive(self) -> list[str]:
        now = time.monotonic()
        found = [row.waiting for row in self._stats.rows().values() if row.waiting in _UNWRITTEN]
        if found and (now - self._archive_told >= _ARCHIVE_SECONDS or found[0] is not self._unwritten):
            self._archive_told, self._unwritten = now, found[0]
            return [_UNWRITTEN[found[0]][0]]
        if not found and self._unwritten is not None:
            over, self._unwritten = self._unwritten, None
            return [_UNWRITTEN[over][1]]
        return []

    def _name_silent(self) -> list[str]:
        said = []
        for name, row in self._stats.rows().items():
            beat = row["beat"]
            silence = time.monotonic() - beat
            is_child = row["pid"] and not self._state.of(name).done and self._role(name).body
            if not is_child or silence < self._silent_seconds or self._named.get(name) == beat:
                continue
            if row.waiting is Waiting.STARTING and silence < self._seconds / 4:
                continue
            if time.monotonic() < self._look_again.get(name, 0.0):
                continue
            stack = self._stack(int(row["pid"]))
            if _IMPORTING in _of_main_thread(stack):  # still starting, on a busy machine: no stall
                self._look_again[name] = time.monotonic() + self._silent_seconds
                continue
            self._named[name] = beat
            log.warning("%s has given no sign of life for %.0f s; its stack:\n%s", name, silence, stack)
            said.append(_in_one_line(name, row, silence, stack))
        return said

    def _role(self, name: str) -> Role[Any, Any]:
        return self._roles[role_of(name)]


def _in_one_line(name: str, row: ProcessRow, silence: float, stack: str) -> str:
    """Report a process in one line: what it waits for, and the innermost calls of its main thread."""
    calls = [line.strip() for line in _of_main_thread(stack).splitlines() if line.strip()]
    where = " < ".join(calls[:3])
    return f"{name} {WAITING_TEXT[row.waiting]} and has given no sign of life for {silence:.0f} s: {where}"


def _of_main_thread(stack: str) -> str:
    """Return the calls of the main thread, which faulthandler writes last."""
    return stack.rpartition("(most recent call first):")[2]
