"""RUN/metrics.jsonl: the figures of a run over time, which also go to its trackers. Imports no torch."""

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
"""Most bytes of a line of figures."""
_MOST = 1e300
_BLOCK = 1 << 20


def metrics_lines(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of RUN/metrics.jsonl, their numbers by name; malformed ones are skipped (the last may be
    incomplete).

    OSError if there is no such file, RunFolderError if it is a link or a pipe.
    """
    with open_own(run_dir / "metrics.jsonl", "rb") as lines:
        for text in lines:
            line = metrics_line(text)
            if line:
                yield line


def metrics_line(text: bytes) -> dict[str, Any]:
    """Return the numbers of one line by name, none if it is malformed."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    found = line.items() if isinstance(line, dict) else ()
    return {name: value for name, value in found if isinstance(value, (int, float)) and abs(value) < _MOST}


def newest_figures(run_dir: Path, names: Collection[str]) -> dict[str, float]:
    """Return the newest value of each of ``names`` in RUN/metrics.jsonl, read from its end and no further than needed.

    OSError if there is no such file, RunFolderError if it is a link or a pipe.
    """
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
    """Writer of lines of figures to metrics.jsonl, and to every tracker that the settings name."""

    def __init__(self, run_dir: Path, settings: Settings) -> None:
        self._lines = open_own(run_dir / "metrics.jsonl", "a")
        self._trackers = open_trackers(run_dir, settings)

    def write(self, line: dict[str, Any]) -> None:
        """Write one dict of numbers by name; "steps" is the trackers' axis. Lines that find the disk full are written
        later."""
        with room_may_lack():
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()
        for tracker in self._trackers:
            with room_may_lack():
                tracker.write(line)

    def close(self) -> None:
        """Flush what is buffered."""
        for tracker in self._trackers:
            with room_may_lack():
                tracker.close()
        with room_may_lack():
            self._lines.close()


@contextmanager
def room_may_lack() -> Iterator[None]:
    """Suppress errors of a full disk within the block: the run reports it, and need not end for it."""
    try:
        yield
    except (OSError, DiskFullError) as error:
        if not isinstance(error, DiskFullError) and not is_disk_full(error):
            raise
