"""A `hexpipe` command as a process of its own, for benchmarks of whole commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(arguments: Sequence[str], output: Path, end_seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """`hexpipe` with ``arguments`` for the length of the block; all that it says goes to the file ``output``.

    After the block it is asked for an orderly end, as Ctrl-C does, and killed ``end_seconds`` later.
    """
    command = [sys.executable, "-P", "-m", "hexpipe.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # nothing, where it has ended
        try:
            process.wait(end_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
