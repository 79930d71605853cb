"""A `hexpipe` command as a process of its own, for benchmarks of whole commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from hexpipe.errors import HexpipeError

_END_SECONDS = 60.0


class Command(NamedTuple):
    """A command at work, and the file that all it says goes to."""

    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        """Return all that it has said."""
        return self.output.read_text(errors="replace")

    def check(self, ended: str) -> None:
        """Raise HexpipeError with ``ended`` and what it has said, where it has ended."""
        if self.process.poll() is not None:
            raise HexpipeError(f"{ended}:\n{self.said()}")


def start(
    command: Sequence[str], sink: IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process without input; all that it says goes to ``sink``."""
    return subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)


@contextmanager
def running(arguments: Sequence[str], output: Path) -> Iterator[Command]:
    """Run `hexpipe` with ``arguments`` for the length of the block; all that it says goes to the file ``output``.

    After the block it is asked for an orderly end, as Ctrl-C does, and killed a minute later.
    """
    command = [sys.executable, "-P", "-m", "hexpipe.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with output.open("wb") as sink:
        process = start(command, sink, environment)
    try:
        yield Command(process, output)
    finally:
        process.send_signal(signal.SIGINT)  # nothing, where it has ended
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
