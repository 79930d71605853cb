"""The grammar of SGF, FF[4] (red-bean.com/sgf/sgf4.html): collections of game trees, and the main line of one.

Nothing here is specific to Hex. Text outside of trees is ignored, as specified. A ``]`` followed by nothing that may
follow a value is part of the value if there is another on its line: Little Golem writes names without escapes
(``PW[Someone;]]SZ[11]``).

Parsing takes linear time for any text: each character is read a bounded number of times.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hexpipe.errors import NotationError

MOST_CHARACTERS = 1_000_000
"""Maximum of one game; with its comments a long one has some ten thousand."""

_TREE = re.compile(r"\(\s*+(?:[;(]|[A-Za-z]++\s*+\[)")  # or an attempt at one: "(c) 2010" is text
_LOST_NODE = re.compile(r";\s*+[BW]\s*+\[")
_NEW_TREE = re.compile(r"^\(\s*+;", re.MULTILINE)
_TOKEN = re.compile(r"\s*+(?:([();])|([A-Za-z]++)\s*+\[)")
_MORE = re.compile(r"\s*+\[")
_BRACKET = re.compile(r"[\\\]]")
_AFTER_VALUE = re.compile(r"\s*+(?:[\[;()]|[A-Za-z]++\s*+\[|\Z)")
_ANOTHER = re.compile(r"(?:[^\n\]\\]++|\\[^\n])*+\]")
_ESCAPED = re.compile(r"\\(\r\n|\n\r|.)", re.DOTALL)


class GameTree(NamedTuple):
    """One game: the ``nodes`` of its main line, each with the values of its properties by name (in capitals).

    ``variations`` beside it and ``comments`` in it are counted and omitted.
    """

    nodes: tuple[dict[str, tuple[str, ...]], ...]
    variations: int
    comments: int


class Piece(NamedTuple):
    """The ``text`` of one game of a file and its first ``line``, from 1."""

    line: int
    text: str


def find_tree(text: str, at: int = 0) -> int:
    """Return the start of the next game tree after ``at``, well-formed or not; -1 if there is none."""
    match = _TREE.search(text, at)
    return match.start() if match else -1


def split_collection(text: str) -> list[Piece]:
    """Split a collection into game trees, unparsed. A malformed one is a piece too, up to the next line that begins a
    tree.

    Moves outside of trees, as after a superfluous parenthesis, go with the piece before them, which then is invalid. Of
    a tree longer than `MOST_CHARACTERS`, which `read_tree` rejects, only enough is kept to show that.
    """
    reader = _Reader(text)
    pieces: list[Piece] = []
    at, line = 0, 1
    while at < len(text):
        start = find_tree(text, at)
        start = start if start >= 0 else len(text)
        if _LOST_NODE.search(text, at, start):
            before = pieces.pop() if pieces else Piece(line, "")
            pieces.append(Piece(before.line, before.text + text[at : min(start, at + MOST_CHARACTERS)].rstrip()))
        line += text.count("\n", at, start)
        if start == len(text):
            break
        end, closed = _scan(reader, start)
        if not closed and end < len(text):
            again = _NEW_TREE.search(text, max(end, start + 1))
            end = again.start() if again else len(text)
        pieces.append(Piece(line, text[start : min(end, start + MOST_CHARACTERS + 1)].rstrip()))
        line += text.count("\n", start, end)
        at = end
    return pieces


def read_tree(text: str) -> GameTree:
    """Parse a game tree; NotationError if ``text`` is none, or longer than `MOST_CHARACTERS`."""
    if len(text) > MOST_CHARACTERS:
        words = f"a game of more than {MOST_CHARACTERS:,} characters; is a bracket missing in it?"
        raise NotationError(words, kind="range", high=MOST_CHARACTERS)
    reader = _Reader(text)
    nodes: list[dict[str, list[str]]] = []
    branches: list[int] = []  # by open tree: the trees inside it so far
    on_main: list[bool] = []
    variations = comments = 0
    node: dict[str, list[str]] | None = None
    at = begin = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    while at < end:
        token = reader.token(at)
        if token is None:
            raise _broken(text, at)
        if token.kind == "(":
            first = not branches or branches[-1] == 0
            if branches:
                branches[-1] += 1
                variations += not first
            elif at > begin:
                raise _broken(text, at)
            on_main.append(first and (not on_main or on_main[-1]))
            branches.append(0)
            node = None
        elif not branches:
            raise _broken(text, at)
        elif token.kind == ")":
            branches.pop()
            on_main.pop()
            node = None
        elif token.kind == ";":
            if branches[-1]:
                raise _broken(text, at)
            node = {}
            if on_main[-1]:
                nodes.append(node)
        elif node is None:
            raise _broken(text, at)
        elif on_main[-1]:
            name = "".join(letter for letter in token.kind if letter.isupper()) or token.kind.upper()
            node.setdefault(name, []).extend(_plain(text[first:last]) for first, last in token.values)
            comments += name == "C"
        at = token.end
    if branches:
        raise NotationError(
            "a game in SGF ends before its last closing parenthesis; is the file cut off?", kind="syntax"
        )
    if not nodes:
        raise NotationError("a game in SGF has no node; it looks like (;FF[4]GM[11]SZ[11];B[a1])", kind="syntax")
    plain = tuple({name: tuple(values) for name, values in node.items()} for node in nodes)
    return GameTree(plain, variations, comments)


class _Token(NamedTuple):
    """A parenthesis, a semicolon, or a property by its name with the extents of its ``values``; it ends at ``end``."""

    kind: str
    end: int
    values: list[tuple[int, int]]


class _Reader:
    """A tokenizer from any place of a text. ``stuck`` is where the last token is malformed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._unclosed = len(text)  # no value that begins here or later is closed
        self.stuck = 0

    def token(self, at: int) -> _Token | None:
        """Return the token at ``at``, None if there is none."""
        self.stuck = at
        match = _TOKEN.match(self._text, at)
        if match is None:
            return None
        if match[1]:
            return _Token(match[1], match.end(), [])
        name, values = match[2], []
        while match:
            start = match.end()
            end = self._value_end(start)
            if end < 0:
                self.stuck = start
                return None
            values.append((start, end))
            match = _MORE.match(self._text, end + 1)
        return _Token(name, end + 1, values)

    def _value_end(self, at: int) -> int:
        """Return the closing bracket of the value that begins at ``at``, -1 if there is none."""
        text, start = self._text, at
        # repeated searches to the end of the text would take quadratic time
        while start < self._unclosed and (stop := _BRACKET.search(text, at)):
            at = stop.end()
            if stop[0] == "\\":
                at += 1
            elif _AFTER_VALUE.match(text, at) or not _ANOTHER.match(text, at):
                return at - 1
        self._unclosed = min(self._unclosed, start)
        return -1


def _scan(reader: _Reader, start: int) -> tuple[int, bool]:
    """Return the end of the tree that begins at ``start``, and True; or where it is malformed, and False."""
    at, depth = start, 0
    while (token := reader.token(at)) is not None:
        at = token.end
        depth += {"(": 1, ")": -1}.get(token.kind, 0)
        if depth == 0:
            return at, True
    return reader.stuck, False


def _plain(value: str) -> str:
    """Return a value with escapes resolved: an escaped line break is removed, any other character stands for itself."""
    return _ESCAPED.sub(lambda match: "" if match[1] in ("\r\n", "\n\r", "\n", "\r") else match[1], value)


def _broken(text: str, at: int) -> NotationError:
    shown = text[at : at + 20].strip() + ("..." if len(text) > at + 20 else "")
    return NotationError(
        f"{shown!r} cannot stand there in SGF; a game looks like (;FF[4]GM[11]SZ[11];B[a1];W[b2])", kind="syntax"
    )
