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
        (["#5," + "a1" * 3000, "--to", "sgf"], "played twice"),
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
