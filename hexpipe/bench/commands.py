"""A `hexpipe` command as a process of its own, for benchmarks of whole commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

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


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command line of `hexpipe` with ``arguments``; PYTHONPATH says whose."""
    return [sys.executable, "-P", "-m", "hexpipe.cli.main", *arguments]


def answer_of(
    arguments: Sequence[str], environment: Mapping[str, str], error: type[HexpipeError] = HexpipeError, where: str = ""
) -> dict[str, Any]:
    """Run `hexpipe` with ``arguments`` and return the JSON object of its last line.

    Raises ``error``, with the last line that it said and ``where``, if it fails.
    """
    done = subprocess.run(
        command_line(arguments), env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines and lines[-1].startswith("{"):
        return dict(json.loads(lines[-1]))
    words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
    raise error(f"hexpipe {' '.join(arguments)}{where} ended with code {done.returncode}: {words}")


@contextmanager
def running(arguments: Sequence[str], output: Path) -> Iterator[Command]:
    """Run `hexpipe` with ``arguments`` for the length of the block; all that it says goes to the file ``output``.

    After the block it is asked for an orderly end, as Ctrl-C does, and killed a minute later.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with output.open("wb") as sink:
        process = start(command_line(arguments), sink, environment)
    try:
        yield Command(process, output)
    finally:
        process.send_signal(signal.SIGINT)  # nothing, where it has ended
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
