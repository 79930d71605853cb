"""RUN/metrics.jsonl: the figures of a run over time, which go to its trackers too. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hexpipe.config import Settings
from hexpipe.errors import DiskFullError, is_disk_full
from hexpipe.plain_files import open_own
from hexpipe.watch.trackers import open_trackers

LONGEST_LINE = 1 << 20
"""Bytes of a line that can be one of figures."""
_MOST = 1e300
_BLOCK = 1 << 20


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


def newest_figures(run_dir: Path, names: Collection[str]) -> dict[str, float]:
    """The newest value of each of ``names`` that RUN/metrics.jsonl has. It is read from its end and no further than is
    needed. OSError where there is no such file, RunFolderError where it is a link or a pipe."""
    found: dict[str, float] = {}
    with open_own(run_dir / "metrics.jsonl", "rb") as file:
        for text in _lines_from_the_end(file):
            missing = [name for name in names if name not in found]
            if not missing:
                break
            if any(name.encode() in text for name in missing):
                line = metrics_line(text)
                found |= {name: line[name] for name in missing if name in line}
    return found


def _lines_from_the_end(file: IO[bytes]) -> Iterator[bytes]:
    end, rest = file.seek(0, 2), b""
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        lines = (file.read(end - begin) + rest[-LONGEST_LINE:]).split(b"\n")
        rest = lines[0]
        yield from reversed(lines[1:])
        end = begin
    yield rest


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
