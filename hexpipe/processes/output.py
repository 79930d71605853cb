"""Output that may vanish while a command runs: a closed pipe, a terminal that hangs up, a full disk.

Text that cannot be shown is dropped, with one line in the log, and the work goes on. The same holds for a reader that
does not read (a pager, a terminal held with Ctrl-S): writing waits a moment for it, never without end.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
"""How long a write waits for a reader that does not read; later ones do not wait, until it reads again."""


@contextmanager
def may_go_away(*names: str) -> Iterator[None]:
    """Keep the streams of `sys` called ``names`` ("stdout", "stderr") from failing within the block.

    A closed stream shows nothing. One without a file descriptor (a test's, a notebook's) stays as it is.
    """
    before = {name: getattr(sys, name) for name in names}
    texts = []
    try:
        for name, stream in before.items():
            sink = _sink_for(name, stream)
            if sink is not None:
                encoding = "utf-8" if stream is None else stream.encoding
                errors = "strict" if stream is None else stream.errors or "strict"
                errors = "backslashreplace" if errors == "strict" else errors
                text = io.TextIOWrapper(sink, encoding, errors, line_buffering=True)  # type: ignore[type-var]
                texts.append(text)
                setattr(sys, name, text)
        yield
    finally:
        for name, stream in before.items():
            setattr(sys, name, stream)
        for text in texts:
            text.close()  # flushes, and closes the sink


def _sink_for(name: str, stream: IO[str] | None) -> _Sink | None:
    if stream is None:  # the descriptor was closed when Python started
        return _Sink(name, None)
    buffer = getattr(stream, "buffer", None)
    if not isinstance(getattr(buffer, "raw", buffer), io.FileIO):  # no buffer under PYTHONUNBUFFERED
        return None
    with suppress(OSError, ValueError):
        stream.flush()
    try:
        return _Sink(name, stream.fileno())
    except (OSError, ValueError):
        return _Sink(name, None)


class _Sink(io.RawIOBase):
    """A byte stream that accepts everything and shows what it can."""

    def __init__(self, name: str, descriptor: int | None) -> None:
        self._name = name
        self._descriptor = None if descriptor is None else _opened_again(descriptor)
        self._told = False
        self._patience = PATIENCE_SECONDS

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._descriptor is None:
            raise io.UnsupportedOperation("this stream is closed")
        return self._descriptor

    def isatty(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            if self._descriptor is None:
                raise OSError(errno.EBADF, "it is closed")
            self._show(self._descriptor, rest)
            self._patience = PATIENCE_SECONDS
        except OSError as error:
            self._tell(error)
        return size

    def close(self) -> None:
        if self._descriptor is not None and not self.closed:
            os.close(self._descriptor)
        super().close()

    def _show(self, descriptor: int, rest: memoryview) -> None:
        """Write all of ``rest``; TimeoutError if the reader does not take it."""
        deadline = time.monotonic() + self._patience
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not poll.poll(1000 * left):
                    self._patience = 0.0
                    raise TimeoutError(errno.ETIMEDOUT, "nobody reads it") from None

    def _tell(self, error: OSError) -> None:
        if not self._told and logging.getLogger().handlers:  # without a handler it would go to standard error
            self._told = True
            what = {"stdout": "the standard output", "stderr": "the standard error output"}[self._name]
            log.warning("%s cannot be written to (%s): what cannot be shown is dropped", what, error.strerror)


def _opened_again(descriptor: int) -> int:
    """Open the file of a descriptor anew; a terminal or a pipe becomes non-blocking.

    Blocking is a flag of the open file, which other processes share: hence a new one.
    """
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return os.dup(descriptor)
