"""Bodies of toy child processes for the supervisor's tests."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from pathlib import Path

from hexpipe.errors import DivergedError, InferenceError, UsageError
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.stats import Waiting
from hexpipe.records import GameRecord
from hexpipe.replay.outbox import Outboxes


def idle(context: ChildContext) -> None:
    context.set_ready()
    while not context.stopping():
        context.row.beat()
        time.sleep(0.01)


def fail(context: ChildContext, after: float = 0.0) -> None:
    time.sleep(after)
    raise ValueError(f"broken in {context.name}")


def want_what_there_is_not(context: ChildContext) -> None:
    raise UsageError("there is no such backend here; take another")


def fail_because_of_server(context: ChildContext) -> None:
    raise InferenceError("inference-0 failed")


def fail_once(context: ChildContext) -> None:
    if not context.me.restarts:
        os.kill(os.getpid(), signal.SIGKILL)
    idle(context)


def report_environment(context: ChildContext) -> None:
    context.row.note = os.environ["OMP_NUM_THREADS"] + os.environ["OMP_WAIT_POLICY"]
    idle(context)


def send_until_killed(context: ChildContext, outboxes: Outboxes, game: bytes) -> None:
    sender = outboxes.sender(context.number)
    record = GameRecord.from_bytes(game)
    context.set_ready()
    while not context.stopping():
        if sender.send(record, lambda: not context.stopping()):
            context.row.add("games", 1)


def wait_for_godot() -> None:
    time.sleep(1000)


def get_stuck(context: ChildContext) -> None:
    context.set_ready()
    context.row.beat(Waiting.OUTBOX)
    wait_for_godot()


def diverge(context: ChildContext) -> None:
    context.set_ready()
    raise DivergedError("nothing is finite")


class Treacherous:
    """A part of a child that cannot be unpickled any more once the file ``path`` is there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self.path,)


def _unpickled(path: Path) -> Treacherous:
    if path.exists():
        raise OSError("out of everything")
    return Treacherous(path)


def hold(context: ChildContext, part: Treacherous) -> None:
    idle(context)


def load_nothing() -> None:
    """What a nursery of toys loads."""


def load_badly() -> None:
    raise RuntimeError("this nursery is broken")


def refuse_the_third() -> None:
    """Have the nursery find no room for its third child."""
    fork, left = os.fork, [None, None]

    def refusing() -> int:
        if not left:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        left.pop()
        return fork()

    os.fork = refusing


def allow_few_files() -> None:
    """Have the nursery open no more than 128 files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
