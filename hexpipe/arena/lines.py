"""Lines between programs: of bounded length, read ahead of their turn, and with notice of a reader that has gone."""

from __future__ import annotations

import io
import queue
import re
import select
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

LEAVING_SECONDS = 1.0
"""A source that ends so long after its last command came, under that command, was closed by a controller that left;
else it is a script, whose end says nothing."""

_MOST_AHEAD = 1024  # lines that are read before their turn, so that nobody fills the memory


def bounded_lines(source: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield the lines of ``source``; of one of more than ``longest`` bytes only its beginning, one byte longer than
    that."""
    while line := source.readline(longest + 1):
        part = line
        while len(part) > longest and not part.endswith(b"\n"):
            part = source.readline(longest + 1)
        yield line


def descriptor_of(sink: BinaryIO) -> int | None:
    """Return the descriptor that ``sink`` writes to, None where it has none."""
    try:
        return sink.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return None


def nobody_reads(descriptor: int | None) -> bool:
    """Return whether ``descriptor`` is a pipe, a socket or a terminal that nobody reads any more."""
    if descriptor is None:
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors and hang-ups, which are always told
    return bool(poll.poll(0))


class Interruption:
    """A sign that the command at work should end now, with what it has; a search asks by calling it.

    It should where a line that ``interrupts`` fully matches came after it, and where the controller has gone.
    """

    def __init__(self, interrupts: re.Pattern[str]) -> None:
        self._interrupts = interrupts
        self._read = self._interrupted = self._at_work = 0  # numbers of lines, from 1
        self._last_read = time.monotonic()
        self._watched: int | None = None

    def __call__(self) -> bool:
        return self._at_work <= self._interrupted or self.unread

    @property
    def unread(self) -> bool:
        """True where nobody reads what is written any more."""
        return nobody_reads(self._watched)

    def watch(self, sink: BinaryIO) -> None:
        """Notice where nobody reads ``sink`` any more, a pipe or a socket; what has no descriptor is not watched."""
        self._watched = descriptor_of(sink)

    def line_read(self, line: bytes) -> int:
        """Note a line of the controller's, as it comes; returns its number."""
        self._read += 1
        if self._interrupts.fullmatch(line.decode("utf-8", errors="replace")):
            self._interrupted = self._read
        self._last_read = time.monotonic()
        return self._read

    def source_ended(self) -> None:
        """Note that no more lines will come."""
        if self._at_work == self._read and time.monotonic() - self._last_read > LEAVING_SECONDS:
            self._interrupted = self._read

    def begin(self, number: int) -> None:
        """Note that the command of line ``number`` is at work now."""
        self._at_work = number


def read_ahead(source: BinaryIO, interruption: Interruption, longest: int) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines of ``source``, which a thread reads as they come (`bounded_lines`)."""
    lines: queue.Queue[tuple[int, bytes] | None] = queue.Queue(_MOST_AHEAD)

    def read() -> None:
        try:
            for line in bounded_lines(source, longest):
                lines.put((interruption.line_read(line), line))
        except (OSError, ValueError):  # a terminal that was closed, or a source that was
            pass
        interruption.source_ended()
        lines.put(None)

    threading.Thread(target=read, name="controller-lines", daemon=True).start()
    while (item := lines.get()) is not None:
        yield item
