"""Standard input and output as they may be: closed, full, in an encoding without the characters that are written."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from hexpipe.errors import HexpipeError, UsageError

# They have nothing but their answer; the others have work to do, whether or not somebody looks.
_ANSWERING = (
    "analyze", "bench", "convert", "games", "gomocup", "gtp", "htp", "match", "memory-report", "play-server", "runs",
    "score", "settings", "solve", "tournament",
)  # fmt: skip


def prepare_streams() -> None:
    """Make standard output and error take every text, and keep descriptors 0 to 2 from being files of hexpipe's.

    What an encoding does not have is written as an escape; a file name that is no UTF-8 as the bytes that it is.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed; of the wrong kind, so that whoever uses it is told
            os.open(os.devnull, os.O_RDONLY if number else os.O_WRONLY)
    codecs.register_error("hexpipe", _escape)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="hexpipe")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _Output(
            sys.stdout.buffer,
            encoding=sys.stdout.encoding,
            errors="hexpipe",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )


class LostOutputError(HexpipeError, OSError):
    """Standard output takes nothing more: its disk is full, or it is gone."""


class _Output(io.TextIOWrapper):
    """Standard output, whose errors are told from those of files. A reader that goes away is no error of its own."""

    def write(self, text: str) -> int:
        with _told():
            return super().write(text)

    def flush(self) -> None:
        with _told():
            super().flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LostOutputError(f"standard output cannot be written ({error.strerror})") from error


def check_output(command: str) -> None:
    """Raise UsageError where standard output is closed and ``command`` would answer there."""
    if sys.stdout is None and command in _ANSWERING:
        raise UsageError("standard output is closed: this command answers there")
    if sys.stdout is None and command != "run":  # which says so in its log
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  (as long as the process)


def standard_input() -> BinaryIO:
    """Return standard input in bytes, by a file of its own: Python aborts where a thread still reads `sys.stdin` at the
    end.

    UsageError where it is closed.
    """
    if sys.stdin is None:
        raise UsageError("standard input is closed: this command is told there what to do")
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    except io.UnsupportedOperation:  # it was replaced, as tests do
        return sys.stdin.buffer
    except (OSError, ValueError) as error:
        raise UsageError(f"standard input cannot be read ({error}): this command is told there what to do") from error


def give_up_output() -> None:
    """Forget what could not be written: Python would try again when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in text):  # bytes of a file name
        return bytes(ord(character) - 0xDC00 for character in text), error.end
    return text.replace("…", "...").encode("ascii", "backslashreplace").decode(), error.end
