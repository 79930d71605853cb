"""Lines and replies: the rules of GTP's draft, and any bytes at all."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena import lines
from hexpipe.arena.lines import Interruption
from hexpipe.errors import IllegalMoveError, NotationError, UsageError
from hexpipe.htp.protocol import INTERRUPT, LONGEST_LINE, Command, format_reply, parse_line, serve
from tests.htp.controller import split_replies


@pytest.mark.parametrize(("line", "command"), [
    (b"name\n", Command("", "name", ())),
    (b"12 play b a1\r\n", Command("12", "play", ("b", "a1"))),
    (b"\t play\tb  a1 # a comment\n", Command("", "play", ("b", "a1"))),
    (b"na\x00me\x7f", Command("", "name", ())),
    (b'loadsgf "a file.sgf" 3', Command("", "loadsgf", ("a file.sgf", "3"))),
    (b'loadsgf "half', Command("", "loadsgf", ('"half',))),
    (b"12\n", Command("12", "", ())),
    (b"-1 name", Command("", "-1", ("name",))),
    (b"n\xffame", Command("", "n\ufffdame", ())),
    (b"\n", None),
    (b" \t\r\n", None),
    (b"# all of it\n", None),
    (b"", None),
])  # fmt: skip
def test_lines(line: bytes, command: Command | None) -> None:
    assert parse_line(line) == command


@pytest.mark.parametrize(("reply", "text"), [
    (("", True, ""), b"= \n\n"),
    (("", True, "a1"), b"= a1\n\n"),
    (("3", True, "a1"), b"=3 a1\n\n"),
    (("", False, "syntax error"), b"? syntax error\n\n"),
    (("7", False, ""), b"?7 \n\n"),
    (("", True, "\na\n\nb\n"), b"= \na\n \nb\n\n"),
    (("", True, "a\r\x07b"), b"= ab\n\n"),
])  # fmt: skip
def test_replies(reply: tuple[str, bool, str], text: bytes) -> None:
    assert format_reply(*reply) == text


def served(source: bytes) -> bytes:
    def handle(name: str, arguments: Sequence[str]) -> str:
        errors = {"n": NotationError, "i": IllegalMoveError, "u": UsageError}
        if name in errors:
            raise errors[name]("why")
        return " ".join((name, *arguments))

    sink = io.BytesIO()
    serve(io.BytesIO(source), sink, handle)
    return sink.getvalue()


def test_errors_are_replies() -> None:
    assert served(b"n\n1 i\nu\n") == b"? syntax error: why\n\n?1 illegal move: why\n\n? why\n\n"


def test_nothing_is_heard_after_quit() -> None:
    assert served(b"a\n1 quit now\nb\n") == b"= a\n\n=1 quit now\n\n"
    assert served(b"a") == b"= a\n\n"


def test_lines_that_are_too_long() -> None:
    replies = split_replies(served(b"a" * LONGEST_LINE + b"\nb\n" + b"c" * 3 * LONGEST_LINE + b"\nd\n"))
    assert [reply[:2] for reply in replies] == ["? ", "= ", "? ", "= "]
    assert replies[1] == "= b"
    assert str(LONGEST_LINE) in replies[0]


def test_a_controller_that_has_gone() -> None:
    class Closed(io.BytesIO):
        def flush(self) -> None:
            raise BrokenPipeError

    serve(io.BytesIO(b"a\nb\n"), Closed(), lambda name, arguments: "")


class Session:
    """`serve` in a thread, between pipes; "work" goes on until it is interrupted, anything else is answered at once."""

    def __init__(self) -> None:
        commands, self.write_end = os.pipe()
        self.read_end, answers = os.pipe()
        self.working = threading.Event()
        self.interruption = Interruption(INTERRUPT)
        self.answered, self.source = os.fdopen(self.read_end, "rb"), os.fdopen(commands, "rb")
        self.thread = threading.Thread(target=self.serve, args=(answers,), daemon=True)
        self.thread.start()

    def serve(self, answers: int) -> None:
        with os.fdopen(answers, "wb", buffering=0) as sink:
            serve(self.source, sink, self.handle, self.interruption)

    def handle(self, name: str, arguments: Sequence[str]) -> str:
        if name != "work":
            return name
        self.working.set()
        began = time.monotonic()
        while not self.interruption():
            assert time.monotonic() - began < 200
            time.sleep(0.001)
        self.working.clear()
        return "stopped"

    def send(self, text: bytes) -> None:
        os.write(self.write_end, text)

    def reply(self) -> bytes:
        return self.answered.readline() + self.answered.readline()

    def ends(self) -> bool:
        self.thread.join(200)
        ended = not self.thread.is_alive()
        self.answered.close()
        self.leave()
        while any(thread.name == "controller-lines" for thread in threading.enumerate()):
            time.sleep(0.001)
        self.source.close()
        return ended

    def leave(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
        self.write_end = -1


@pytest.mark.parametrize("words", [b"# interrupt\n", b"  #Interrupt \r\n"])
def test_an_interrupt_ends_the_command_before_it_and_no_later_one(words: bytes) -> None:
    session = Session()
    for number in (1, 2):
        session.send(b"%d work\n" % number)
        assert session.working.wait(200)
        session.send(words)
        assert session.reply() == b"=%d stopped\n\n" % number
    session.send(words + b"name\nwork\n")
    assert session.reply() == b"= name\n\n"
    assert session.working.wait(200)
    assert not session.interruption()
    session.send(b"# interrupted before\n")
    session.send(b"name\n# interrupt\n")
    assert session.reply() == b"= stopped\n\n"
    assert session.reply() == b"= name\n\n"
    session.send(b"quit\n")
    assert session.ends()


def test_a_controller_that_reads_no_more_ends_the_command_and_those_that_wait() -> None:
    session = Session()
    session.send(b"work\nname\nwork\n")
    assert session.working.wait(200)
    session.answered.close()
    assert session.ends()


def test_commands_that_end_under_a_search_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LEAVING_SECONDS", 0.0)
    session = Session()
    session.send(b"work\n")
    assert session.working.wait(200)
    session.leave()
    assert session.reply() == b"= stopped\n\n"
    assert session.ends()


def test_the_end_of_a_script_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that wait are answered in full, and so is a last one whose end came with it."""
    monkeypatch.setattr(lines, "LEAVING_SECONDS", 0.0)
    answers, asked = io.BytesIO(), []
    interruption = Interruption(INTERRUPT)

    def handle(name: str, arguments: Sequence[str]) -> str:
        time.sleep(0.05)  # the end has been read by now
        asked.append(interruption())
        return name

    serve(io.BytesIO(b"a\nb\nc\n"), answers, handle, interruption)
    assert asked[:2] == [False, False]
    monkeypatch.undo()
    serve(io.BytesIO(b"d\n"), answers, handle, interruption)
    assert asked[-1] is False
    assert split_replies(answers.getvalue()) == ["= a", "= b", "= c", "= d"]


LINES = st.binary(max_size=40) | st.text(' \t\r#"0129ab', max_size=20).map(str.encode)


def wants_reply(line: bytes) -> bool:
    """By the draft's words, a character after the other."""
    kept = ""
    for character in line.decode("utf-8", errors="replace"):
        if character == "#":
            break
        if character == "\t" or (character >= " " and character != "\x7f"):
            kept += character
    return bool(kept.strip())


@settings(deadline=None)
@given(st.lists(LINES, max_size=8))
def test_every_line_is_answered_once(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    wanted = [line for line in lines if wants_reply(line)]
    replies = split_replies(served(b"\n".join(lines)))
    stop = next((at for at, line in enumerate(wanted) if parse_line(line).name == "quit"), len(wanted))  # type: ignore[union-attr]
    assert len(replies) == min(stop + 1, len(wanted))
