"""Lines and replies of HTP, which is GTP (version 2, draft 2, sections 2.4 to 2.10) with Hex's commands.

A line is a command with an id before it, if any, and arguments apart by blanks, in quotation marks where they hold
some. Control characters and what follows a # mean nothing; lines without anything else get no reply, and one of them,
"# interrupt", ends the commands before it (as GoGui has it). A reply begins with "= " or "? ", the id before the blank,
and ends with an empty line. HexGui rejects one without the blank.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from hexpipe.arena.lines import bounded_lines, descriptor_of, nobody_reads
from hexpipe.errors import HexpipeError, IllegalMoveError, NotationError

LONGEST_LINE = 1 << 16
LEAVING_SECONDS = 1.0
"""A source that ends so long after its last command came, under that command, was closed by a controller that left;
else it is a script, whose end says nothing."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ARGUMENT = re.compile(r'"([^"]*)"|(\S+)')
_ID = re.compile(r"[0-9]+")
_INTERRUPT = re.compile(r"\s*#\s*interrupt\s*", re.IGNORECASE)
_MOST_AHEAD = 1024  # lines that are read before their turn, so that nobody fills the memory

Handler = Callable[[str, Sequence[str]], str]


class Command(NamedTuple):
    """A line that wants a reply; ``id`` is "" where there is none."""

    id: str
    name: str
    arguments: tuple[str, ...]


class Interruption:
    """A sign that the command at work should end now, with what it has; a search asks by calling it.

    It should where "# interrupt" came after it, and where the controller has gone.
    """

    def __init__(self) -> None:
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
        if _INTERRUPT.fullmatch(line.decode("utf-8", errors="replace")):
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


def parse_line(line: bytes) -> Command | None:
    """Return the command of a line; None where it is blank or a comment. Bytes that are no UTF-8 stand for themselves
    only."""
    text = _CONTROL.sub("", line.decode("utf-8", errors="replace")).split("#", 1)[0]
    words = [quoted or plain for quoted, plain in _ARGUMENT.findall(text)]
    if not words:
        return None
    number = words.pop(0) if _ID.fullmatch(words[0]) else ""
    return Command(number, words[0] if words else "", tuple(words[1:]))


def format_reply(number: str, success: bool, text: str) -> bytes:
    """Return the reply ``text`` to the command with the id ``number``; empty lines in it become blank ones."""
    first, *others = [_CONTROL.sub("", line) for line in text.rstrip("\n").split("\n")]
    lines = [first, *(line or " " for line in others)]
    return (f"{'=' if success else '?'}{number} " + "\n".join(lines) + "\n\n").encode("utf-8", errors="replace")


def serve(source: BinaryIO, sink: BinaryIO, handle: Handler, interruption: Interruption | None = None) -> None:
    """Answer every line of ``source`` on ``sink`` until "quit" or the end; ``handle`` gets names and arguments.

    What ``handle`` returns is the reply; what it raises, of HexpipeError, is one that begins with "?". A thread reads
    ahead and tells ``interruption`` what it reads; a controller that has gone is answered no more.
    """
    interruption = interruption or Interruption()
    interruption.watch(sink)
    for number, line in _read_ahead(source, interruption):
        if len(line) > LONGEST_LINE:
            command, success = Command("", "", ()), False
            text = f"syntax error: a line has {LONGEST_LINE} bytes at most"
        else:
            parsed = parse_line(line)
            if parsed is None:
                continue
            if interruption.unread:
                return
            command = parsed
            interruption.begin(number)
            success, text = _answer(handle, command)
        try:
            sink.write(format_reply(command.id, success, text))
            sink.flush()
        except OSError:  # the controller has gone
            return
        if command.name == "quit" and success:
            return


def _answer(handle: Handler, command: Command) -> tuple[bool, str]:
    try:
        return True, handle(command.name, command.arguments)
    except NotationError as error:
        return False, f"syntax error: {error}"
    except IllegalMoveError as error:
        return False, f"illegal move: {error}"
    except HexpipeError as error:
        return False, str(error)


def _read_ahead(source: BinaryIO, interruption: Interruption) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines of ``source``, which a thread reads as they come."""
    lines: queue.Queue[tuple[int, bytes] | None] = queue.Queue(_MOST_AHEAD)

    def read() -> None:
        try:
            for line in bounded_lines(source, LONGEST_LINE):
                lines.put((interruption.line_read(line), line))
        except (OSError, ValueError):  # a terminal that was closed, or a source that was
            pass
        interruption.source_ended()
        lines.put(None)

    threading.Thread(target=read, name="htp-lines", daemon=True).start()
    while (item := lines.get()) is not None:
        yield item
