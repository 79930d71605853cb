"""The figures of a run over time, thinned to a screen's resolution, from an incrementally read file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from hexpipe.plain_files import open_own
from hexpipe.watch.metrics import LONGEST_LINE, metrics_line

MOST_NAMES = 1000
_BLOCK = 1 << 20
_TAIL = 256


class Curves:
    """Curves of every figure that ``wanted`` names in the file at ``path``, whose lines are those of `watch.metrics`.

    Memory is bounded for any file: ``most_points`` times MOST_NAMES figures and a line. A point stands for as many
    lines as necessary, and has the newest value of each figure in them.
    """

    def __init__(self, path: Path, most_points: int, wanted: Callable[[str], bool] = lambda name: True) -> None:
        self._path, self._wanted = path, wanted
        self._most = (most_points - 1) // 2 * 2  # an even number, plus one for an unfinished line
        self._file: tuple[int, int] | None = None
        self._begin()

    def update(self) -> bool:
        """Read what was added, or all of a replaced or rewritten file; return whether there was any.

        Without a file there are no figures; RunFolderError if it is a link or a pipe.
        """
        try:
            stream = open_own(self._path, "rb")
        except OSError:
            changed = self._read > 0
            self._begin()
            return changed
        with stream:
            changed = not self._goes_on(stream)
            if changed:
                self._begin()
            self.bytes_read = 0
            stream.seek(self._read)
            while block := stream.read(_BLOCK):
                self._take(block)
        return changed or self.bytes_read > 0

    def series(self) -> dict[str, list[float | None]]:
        """Return the figures by name, sorted, at most ``most_points`` of each, None where unknown."""
        points = [*self._points, last] if (last := self._figures(self._rest)) else self._points
        return {name: [point.get(name) for point in points] for name in sorted(set().union(*points))}

    def _begin(self) -> None:
        self._points: list[dict[str, float]] = []
        self._names: set[str] = set()
        self._stride, self._lines_in_last = 1, 0
        self._read, self._tail, self._rest = 0, b"", b""
        self.bytes_read = 0
        """Bytes of the file read by the last `update`."""

    def _goes_on(self, stream: IO[bytes]) -> bool:
        """Return whether the part that was read is still at the beginning of the file."""
        status = os.fstat(stream.fileno())
        before, self._file = self._file, (status.st_dev, status.st_ino)
        if self._file != before or status.st_size < self._read:
            return False
        stream.seek(self._read - len(self._tail))
        return stream.read(len(self._tail)) == self._tail

    def _take(self, block: bytes) -> None:
        self._read += len(block)
        self.bytes_read += len(block)
        self._tail = (self._tail + block)[-_TAIL:]
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()[:LONGEST_LINE]  # a line that is cut is discarded
        for line in lines:
            figures = self._figures(line)
            if figures:
                self._add(figures)

    def _figures(self, text: bytes) -> dict[str, float]:
        figures: dict[str, Any] = {}
        for name, value in metrics_line(text).items():
            if self._wanted(name) and (name in self._names or len(self._names) < MOST_NAMES):
                self._names.add(name)
                figures[name] = value
        return figures

    def _add(self, figures: dict[str, float]) -> None:
        """Add one line, to the newest point if that has room."""
        if self._points and self._lines_in_last < self._stride:
            self._points[-1] |= figures
            self._lines_in_last += 1
            return
        if len(self._points) == self._most:
            self._points = [one | other for one, other in zip(self._points[::2], self._points[1::2], strict=True)]
            self._stride *= 2
        self._points.append(figures)
        self._lines_in_last = 1
