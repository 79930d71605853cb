from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hexpipe.arena.solved_positions import SolvedPosition, read_positions
from hexpipe.errors import UsageError

GOOD: dict[str, Any] = {"n": 5, "moves": ["a1", "c3"], "to_move": "black", "value": 1, "winning_moves": ["b2"]}


def _write(path: Path, *lines: str) -> Path:
    file = path / "positions.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_reads_positions_of_several_sizes(tmp_path: Path) -> None:
    file = _write(
        tmp_path,
        json.dumps({**GOOD, "source": {"any": "thing"}}),
        "",
        json.dumps({"n": 3, "moves": ["b1"], "to_move": "white", "value": -1}),
        json.dumps({"n": 3, "moves": [], "to_move": "black", "value": 1, "winning_moves": None}),
        json.dumps({"n": 11, "moves": ["K11"], "to_move": "white", "value": -1, "winning_moves": []}),
    )
    assert read_positions(file) == [
        SolvedPosition(1, 5, (0, 12), 1, frozenset({6})),
        SolvedPosition(3, 3, (1,), -1, frozenset()),
        SolvedPosition(4, 3, (), 1, frozenset()),
        SolvedPosition(5, 11, (120,), -1, frozenset()),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 2}, "n is 2, boards have 3 to 27"),
        ({"n": 28}, "n is 28"),
        ({"n": "5"}, "n is '5'"),
        ({"n": True}, "n is True"),
        ({"moves": ["a1", "f3"]}, "f3"),
        ({"moves": ["a1", "swap"]}, "swap"),
        ({"moves": ["a1", "a1"]}, "move 2 .a1. is illegal: the cell is taken"),
        ({"moves": "a1"}, "moves is 'a1', it must be a list"),
        ({"moves": ["a1", 7]}, "must be a list of cells"),
        ({"to_move": "white"}, "to_move is 'white', but after 2 moves it is black's turn"),
        ({"to_move": "red"}, "to_move is 'red'"),
        ({"value": 0}, "value is 0"),
        ({"value": True}, "value is True"),
        ({"winning_moves": ["c3"]}, "the winning move c3 is on a stone"),
        ({"winning_moves": ["z9"]}, "winning_moves: "),
        ({"winning_moves": {"b2": 1}}, "winning_moves is"),
        ({"value": -1}, "yet there are winning moves"),
        ({"n": 3, "moves": ["b1", "a1", "b2", "a2", "b3"], "to_move": "white"}, "black has already won"),
        ({"n": 3, "moves": ["a1", "a2", "c1", "b2", "a3", "c2"], "to_move": "black"}, "white has already won"),
        ({"n": 3, "moves": ["b1", "a1", "b2", "a2", "b3", "c3"]}, "move 6 .c3. is illegal: black has already won"),
    ],
)
def test_bad_positions_name_the_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = _write(tmp_path, json.dumps(GOOD), json.dumps({**GOOD, **change}))
    with pytest.raises(UsageError, match=f"positions.jsonl, line 2: .*{message}"):
        read_positions(file)


@pytest.mark.parametrize("key", ["n", "moves", "to_move", "value"])
def test_missing_keys(tmp_path: Path, key: str) -> None:
    file = _write(tmp_path, json.dumps({name: value for name, value in GOOD.items() if name != key}))
    with pytest.raises(UsageError, match=f"line 1: '{key}' is missing"):
        read_positions(file)


@pytest.mark.parametrize("line", ["{", "[1, 2]", "nonsense", '{"n": 5,}'])
def test_bad_json(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match="line 2: no JSON"):
        read_positions(_write(tmp_path, json.dumps(GOOD), line))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "positions.jsonl"
    file.write_bytes(b'{"n": 5, "moves": ["\xff"]}')
    with pytest.raises(UsageError, match="line 1: no JSON"):
        read_positions(file)


def test_no_positions_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no positions"):
        read_positions(_write(tmp_path, ""))
    with pytest.raises(UsageError, match="cannot be read"):
        read_positions(tmp_path / "none.jsonl")
