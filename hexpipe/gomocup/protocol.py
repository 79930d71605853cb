"""Lines and answers of the Gomocup protocol (plastovicka.github.io/protocl2en.htm).

A line is a command, in letters of either case, and what it is told after a blank. Control characters mean nothing, and
empty lines get no answer. An answer is a line or several, of which all but the last are messages for people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from hexpipe.arena.lines import Interruption, read_ahead
from hexpipe.errors import HexpipeError

LONGEST_LINE = 1 << 12
END = "END"
INTERRUPT = re.compile(r"\s*(END|STOP|YXSTOP)\s*", re.IGNORECASE)
"""Lines that end a search; the last two, which YixinBoard sends, with the best move so far."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Handler = Callable[[str, str], Sequence[str]]


class Command(NamedTuple):
    """A line that is not empty: its first word, in capitals, and the rest."""

    name: str
    rest: str


def parse_line(line: bytes) -> Command | None:
    """Return the command of a line, None where it is empty. Bytes that are no UTF-8 stand for themselves only."""
    name, _, rest = _CONTROL.sub("", line.decode("utf-8", errors="replace")).strip().partition(" ")
    return Command(name.upper(), rest.strip()) if name else None


def format_answer(lines: Sequence[str]) -> bytes:
    """Return the ``lines`` of an answer; line breaks and control characters in them become blanks."""
    return "".join(re.sub(r"[\x00-\x1f\x7f]+", " ", line) + "\n" for line in lines).encode("utf-8", errors="replace")


def serve(source: BinaryIO, sink: BinaryIO, handle: Handler, interruption: Interruption | None = None) -> None:
    """Answer every line of ``source`` on ``sink`` until END, or the end; ``handle`` gets a command and what follows it.

    What ``handle`` returns are the lines of the answer, none where none is expected; what it raises, of HexpipeError,
    is one that begins with "ERROR". A thread reads ahead and tells ``interruption`` what it reads; a manager that has
    gone is answered no more.
    """
    interruption = interruption or Interruption(INTERRUPT)
    interruption.watch(sink)
    for number, line in read_ahead(source, interruption, LONGEST_LINE):
        command = parse_line(line)
        if command is None:
            continue
        if command.name == END or interruption.unread:
            return
        interruption.begin(number)
        if len(line) > LONGEST_LINE:
            answer: Sequence[str] = [f"ERROR a line has {LONGEST_LINE} bytes at most"]
        else:
            try:
                answer = handle(command.name, command.rest)
            except HexpipeError as error:
                answer = [f"ERROR {error}"]
        try:
            sink.write(format_answer(answer))
            sink.flush()
        except OSError:  # the manager has gone
            return
