"""Lines and replies of HTP, which is GTP (version 2, draft 2, sections 2.4 to 2.10) with Hex's commands.

A line is a command with an id before it, if any, and arguments apart by blanks, in quotation marks where they hold
some. Control characters and what follows a # mean nothing; lines without anything else get no reply, and one of them,
"# interrupt", ends the commands before it (as GoGui has it). A reply begins with "= " or "? ", the id before the blank,
and ends with an empty line. HexGui rejects one without the blank.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from hexpipe.arena.lines import Interruption, read_ahead
from hexpipe.errors import HexpipeError, IllegalMoveError, NotationError

LONGEST_LINE = 1 << 16

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ARGUMENT = re.compile(r'"([^"]*)"|(\S+)')
_ID = re.compile(r"[0-9]+")
INTERRUPT = re.compile(r"\s*#\s*interrupt\s*", re.IGNORECASE)

Handler = Callable[[str, Sequence[str]], str]


class Command(NamedTuple):
    """A line that wants a reply; ``id`` is "" where there is none."""

    id: str
    name: str
    arguments: tuple[str, ...]


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
    interruption = interruption or Interruption(INTERRUPT)
    interruption.watch(sink)
    for number, line in read_ahead(source, interruption, LONGEST_LINE):
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
