from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from hexpipe.cli.convert import WRITERS
from hexpipe.cli.main import run

SGF = "(;FF[4]GM[11]SZ[5];B[b1];W[swap-sides];W[c1])"
LINK = "https://hexworld.org/board/#5c1,b1:sa3"


def convert(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["convert", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize(("form", "text"), [
    ("sgf", SGF + "\n"),
    ("hexworld", "#5c1,b1:sa3\n"),
    ("moves", "b1 swap c1\n"),
    ("json", '{"size": 5, "moves": ["b1", "swap", "c1"], "winner": null, "ending": ""}\n'),
    ("ascii", "   a b c d e\n 1 . X O . .\n  2 . . . . .\n   3 . . . . .\n    4 . . . . .\n     5 . . . . .\n"),
])  # fmt: skip
def test_into_every_form(capsys: pytest.CaptureFixture[str], form: str, text: str) -> None:
    assert convert(capsys, LINK, "--to", form) == text
    assert {*WRITERS} == {"sgf", "hexworld", "moves", "json", "ascii", "trmph"}


def test_files_of_many_games(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = tmp_path / "games.trmph"
    lines.write_text("# Format: trmph_string winner\n#5,a1b2 b\n\n#6,c3\n", encoding="utf-8")
    collection = tmp_path / "games.sgf"
    collection.write_bytes("(;SZ[5]PB[J\u00fcrgen];B[a1])\n(;SZ[5];B[b1])\n".encode("latin-1"))
    out = convert(capsys, str(lines), str(collection), "--to", "trmph")
    assert out.splitlines() == ["#5,a1b2 b", "#6,c3", "#5,a1", "#5,b1"]
    assert convert(capsys, str(lines), "--to", "ascii").count("\n\n") == 1
    target = tmp_path / "out.sgf"
    assert convert(capsys, str(lines), "--to", "sgf", "--output", str(target)) == ""
    assert target.read_text().splitlines()[0] == "(;FF[4]GM[11]SZ[5]RE[B+];B[a1];W[b2])"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["games.sgf", "games.trmph", "out.sgf"]


def test_standard_input_and_moves(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffa1 b2\nc3\n".encode())))
    assert convert(capsys, "--size", "5", "--to", "trmph") == "#5,a1b2\n#5,c3\n"


def test_the_winner_is_who_connects(capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(capsys, "#3,a1b1a2b2a3", "--to", "trmph") == "#3,a1b1a2b2a3 b\n"


def test_json_says_where_and_what(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "games.sgf"
    file.write_text("\n(;SZ[5]RE[W+R];B[a1](;W[b1])(;W[b2]))\n")
    assert run(["convert", str(file), "--to", "trmph", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "source": f"{file}, line 2",
        "size": 5,
        "moves": ["a1", "b1"],
        "winner": "white",
        "ending": "resign",
        "notes": ["1 variation left out"],
        "to": "trmph",
        "text": "#5,a1b1 r",
    }
    assert captured.err == f"hexpipe: {file}, line 2: 1 variation left out\n"


def test_bad_input_is_one_line_and_exit_code_2_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, target = tmp_path / "games.txt", tmp_path / "out"
    file.write_text("#5,a1\n#5,a9\n")
    illegal = tmp_path / "illegal.txt"
    illegal.write_text("#3,a1b1a2b2a3b3")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    for arguments, words in (
        ([str(file), "--to", "sgf", "--output", str(target)], "games.txt, line 2: 'a9' is off the 5x5 board"),
        ([str(file), "--to", "sgf"], "--skip-bad leaves such games out"),
        ([str(illegal), "--to", "sgf"], "illegal.txt, line 1: move 6 (b3) is illegal: black has already won"),
        ([LINK, "--to", "trmph"], "argument 1: TRMPH cannot say swap"),
        (["a1 b2", "--to", "sgf"], "how large the board is"),
        ([str(empty), "--to", "sgf"], "no game"),
        ([str(tmp_path), "--to", "sgf"], "cannot be read"),
        (["#5,a1", "--to", "sgf", "--output", str(tmp_path / "none" / "out")], "cannot be written"),
        (["#5,a1", "--to", "pgn"], "'pgn'"),
        ([str(file), "--size", "x", "--to", "sgf"], "--size"),
        (["#5," + "a1" * 300, "--to", "sgf"], "played twice"),
        (["#5," + "a1" * 3000, "--to", "sgf"], "3,000 moves: a game of Hex has 731 at the most"),
        (["#9,x", "#9,y", "--to", "sgf", "--skip-bad"], "none of 2 games could be converted"),
    ):
        assert run(["convert", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert words in captured.err
        assert not target.exists()


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nothere.sgf", "some/where.TRMPH", "/tmp/no-such-folder/games.txt"):
        assert run(["convert", name]) == 2
        assert f"there is no file {name}" in capsys.readouterr().err


def test_bad_games_can_be_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "games.txt"
    file.write_text("#5,a1\n" + "#5,a9\n" * 9 + "#5,b1\n")
    assert run(["convert", str(file), "--to", "moves", "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "a1\nb1\n"
    lines = captured.err.splitlines()
    assert lines[0] == "hexpipe: 9 of 11 games left out"
    assert "line 2: 'a9' is off" in lines[1]
    assert lines[-1] == "hexpipe: and 4 more"


def test_one_game_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", "#9,x", "--skip-bad"]) == 2
    assert "none of 1 game could be converted" in capsys.readouterr().err


def test_a_stream_without_end_is_a_line_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", "/dev/zero"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("hexpipe: /dev/zero: this is no text: there are zero bytes in it")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_line_without_end_is_a_line_of_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "games.txt"
    file.write_text("#5,a1\n" + "b2 " * 1_000_000 + "\n#5,c3\n")
    assert run(["convert", str(file), "--to", "moves", "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "a1\nc3\n"
    assert "line 2: 'b2 b2 b2 b2 b2 b2 b2 b2 b2 b2 b2 b2 b...' goes on for more than" in captured.err
    assert len(captured.err) < 300


def test_files_in_encodings_of_their_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The second byte of this character is a backslash, which without its first would hide the last move."""
    file = tmp_path / "games.sgf"
    text = b"(;FF[4]GM[11]CA[Big5]SZ[5]RE[B+R];B[a1];W[e1]C[\xa5\x5c];B[c3])"
    file.write_bytes(text)
    assert run(["convert", str(file), "--to", "moves"]) == 0
    assert capsys.readouterr().out == "a1 e1 c3\n"
    file.write_bytes(text.replace(b"CA[Big5]", b""))
    assert run(["convert", str(file), "--to", "moves"]) == 2
    assert f"{file}: how this text is encoded decides which moves it has" in capsys.readouterr().err
    file.write_bytes(text.replace(b"Big5", b"Klingon"))
    assert run(["convert", str(file), "--to", "moves"]) == 2
    assert f"{file}: CA[Klingon] is no encoding that is known here" in capsys.readouterr().err


def test_a_file_may_begin_with_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "games.sgf"
    file.write_text("A line of text\n(;FF[4]GM[11]SZ[5]RE[B+R];B[a1];W[e1];B[c3])\n")
    assert convert(capsys, str(file), "--to", "moves") == "a1 e1 c3\n"


def test_a_swap_of_pieces_by_its_name_and_by_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    turned = "(;FF[4]GM[11]SZ[5];B[c2];W[swap-sides];W[b4];B[e1])\n"
    assert convert(capsys, "--size", "5", "c2 swap d2 a5", "--swap-means", "pieces") == turned
    assert convert(capsys, "--size", "5", "c2 swap-pieces d2 a5") == turned
    assert convert(capsys, "--size", "5", "c2 swap b4 e1") == turned
    assert convert(capsys, '{"size": 5, "moves": [7, 25, 8, 20]}', "--swap-means", "pieces") == turned


def test_the_dialect_of_an_old_hexgui(capsys: pytest.CaptureFixture[str]) -> None:
    dialect = "(;AP[HexGui:0.9]FF[4]GM[11]SZ[5];B[b1];W[swap-pieces];W[c1])\n"
    assert convert(capsys, LINK, "--dialect", "hexgui-0.9") == dialect
    assert convert(capsys, dialect, "--to", "hexworld") == "#5c1,b1:sa3\n"
    assert run(["convert", LINK, "--dialect", "hexgui-0.9", "--to", "trmph"]) == 2
    assert "--dialect is of SGF" in capsys.readouterr().err
    assert run(["convert", "#20,a1", "--dialect", "hexgui-0.9"]) == 2
    assert "a board of 20x20: HexGui 0.9 has none above 19" in capsys.readouterr().err
