"""Lines and replies: the rules of GTP's draft, and any bytes at all."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import IllegalMoveError, NotationError, UsageError
from hexpipe.htp.protocol import LONGEST_LINE, Command, format_reply, parse_line, serve
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
