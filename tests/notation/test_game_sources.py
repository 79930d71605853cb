"""Files of games: what they are encoded in, what is no game in them, and their limits.

Damaged files run in a short form by default; `bin/test tests/notation/test_game_sources.py -m slow -s` prints the
figures of the long form.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.notation import game_sources, sgf
from hexpipe.notation.format_conversion import to_moves
from hexpipe.notation.game_sources import decode_games, games_in, games_of, split_games
from hexpipe.notation.game_texts import read_game
from tests.fuzzing import Tally, damaged_bytes
from tests.refusals import refused

# Words whose last byte in that encoding is one of SGF's own signs, the backslash or the closing bracket.
SWALLOWING = {"big5": "功", "gbk": "乗", "shift_jis": "表", "cp932": "表", "big5hkscs": "功", "gb18030": "乗"}
SHORT, LONG = 1_000, 100_000


def moves_of(data: bytes) -> list[str]:
    return [to_moves(read_game(piece.text)) for piece in games_in(io.BytesIO(data))]


def game(comment: str = "", charset: str = "") -> str:
    said = f"CA[{charset}]" if charset else ""
    return f"(;FF[4]GM[11]{said}SZ[5]RE[B+R];B[a1];W[e1]C[{comment}];B[c3])"


@pytest.mark.parametrize("codec", SWALLOWING)
def test_a_charset_is_honoured(codec: str) -> None:
    word = SWALLOWING[codec]
    assert word.encode(codec)[-1:] in (b"\\", b"]")
    assert moves_of(game(word, codec).encode(codec)) == ["a1 e1 c3"]
    # without CA it may be Latin-1, where the last move is a part of the comment
    with refused(NotationError, "CA[GBK]", kind="encoding"):
        moves_of(game(word).encode(codec))


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("UTF-8", "utf-8", "J\u00fcrgen \u529f"),
        ("iso-8859-1", "latin-1", "J\u00fcrgen"),
        ("ISO-8859-2", "iso8859-2", "\u0141ukasz"),
        ("windows-1251", "cp1251", "\u0438\u0433\u0440\u0430"),
        ("KOI8-R", "koi8-r", "\u0438\u0433\u0440\u0430"),
        ("GB2312", "gb2312", "\u4e2d\u56fd"),
        ("gb2312", "gb18030", "\u4e57"),  # not in that standard, but what programs write under its name
        ("Shift_JIS", "cp932", "\u2460"),
        ("x-sjis", "shift_jis", "\u8868"),
        ("EUC-JP", "euc_jp", "\u8868"),
        ("EUC-KR", "euc_kr", "\ud55c"),
        ("big5", "big5", "\u529f"),
        (" Big5 ", "big5", "\u529f"),
    ],
)
def test_charsets_by_their_names(charset: str, codec: str, text: str) -> None:
    found = games_in(io.BytesIO(game(text, charset).encode(codec)))
    assert [sgf.read_tree(piece.text).nodes[2]["C"] for piece in found] == [(text,)]


@pytest.mark.parametrize("name", ["Klingon", "rot13", "hex", "idna", "punycode", "utf-16", "cp037", "x\ny"])
def test_an_unknown_charset_is_refused(name: str) -> None:
    with refused(NotationError, "CA[", kind="encoding") as caught:
        moves_of(game(charset=name).encode())
    assert "\n" not in str(caught.value)


def test_bytes_that_the_charset_has_not() -> None:
    broken = game(charset="Big5").replace("C[]", "C[\udcff\udcff]").encode("ascii", "surrogateescape")
    with refused(NotationError, "line 1", "big5hkscs", "CA", kind="encoding"):
        moves_of(broken)
    with refused(NotationError, "line 3", kind="encoding"):
        moves_of(game(charset="UTF-8").encode() + b"\n\n" + broken)
    # where such a byte cannot hide another one, the moves are sure
    for charset in ("UTF-8", "us-ascii", "cp1252"):
        assert moves_of(broken.replace(b"Big5", charset.encode())) == ["a1 e1 c3"]


def test_a_charset_holds_until_the_next_one() -> None:
    parts = [game("\u529f", "Big5").encode("big5"), game("\u8868", "Shift_JIS").encode("cp932")]
    between = game("J\u00fcrgen", "latin-1").encode("latin-1")
    assert moves_of(b"some words\n" + b"\n".join([parts[0], parts[0], between, parts[1]])) == ["a1 e1 c3"] * 4
    assert moves_of(b"".join([parts[0], game("\u529f").encode("big5"), parts[1]])) == ["a1 e1 c3"] * 3
    # what looks so in a comment, or in a later node, is none
    assert moves_of(b"(;GM[11]SZ[5];B[a1]C[see CA[Klingon\\]];W[b2])") == ["a1 b2"]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("charset", ["", "UTF-16", "Big5"])
def test_a_byte_order_mark_decides(codec: str, charset: str) -> None:
    assert moves_of(game("\u529f\u8868", charset).encode(codec)) == ["a1 e1 c3"]
    for text in ("#5,a1b2\n#5,c3\n", '{"size": 5, "moves": ["a1", "b2"]}\n#5,c3'):
        assert moves_of(text.encode(codec)) == ["a1 b2", "c3"]


def test_byte_order_marks_of_either_order() -> None:
    for codec, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        assert moves_of(mark + game("\u529f").encode(codec)) == ["a1 e1 c3"]
    with refused(NotationError, "utf-16", kind="encoding"):
        moves_of(b"\xff\xfe(\x00;\x00\x00")
    with refused(NotationError, "UTF-16", kind="encoding"):
        moves_of(game().encode("utf-16-le"))


def test_what_says_nothing_is_utf_8_or_what_cannot_matter() -> None:
    assert moves_of(game("J\u00fcrgen").encode()) == ["a1 e1 c3"]
    assert moves_of(game("J\u00fcrgen").encode("latin-1")) == ["a1 e1 c3"]
    assert moves_of(game("\ud55c\uad6d").encode("euc_kr")) == ["a1 e1 c3"]
    # before a bracket an accent may be half of a character of GBK; then the players do not take turns, and it is none
    named = "(;FF[4]SZ[5]PB[Ren\u00e9]PW[Jos\u00e9];B[a1];W[e1];B[c3])\n"
    assert moves_of((named + game()).encode("latin-1")) == ["a1 e1 c3"] * 2
    # two moves less, and it could be either
    with refused(NotationError, kind="encoding"):
        moves_of("(;FF[4]SZ[5];B[a1];W[e1]C[Ren\u00e9];B[c3])".encode("latin-1"))
    assert moves_of("# J\u00fcrgen's games\n#5,a1b2\n".encode("latin-1")) == ["a1 b2"]


def test_positions_are_guessed_as_games_are() -> None:
    position = "(;FF[4]GM[11]SZ[5]AB[a1]C[\u529f]AW[b2])"
    with refused(NotationError, kind="encoding"):
        decode_games(position.encode("big5"))
    assert "AW" in decode_games(position.replace("\u529f", "J\u00fcrgen").encode("latin-1"))


def test_text_before_the_first_game_in_sgf_is_none() -> None:
    text = "Games of a tournament (2010)\n\nin SGF: \n(;SZ[5];B[a1])\n(;SZ[5];B[b1])\n"
    assert [piece.line for piece in split_games(text)] == [4, 5]
    assert [piece.line for piece in split_games("one: (;SZ[5];B[a1])")] == [1]
    assert to_moves(read_game("one: (;SZ[5];B[a1])")) == "a1"


def test_lines_of_games_may_hold_some_in_sgf() -> None:
    for first in ("#5,a1", "a1 b2", '{"size": 5, "moves": []}', "https://hexworld.org/board/#5c1,a1", "1. a1"):
        pieces = split_games(f"# games\n{first}\n(;SZ[5];B[a1])\n(;SZ[5];B[b1])\n")
        assert [piece.line for piece in pieces] == [2, 3, 4]


def test_a_file_has_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(NotationError, kind="encoding"):
        games_of(Path("/dev/zero"))
    monkeypatch.setattr(game_sources, "MOST_BYTES", 5_000_000)
    file = tmp_path / "games.txt"
    file.write_bytes(b"#5,a1\n" * 900_000)
    with refused(NotationError, kind="range", high=5_000_000):
        games_of(file)
    file.write_bytes(b"#5,a1\n" + b"a1" * 2_000_000 + b"\n#5,b1\n")
    good, bad, last = games_of(file)
    assert len(bad.text) == sgf.MOST_CHARACTERS + 1
    assert [to_moves(read_game(piece.text)) for piece in (good, last)] == ["a1", "b1"]
    with refused(NotationError, kind="range", high=1_000_000):
        read_game(bad.text, 5)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"#5,a1\n#5,b1")
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        assert len(games_in(stream)) == 2


SEEDS = [
    b"(;FF[4]GM[11]CA[Big5]SZ[5]RE[B+R];B[a1];W[e1]C[\xa5\x5c];B[c3])\n",
    "(;FF[4]SZ[5]PB[J\u00fcrgen]PW[Ren\u00e9];W[ba];B[swap];W[ac])(;SZ[5];B[a1](;W[b2])(;W[b1]))".encode("latin-1"),
    "(;GM[11]CA[Shift_JIS]SZ[5]AB[a1][b2]AW[c3]PL[W]C[\u8868])text;B[a1]".encode("cp932"),
    "(;GM[11]SZ[5];B[a1])\n#5,a1b2 b\n1. a1 2. swap\n".encode("utf-16"),
    b'#5,a1b2 b\n#13c1%2Ca10b2:s\n{"size": 5, "moves": [1, "swap", {"q": 1, "r": 2}]}\nb1 swap-pieces a3\n',
]
CHARSETS = [b"Big5", b"GBK", b"Shift_JIS", b"EUC-KR", b"UTF-8", b"UTF-7", b"hz", b"iso2022_jp", b"cp1006", b"x"]


def fuzz(inputs: int) -> Tally:
    """Files of games, damaged: each is read, or refused in one line."""
    random, tally = Random(11), Tally(NotationError)
    for number in range(inputs):
        data = random.choice(SEEDS)
        for _ in range(random.choice([1, 1, 2, 4])):
            data = damaged_bytes(random, data)
        if random.random() < 0.3:
            data = data.replace(b"CA[Big5]", b"CA[" + random.choice(CHARSETS) + b"]")
        tally.add(f"input {number} ({data[:200]!r})", lambda data=data: _read(data))  # type: ignore[misc]
    return tally


def _read(data: bytes) -> None:
    refused: NotationError | None = None
    for piece in games_in(io.BytesIO(data)):
        try:
            read_game(piece.text, 5)
        except NotationError as error:
            refused = error
    if refused is not None:
        raise refused


def test_damaged_files_are_refused_in_a_line() -> None:
    tally = fuzz(SHORT)
    assert tally.crashes == []
    assert min(tally.counts["loaded"], tally.counts["refused"]) > SHORT // 20, str(tally)


@pytest.mark.slow
def test_damaged_files_long_run() -> None:
    tally = fuzz(LONG)
    sys.stdout.write(f"\n{tally}\n")
    assert tally.crashes == []


@settings(deadline=None)
@given(st.binary(max_size=80) | st.lists(st.sampled_from([*SEEDS, b"CA[", b"\xa5", b"]"]), max_size=4).map(b"".join))
def test_any_bytes_are_games_or_a_notation_error(data: bytes) -> None:
    with contextlib.suppress(NotationError):
        games_in(io.BytesIO(data))
