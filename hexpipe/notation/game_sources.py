"""Files and streams of games: read within limits, decoded from any encoding, and split into games.

SGF gives a text's encoding in CA, and many files do not. A wrong guess loses moves silently: in Big5, GBK, Shift_JIS
and EUC-KR a character's second byte may be the backslash or the bracket of SGF. So a file without CA that is not UTF-8
is read in each of `GUESSES`, and accepted if they all give the same moves.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import BinaryIO

from hexpipe.config import MAX_HEX_SIZE
from hexpipe.errors import NotationError
from hexpipe.games.coordinates import split_moves
from hexpipe.notation import sgf
from hexpipe.notation.game_texts import read_game
from hexpipe.notation.hex_sgf import from_sgf, read_line
from hexpipe.wording import shortened

MOST_BYTES = 1_000_000_000
"""Maximum size of a file of games."""

GUESSES = ("latin-1", "gb18030", "big5hkscs", "cp932", "cp949")
"""Latin-1, GBK, Big5, Shift_JIS and EUC-KR, each with its extensions. Any bytes are valid Latin-1."""

_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949"}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which is its prefix
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NOT_OF_TEXT = ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7")
_ROOTS = re.compile(rb"\(\s*;(?!\s*[BW]\s*\[)|(?P<move>;\s*[BW]\s*\[)|(?<![A-Za-z])CA\s*\[(?P<charset>[^]\\[]{1,80})\]")
_LINK = re.compile(r"\S*(?:#|%23)\d")
_BLOCK = 1 << 20


def games_of(path: Path) -> list[sgf.Piece]:
    """Split a file into games, unparsed, as `split_games` does.

    OSError if it cannot be opened, NotationError if it is no text, longer than `MOST_BYTES`, or of unknown encoding.
    """
    with path.open("rb") as stream:
        return games_in(stream)


def games_in(stream: BinaryIO) -> list[sgf.Piece]:
    """Split a stream into games, as `games_of`."""
    data = bytearray()
    while block := stream.read(_BLOCK):
        if not data and b"\0" in block and not block.startswith(tuple(_MARKS)):
            raise NotationError(
                "this is no text: there are zero bytes in it (UTF-16 needs a byte order mark)", kind="encoding"
            )
        data += block
        if len(data) > MOST_BYTES:
            words = f"there are more than {MOST_BYTES:,} bytes; split it into files of fewer games"
            raise NotationError(words, kind="range", high=MOST_BYTES)
    return split_games(decode_games(bytes(data)))


def split_games(text: str) -> list[sgf.Piece]:
    """Split a file's text into games, unparsed: an SGF collection, or a game a line.

    Blank lines and lines that begin with "# " are skipped. Before the first game in SGF there may be other text.
    """
    start = sgf.find_tree(text)
    if start >= 0 and not any(map(_looks_like_a_game, text[:start].splitlines())):
        return sgf.split_collection(text)
    lines = (sgf.Piece(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [
        sgf.Piece(line, game[: sgf.MOST_CHARACTERS + 1])
        for line, game in lines
        if game and game != "#" and not game.startswith("# ")
    ]


def decode_games(data: bytes) -> str:
    """Decode a file of games.

    The encoding is given by a byte order mark, or by CA, from its game on to the next that names another; otherwise it
    is UTF-8 or, for invalid UTF-8, the one of `GUESSES` that reads most games, if all that read as many read the same
    moves. NotationError if they do not, for an encoding that Python lacks, and for bytes invalid in the named one.
    """
    for mark, codec in _MARKS.items():
        if data.startswith(mark):
            return _decode(data, codec, "its byte order mark says")
    named = _charsets(data)
    if named:
        ends = [start for start, _ in named[1:]] + [len(data)]
        starts = [0, *ends[:-1]]
        parts = [
            _decode(data[start:end], _codec(name), f"CA[{shortened(name)}] says", 1 + data.count(b"\n", 0, start))
            for start, end, (_, name) in zip(starts, ends, named, strict=True)
        ]
        return "".join(parts)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _guess(data)


def _charsets(data: bytes) -> list[tuple[int, str]]:
    """Return (start of its game, name) of each CA in the first node of a game that names another than the one
    before."""
    found: list[tuple[int, str]] = []
    root = -1
    for match in _ROOTS.finditer(data):
        name = match["charset"]
        if match["move"]:
            root = -1
        elif name is None:
            root = match.start()
        elif root >= 0 and name.strip():
            charset = name.decode("latin-1").strip()
            if not found or charset != found[-1][1]:
                found.append((root, charset))
            root = -1
    return found


def _codec(name: str) -> str:
    """Return Python's codec of this name; NotationError if there is none in which SGF's own signs are ASCII."""
    for spelling in (name, name.lower().removeprefix("x-")):
        try:
            codec = codecs.lookup(spelling).name
            if codec not in _NOT_OF_TEXT and b"(;CA[]".decode(codec) == "(;CA[]":
                return codec
        except (LookupError, ValueError):
            continue
    raise NotationError(
        f"CA[{shortened(name)}] is no encoding that is known here; save it as UTF-8, with CA[UTF-8]", kind="encoding"
    )


def _decode(data: bytes, codec: str, says: str, line: int = 1) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if codec in _WIDER:
            return _decode(data, _WIDER[codec], says, line)
        if codec.startswith("utf-8") or len(bytes(range(256)).decode(codec, "replace")) == 256:
            return data.decode(codec, "replace")  # an invalid byte hides no other
        line += data.count(b"\n", 0, error.start)
        raise NotationError(
            f"line {line} holds bytes that are no {codec}, which {says}; save it as UTF-8", kind="encoding"
        ) from error


def _guess(data: bytes) -> str:
    known: dict[str, object] = {}  # ASCII is the same in all of them, and parsed once
    readings: list[tuple[int, str, list[object]]] = []
    for codec in GUESSES:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        games = [piece.text for piece in split_games(text)]
        for game in games:
            if game not in known:
                known[game] = _told(game)
        readings.append((sum(known[game] is None for game in games), text, [known[game] for game in games]))
    fewest = min(unread for unread, _, _ in readings)
    best = [(text, told) for unread, text, told in readings if unread == fewest]
    if any(told != best[0][1] for _, told in best):
        raise NotationError(
            "how this text is encoded decides which moves it has: say it by CA[GBK], CA[Big5] ...", kind="encoding"
        )
    return best[0][0]


def _told(text: str) -> object:
    """Return the moves and result in a text; None if it cannot be read."""
    try:
        if sgf.find_tree(text) < 0:
            return read_game(text, MAX_HEX_SIZE)
        line = read_line(text)
        return line._replace(notes=()) if line.setup else from_sgf(text)
    except NotationError:
        return None


def _looks_like_a_game(line: str) -> bool:
    stripped = line.strip()
    if not stripped or stripped == "#" or stripped.startswith("# "):
        return False
    if stripped.startswith("{") or _LINK.match(stripped):
        return True
    try:
        return bool(split_moves(stripped))
    except NotationError:
        return False
