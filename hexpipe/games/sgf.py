"""The grammar of SGF, FF[4] (red-bean.com/sgf/sgf4.html): collections of game trees, and the main line of one.

Nothing here knows Hex. Text between trees is ignored, as the specification wants. A ``]`` after which nothing comes
that may follow a value is a part of it if there is another on its line: Little Golem writes names without escapes
(``PW[Someone;]]SZ[11]``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hexpipe.errors import NotationError

_VALUE = r"\[(?:[^\\\]]|\\.|\](?!\s*(?:[\[;()]|[A-Za-z]+\s*\[|\Z))(?=[^\n\]]*\]))*\]"
_PROPERTY = rf"([A-Za-z]+)\s*({_VALUE}\s*(?:{_VALUE}\s*)*)"
_TOKEN = re.compile(rf"\s*(?:([();])|{_PROPERTY})\s*", re.DOTALL)
_PARENTHESIS = re.compile(r"\s*([();])\s*")
_VALUES = re.compile(_VALUE, re.DOTALL)
_ESCAPED = re.compile(r"\\(\r\n|\n\r|.)", re.DOTALL)
_NEW_TREE = re.compile(r"^\(\s*;", re.MULTILINE)


class GameTree(NamedTuple):
    """One game: the ``nodes`` of its main line, each with the values of its properties by name (in capitals), and how
    many ``variations`` beside it and ``comments`` in it are left out."""

    nodes: tuple[dict[str, tuple[str, ...]], ...]
    variations: int
    comments: int


class Piece(NamedTuple):
    """The ``text`` of one game tree of a collection and the ``line`` that it begins in, from 1."""

    line: int
    text: str


def split_collection(text: str) -> list[Piece]:
    """The game trees of a collection, unread. What is broken is a piece too, up to the next line that begins a tree."""
    pieces = []
    at = line = 0
    while (start := text.find("(", at)) >= 0:
        end, closed = _scan(text, start)
        if not closed and end < len(text):
            again = _NEW_TREE.search(text, max(end, start + 1))
            end = again.start() if again else len(text)
        line += text.count("\n", at, start)
        pieces.append(Piece(line + 1, text[start:end].rstrip()))
        line += text.count("\n", start, end)
        at = end
    return pieces


def _scan(text: str, start: int) -> tuple[int, bool]:
    """Where the tree that begins at ``start`` ends, and True; or where it cannot be read on, and False."""
    at, depth, last = start, 0, text.rfind("]")
    while at < len(text):
        # past the last bracket no value closes: looking for its end in each broken line would take for ever
        token = (_TOKEN if at <= last else _PARENTHESIS).match(text, at)
        if token is None:
            return at, False
        depth += {"(": 1, ")": -1}.get(token[1] or "", 0)
        if depth == 0:
            return token.end(1), True
        at = token.end()
    return at, False


def read_tree(text: str) -> GameTree:
    """The game tree that ``text`` is; NotationError where it is none."""
    nodes: list[dict[str, tuple[str, ...]]] = []
    branches: list[int] = []  # of each tree that is open: the trees inside it so far
    on_main: list[bool] = []
    variations = comments = at = 0
    node: dict[str, tuple[str, ...]] | None = None
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _broken(text, at)
        kind = token[1]
        if kind == "(":
            first = not branches or branches[-1] == 0
            if branches:
                branches[-1] += 1
                variations += not first
            elif at:
                raise _broken(text, at)
            on_main.append(first and (not on_main or on_main[-1]))
            branches.append(0)
            node = None
        elif not branches:
            raise _broken(text, at)
        elif kind == ")":
            branches.pop()
            on_main.pop()
            node = None
        elif kind == ";":
            if branches[-1]:
                raise _broken(text, at)
            node = {}
            if on_main[-1]:
                nodes.append(node)
        elif node is None:
            raise _broken(text, at)
        else:
            name = "".join(letter for letter in token[2] if letter.isupper()) or token[2].upper()
            values = tuple(_plain(value) for value in _VALUES.findall(token[3]))
            node[name] = node.get(name, ()) + values
            comments += name == "C" and on_main[-1]
        at = token.end()
    if branches:
        raise NotationError("a game in SGF ends before its last closing parenthesis; is the file cut off?")
    if not nodes:
        raise NotationError("a game in SGF has no node; it looks like (;FF[4]GM[11]SZ[11];B[a1])")
    return GameTree(tuple(nodes), variations, comments)


def _plain(value: str) -> str:
    """What a value in brackets says, escapes resolved: an escaped line break is none, any other character itself."""
    return _ESCAPED.sub(lambda match: "" if match[1] in ("\r\n", "\n\r", "\n", "\r") else match[1], value[1:-1])


def _broken(text: str, at: int) -> NotationError:
    shown = text[at : at + 20].strip() + ("..." if len(text) > at + 20 else "")
    return NotationError(f"{shown!r} cannot stand there in SGF; a game looks like (;FF[4]GM[11]SZ[11];B[a1];W[b2])")
