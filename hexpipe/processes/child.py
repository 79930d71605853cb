"""Entry point of every child process: signals, logging, death of the parent, and the report of its last error.

The bodies are in the roles. This module and all its imports must stay free of torch: a child has imported it
before it knows its role.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from hexpipe.errors import DiskFullError, RunFolderError, is_disk_full
from hexpipe.games.own_games import import_game
from hexpipe.plain_files import open_own
from hexpipe.processes.messages import DISK_FULL_EXIT, ChildContext, write_error
from hexpipe.processes.nursery import nursery_of_this_process
from hexpipe.processes.stall_watch import answer_with_stack
from hexpipe.run_folder import LOG_NAME
from hexpipe.shm import set_parent_death_signal

LOG_FORMAT = "%(asctime)s %(processName)s %(levelname)s %(message)s"


def child_main(context: ChildContext, target: str, parts: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Run ``target`` ("package.module:function") with its ``parts``: the main function of every child.

    ``environment``: its variables, which a process that was spawned has already. An exception is written to RUN/errors
    and ends the process with exit code 1.
    """
    os.environ.update(environment)
    set_parent_death_signal(nursery_of_this_process())
    # Ctrl-C reaches the whole process group, and an init system may signal every process: the supervisor alone decides
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    setup_logging(context.run_dir)
    stacks = answer_with_stack(context.run_dir)
    context.me.ready = 0.0
    context.row.begin(os.getpid())
    try:
        import_game(context.settings.game)  # named by the user who started the run
        module, _, function = target.partition(":")
        getattr(importlib.import_module(module), function)(context, **parts)
    except Exception as error:
        full = isinstance(error, DiskFullError) or is_disk_full(error)
        with suppress(OSError, DiskFullError, RunFolderError):
            write_error(context.run_dir, context.name, error, bool(context.me.ready), context.searches)
        logging.getLogger(__name__).exception("%s died", context.name)
        with suppress(OSError):
            logging.shutdown()
        # threads of libraries that still run must not keep a broken process alive
        os._exit(DISK_FULL_EXIT if full else 1)
    context.me.done = 1
    stacks.close()
    logging.shutdown()
    # everything is written and reported: tearing torch's libraries down would only take seconds
    os._exit(0)


@contextmanager
def logging_to(run_dir: Path) -> Iterator[None]:
    """Set up logging as `setup_logging` within the block, in a process that lives on after it."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    setup_logging(run_dir)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler in list(root.handlers):
            root.removeHandler(handler)
            handler.close()
        for handler in before:
            root.addHandler(handler)
        root.setLevel(level)


class _LogFile(logging.FileHandler):
    """A log file where a full disk, which the run reports otherwise, costs lines of the log and no more."""

    def _open(self) -> TextIOWrapper:
        file: TextIOWrapper = open_own(Path(self.baseFilename), "a")  # type: ignore[assignment]
        file.reconfigure(errors="backslashreplace")  # file names may not be UTF-8
        return file

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not is_disk_full(sys.exception()):
            super().handleError(record)


def setup_logging(run_dir: Path, level: int = logging.INFO) -> None:
    """Send this process's log to RUN/hexpipe.log, which all processes append to line by line."""
    handler = _LogFile(run_dir / LOG_NAME, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
