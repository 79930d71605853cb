"""RUN/metrics.jsonl: the figures of a run over time, which go to its trackers too. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hexpipe.config import Settings
from hexpipe.errors import DiskFullError, is_disk_full
from hexpipe.pipeline.trackers import open_trackers
from hexpipe.plain_files import open_own

_MOST = 1e300


def metrics_lines(run_dir: Path) -> Iterator[dict[str, Any]]:
    """The lines of RUN/metrics.jsonl, their numbers by name; what is no such line is left out (the last may be half
    written). OSError where there is no such file, RunFolderError where it is a link or a pipe."""
    with open_own(run_dir / "metrics.jsonl", "rb") as lines:
        for text in lines:
            line = metrics_line(text)
            if line:
                yield line


def metrics_line(text: bytes) -> dict[str, Any]:
    """The numbers of one line by name, none where it is no such line."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    found = line.items() if isinstance(line, dict) else ()
    return {name: value for name, value in found if isinstance(value, (int, float)) and abs(value) < _MOST}


class MetricsWriter:
    """Appends one line of figures to metrics.jsonl and gives it to every tracker that the settings name."""

    def __init__(self, run_dir: Path, settings: Settings) -> None:
        self._lines = open_own(run_dir / "metrics.jsonl", "a")
        self._trackers = open_trackers(run_dir, settings)

    def write(self, line: dict[str, Any]) -> None:
        """Write one dict of numbers by name; "steps" is the trackers' axis. What finds no room on the disk comes with
        a later line."""
        with room_may_lack():
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()
        for tracker in self._trackers:
            with room_may_lack():
                tracker.write(line)

    def close(self) -> None:
        """Write out what is buffered."""
        for tracker in self._trackers:
            with room_may_lack():
                tracker.close()
        with room_may_lack():
            self._lines.close()


@contextmanager
def room_may_lack() -> Iterator[None]:
    """Goes on where what is written within finds the disk full: the run says so, and need not end for it."""
    try:
        yield
    except (OSError, DiskFullError) as error:
        if not isinstance(error, DiskFullError) and not is_disk_full(error):
            raise
