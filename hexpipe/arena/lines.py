"""Lines between programs: of bounded length, and with notice of a reader that has gone."""

from __future__ import annotations

import io
import select
from collections.abc import Iterator
from typing import BinaryIO


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
