"""A run's figures over time: what was read is not read again, and what is kept does not grow with the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hexpipe.watch.curves import MOST_NAMES, Curves
from hexpipe.watch.metrics import LONGEST_LINE, metrics_lines, newest_figures


def append(path: Path, *lines: dict[str, float] | bytes) -> None:
    with path.open("ab") as file:
        for line in lines:
            file.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_only_what_was_added_is_read(path: Path) -> None:
    curves = Curves(path, 600)
    assert not curves.update()
    assert curves.series() == {}
    append(path, *({"time": k, "loss": 1.0} for k in range(500)))
    assert curves.update()
    assert curves.bytes_read == path.stat().st_size
    assert not curves.update()
    assert curves.bytes_read == 0
    before = path.stat().st_size
    append(path, {"time": 500, "games": 3})
    assert curves.update()
    assert curves.bytes_read == path.stat().st_size - before
    series = curves.series()
    assert series["time"] == list(range(501))
    assert series["games"][-2:] == [None, 3]
    assert series["loss"][-2:] == [1.0, None]


def test_a_line_in_pieces_and_one_without_an_end(path: Path) -> None:
    curves = Curves(path, 10)
    whole = b'{"time": 1, "loss": 2.5}\n'
    for byte in range(len(whole)):
        append(path, whole[byte : byte + 1])
        curves.update()
        assert curves.series() == ({"time": [1], "loss": [2.5]} if byte >= len(whole) - 2 else {})
    append(path, b"\xff no line\n[1]\n{}\n\n", {"time": 2})
    curves.update()
    assert curves.series() == {"time": [1, 2], "loss": [2.5, None]}


@pytest.mark.parametrize("most", [4, 5, 10, 601])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 9, 64, 65, 1000, 2500])
def test_a_long_run_is_thinned(path: Path, most: int, count: int) -> None:
    """The newest figure is there, no more points than asked for and not much fewer, and none is lost of a figure that
    few lines have."""
    rare = count // 2
    append(path, *({"time": k, "games": 10 * k, **({"rating": 7.0} if k == rare else {})} for k in range(count)))
    at_once, in_parts = Curves(path, most), Curves(path, most)
    at_once.update()
    series = at_once.series()
    points = len(series["time"])
    assert min(count, most) / 2 - 1 <= points <= most
    assert series["time"][-1] == count - 1
    assert series["time"] == sorted(series["time"])
    assert series["games"] == [10 * time for time in series["time"]]
    assert [value for value in series["rating"] if value is not None] == [7.0]
    whole = path.read_bytes()
    for end in sorted({len(whole) * k // 7 for k in range(8)}):
        path.write_bytes(whole[:end])
        in_parts.update()
    assert in_parts.series() == series


def test_another_file_is_read_anew(path: Path) -> None:
    curves = Curves(path, 10)
    append(path, {"time": 1}, {"time": 2})
    curves.update()
    other = path.with_name("other")
    append(other, {"time": 7}, {"time": 8}, {"time": 9})
    other.replace(path)
    assert curves.update()
    assert curves.series() == {"time": [7, 8, 9]}
    path.write_text('{"time": 5}\n')  # shorter
    assert curves.update()
    assert curves.series() == {"time": [5]}
    path.write_text('{"time": 6}\n{"time": 7}\n')  # longer, and not what it was
    assert curves.update()
    assert curves.series() == {"time": [6, 7]}
    path.unlink()
    assert curves.update()
    assert curves.series() == {}
    assert not curves.update()


def test_what_is_kept_is_bounded(path: Path) -> None:
    curves = Curves(path, 10, lambda name: not name.startswith("cpu/"))
    append(path, b"x" * (3 * LONGEST_LINE) + b"\n", {"time": 1, "cpu/1": 2})
    for k in range(20):
        append(path, {f"name-{k}-{number}": 1 for number in range(MOST_NAMES // 10)})
    append(path, {"time": 2}, b'{"time": 3' + b" " * (3 * LONGEST_LINE))
    curves.update()
    series = curves.series()
    assert len(series) == MOST_NAMES
    assert "cpu/1" not in series
    assert [value for value in series["time"] if value is not None][-1] == 2


def test_the_newest_figures_are_those_of_the_whole_file(path: Path) -> None:
    append(path, {"time": 1, "rating": 5.0}, b"rating\n", b"x" * (2 * LONGEST_LINE) + b"\n")
    append(path, *({"time": k, "games": k} for k in range(2, 30_000)), b'{"time": 99, "rating"')
    newest: dict[str, float] = {}
    for line in metrics_lines(path.parent):
        newest |= line
    assert newest_figures(path.parent, ["time", "games", "rating", "none"]) == newest
    assert newest == {"time": 29_999, "games": 29_999, "rating": 5.0}
