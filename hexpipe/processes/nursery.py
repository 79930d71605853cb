"""The nursery: the one process of a run from which all others are forked, so that they share what it has loaded.

It is a fork server of multiprocessing: single-threaded and without a GPU, it imports a module, whose import loads what
most roles need, and then only forks. Each child copies the pages that it writes to.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import current_process
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from hexpipe.errors import HexpipeError
from hexpipe.processes.interrupts import signals_blocked
from hexpipe.processes.machine import exported, thread_environment

COMMAND_WORDS = "multiprocessing.forkserver"
"""A part of the command line of a nursery and its children."""
DIED_EXIT = 255
"""The exit code of what a nursery has forked where it is dead, and cannot tell another."""
_server: Any = forkserver._forkserver
_LONGEST_TEMPORARY = 70  # bytes: a socket's path has 107 at most, of which 34 come behind
_LAST = -100  # as multiprocessing removes its own folder
_here: int | None = None  # in the nursery and its children: the nursery's process id


@dataclass(frozen=True)
class Nursery:
    """What the nursery loads: ``module``, which it imports, with the variables of ``environment`` set.

    A process has one at a time.
    """

    module: str
    environment: Mapping[str, str]

    def begin(self) -> None:
        """Begin the nursery, without waiting for what it loads. Its children have the limits that this process has
        now."""
        with self.at_hand():
            pass

    @contextlib.contextmanager
    def at_hand(self) -> Iterator[ForkServerContext]:
        """Begin the nursery unless it is there; in the block the context's processes start in it. HexpipeError where
        it cannot be."""
        with exported({**thread_environment(1), **self.environment}), signals_blocked():
            multiprocessing.set_forkserver_preload([self.module])
            try:
                _make_folder()
                forkserver.ensure_running()
            except OSError as error:
                words = f"the process from which others are forked cannot begin ({error}): it needs a socket in TMPDIR"
                raise HexpipeError(words) from error
            yield multiprocessing.get_context("forkserver")

    def end(self) -> None:
        """End the nursery, where it was begun, and with it any children that are left."""
        if _server._forkserver_pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(_server._forkserver_pid, signal.SIGKILL)
            _server._stop()


def _make_folder() -> None:
    """Make the private folder of multiprocessing's sockets; in /tmp where the path of the usual one is too long."""
    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is None:
        fits = len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_TEMPORARY
        config["tempdir"] = folder = tempfile.mkdtemp(prefix="hexpipe-", dir=None if fits else "/tmp")
        Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=_LAST)


def become_nursery() -> None:
    """Make this process the nursery, once all is loaded: it forks until the process that began it has ended it, or is
    dead."""
    global _here  # noqa: PLW0603
    _here = os.getpid()
    atexit.register(_clean_up)
    gc.collect()
    gc.freeze()  # the collector writes to what it looks at, which would copy it into every child


def _clean_up() -> None:
    """Remove the folder of the server's socket, where this process ends because the one that began it is dead."""
    if os.getpid() == _here:
        with contextlib.suppress(OSError):
            shutil.rmtree(Path(_server._forkserver_address).parent)


def leave_nursery() -> int | None:
    """Call this first in a process that may have been forked in a nursery, so that the nursery ends with the process
    that began it and waits for no child; return the nursery's process id, or None where there is none."""
    if _here is not None and _server._forkserver_alive_fd is not None:
        os.close(_server._forkserver_alive_fd)
        _server._forkserver_alive_fd = None
    return _here
