from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hexpipe.arena.solved_positions import SolvedPosition, read_positions
from hexpipe.errors import UsageError
from tests.refusals import refused

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
    ("change", "kind", "setting", "named"),
    [
        ({"n": 2}, "board", "n", "2"),
        ({"n": 28}, "board", "n", "28"),
        ({"n": "5"}, "board", "n", "'5'"),
        ({"n": True}, "board", "n", "True"),
        ({"moves": ["a1", "f3"]}, "coordinate", "moves", "f3"),
        ({"moves": ["a1", "swap"]}, "rule", "moves", "swap"),
        ({"moves": ["a1", "a1"]}, "occupied", "", "move 2 (a1)"),
        ({"moves": "a1"}, "type", "moves", "'a1'"),
        ({"moves": ["a1", 7]}, "type", "moves", "7"),
        ({"to_move": "white"}, "turn", "to_move", "'white'"),
        ({"to_move": "red"}, "turn", "to_move", "'red'"),
        ({"value": 0}, "range", "value", "0"),
        ({"value": True}, "range", "value", "True"),
        ({"winning_moves": ["c3"]}, "occupied", "winning_moves", "c3"),
        ({"winning_moves": ["z9"]}, "coordinate", "winning_moves", "z9"),
        ({"winning_moves": {"b2": 1}}, "type", "winning_moves", "b2"),
        ({"value": -1}, "conflict", "value", "-1"),
        ({"n": 3, "moves": ["b1", "a1", "b2", "a2", "b3"], "to_move": "white"}, "over", "moves", "black"),
        ({"n": 3, "moves": ["a1", "a2", "c1", "b2", "a3", "c2"], "to_move": "black"}, "over", "moves", "white"),
        ({"n": 3, "moves": ["b1", "a1", "b2", "a2", "b3", "c3"]}, "over", "", "move 6 (c3)"),
    ],
)
def test_bad_positions_name_the_line(
    tmp_path: Path, change: dict[str, Any], kind: str, setting: str, named: str
) -> None:
    file = _write(tmp_path, json.dumps(GOOD), json.dumps({**GOOD, **change}))
    with refused(UsageError, "line 2: ", named, kind=kind, setting=setting, path=file):
        read_positions(file)


@pytest.mark.parametrize("key", ["n", "moves", "to_move", "value"])
def test_missing_keys(tmp_path: Path, key: str) -> None:
    file = _write(tmp_path, json.dumps({name: value for name, value in GOOD.items() if name != key}))
    with refused(UsageError, "line 1: ", kind="missing", setting=key, path=file):
        read_positions(file)


@pytest.mark.parametrize("line", ["{", "[1, 2]", "nonsense", '{"n": 5,}'])
def test_bad_json(tmp_path: Path, line: str) -> None:
    file = _write(tmp_path, json.dumps(GOOD), line)
    with refused(UsageError, "line 2: ", kind="syntax", path=file):
        read_positions(file)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "positions.jsonl"
    file.write_bytes(b'{"n": 5, "moves": ["\xff"]}')
    with refused(UsageError, "line 1: ", kind="syntax", path=file):
        read_positions(file)


def test_no_positions_and_no_file(tmp_path: Path) -> None:
    with refused(UsageError, kind="missing", path=tmp_path / "positions.jsonl"):
        read_positions(_write(tmp_path, ""))
    with refused(UsageError, kind="access", path=tmp_path / "none.jsonl"):
        read_positions(tmp_path / "none.jsonl")
