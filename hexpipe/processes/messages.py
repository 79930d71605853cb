"""What the supervisor passes to a child at its spawn, and how a child reports its cause of death."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hexpipe.config import Settings
from hexpipe.errors import DivergedError, GoneError, InferenceError, UsageError
from hexpipe.plain_files import own_folder, read_document
from hexpipe.processes.main_guard import NO_GUARD, NO_GUARD_EXIT
from hexpipe.processes.nursery import NURSERY_DIED
from hexpipe.processes.run_state import ProcessState, RunState
from hexpipe.processes.stats import ProcessRow, StatsBoard, Waiting
from hexpipe.run_folder import write_atomic

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
DISK_FULL_EXIT = 74  # EX_IOERR of sysexits.h


@dataclass(frozen=True)
class ChildContext:
    """The context of every child: its identity, the settings, the run folder, the stats board and the run's state.

    ``searches``: it is a client of inference servers, and ends when they do.
    """

    name: str
    number: int
    settings: Settings
    run_dir: Path
    stats: StatsBoard
    state: RunState
    session: int = 0
    run_started: float = 0.0  # monotonic seconds
    searches: bool = False

    @property
    def row(self) -> ProcessRow:
        """This child's own row of the stats board."""
        return self.stats.row(self.name)

    @property
    def me(self) -> ProcessState:
        """The numbers shared by the supervisor and this child."""
        return self.state.of(self.name)

    def stopping(self) -> bool:
        """Return whether the supervisor has asked this process to stop."""
        return bool(self.me.stop)

    def heartbeat(self, waiting: Waiting) -> bool:
        """Send a heartbeat while ``waiting``; return False if the supervisor has asked this process to stop."""
        self.row.beat(waiting)
        return not self.stopping()

    def wait_until(self, condition: Callable[[], bool], waiting: Waiting) -> bool:
        """Wait for ``condition()`` with heartbeats; return False if the supervisor has asked this process to stop."""
        while not condition():
            if not self.heartbeat(waiting):
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def set_ready(self) -> None:
        """Mark the process as started and at work."""
        self.me.set_ready()
        log.info("ready after %.1f s", self.me.ready - self.row["started"])
        self.row.beat()


@dataclass(frozen=True)
class Death:
    """The cause of a process's death. ``when`` is in monotonic seconds, the same clock for all processes.

    ``follows`` means that another's death caused it: a client of a failed inference server. ``usage`` is the message of
    a UsageError before the process was ready: something it was asked for is unavailable. ``disk_full`` means that it
    had no room to write, perhaps not even its error. ``final``: a replacement would die in the same way.
    """

    process: str
    pid: int
    when: float
    details: str
    follows: bool = False
    usage: str = ""
    disk_full: bool = False
    final: bool = False


def write_error(run_dir: Path, process: str, error: BaseException, ready: bool, searches: bool = False) -> None:
    """Write RUN/errors/<process>-<pid>.json: the time, the error and its traceback."""
    folder = own_folder(run_dir / "errors")
    content: dict[str, Any] = {
        "process": process,
        "pid": os.getpid(),
        "monotonic": time.monotonic(),
        "time": time.time(),
        "error": f"{type(error).__name__}: {error}",
        "usage": str(error) if isinstance(error, UsageError) and not ready else "",
        "follows": isinstance(error, InferenceError) and searches,
        "final": isinstance(error, (DivergedError, GoneError)),
        "traceback": "".join(traceback.format_exception(error)),
    }
    write_atomic(folder / f"{process}-{os.getpid()}.json", json.dumps(content, indent=1) + "\n")


def forget_error(run_dir: Path, process: str, pid: int) -> None:
    """Remove the error file of an earlier process of that name and pid; call it when a new one has been started."""
    (run_dir / "errors" / f"{process}-{pid}.json").unlink(missing_ok=True)


def read_death(run_dir: Path, process: str, pid: int, exit_code: int) -> Death:
    """Return the cause of a process's death: from its error file, else the signal or exit code."""
    full = exit_code == DISK_FULL_EXIT
    try:
        content = read_document(run_dir / "errors" / f"{process}-{pid}.json")
        details = str(content["traceback"]).rstrip()
        when, follows = float(content["monotonic"]), bool(content["follows"])
        return Death(process, pid, when, details, follows, content["usage"], full, bool(content["final"]))
    except (OSError, ValueError, KeyError, TypeError):
        usage = NO_GUARD if exit_code == NO_GUARD_EXIT else ""
        return Death(process, pid, time.monotonic(), describe_exit(exit_code), usage=usage, disk_full=full)


def describe_exit(exit_code: int) -> str:
    """Describe an exit code in words."""
    if exit_code == DISK_FULL_EXIT:
        return "it found no room on the disk"
    if exit_code == NURSERY_DIED:
        return "the process that it was forked from has died, and all others with it"
    if exit_code >= 0:
        return f"it ended with exit code {exit_code} and said nothing"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = str(-exit_code)
    hint = {
        "SIGKILL": " (by someone, or by the kernel because memory ran out)",
        "SIGSEGV": " (a crash in compiled code)",
        "SIGBUS": " (shared memory or a mapped file could not be provided)",
    }.get(name, "")
    return f"it was killed by signal {name}{hint}"
