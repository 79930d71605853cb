"""Two checkouts in turns: which figure decides, when one is called slower, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from hexpipe.bench import BENCHMARKS, against
from hexpipe.bench.against import compare
from hexpipe.cli.bench import command
from hexpipe.cli.main import run as run_cli
from hexpipe.errors import HexpipeError, UsageError

REPOSITORY = Path(__file__).parent.parent.parent
MAIN = """
import json, os, sys
from pathlib import Path

folder = Path(__file__).parent
with (folder / "calls").open("a") as file:
    file.write(json.dumps([sys.argv[1:], os.environ.get("NUMBA_CACHE_DIR", "")]) + "\\n")
number = len((folder / "calls").read_text().splitlines()) - 1
{before}
figures = {figures}
print("something on the way")
print(json.dumps({{name: values[number % len(values)] for name, values in figures.items()}}))
"""


def checkout(folder: Path, before: str = "", **figures: list[float]) -> Path:
    """A hexpipe whose benchmarks say one of ``figures`` after the other."""
    cli = folder / "hexpipe" / "cli"
    cli.mkdir(parents=True)
    for file in (folder / "hexpipe" / "__init__.py", cli / "__init__.py", cli / "bench.py"):
        file.touch()
    (cli / "main.py").write_text(MAIN.format(before=before, figures=figures))
    return folder


def calls(folder: Path) -> list[tuple[list[str], str]]:
    return [json.loads(line) for line in (folder / "hexpipe" / "cli" / "calls").read_text().splitlines()]


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the hexpipe that is running: 90, 100, 110 moves a second in turn, and a first turn of 1."""
    monkeypatch.setattr(
        against, "hexpipe", SimpleNamespace(__file__=str(tmp_path / "ours" / "hexpipe" / "__init__.py"))
    )
    turns = [1.0] + [90.0, 100.0, 110.0] * 3
    return checkout(tmp_path / "ours", moves_per_s=turns, seconds=turns, playouts_per_s=turns, odd_per_s=[0.0])


@pytest.mark.parametrize(("theirs", "low", "worse"), [(100.0, 0.9, False), (112.0, 0.80, False), (120.0, 0.75, True)])
def test_a_loss_is_one_where_the_whole_interval_is(
    ours: Path, tmp_path: Path, theirs: float, low: float, worse: bool
) -> None:
    other = checkout(tmp_path / "theirs", moves_per_s=[theirs], playouts_per_s=[50.0], odd_per_s=[1.0], new_per_s=[1.0])
    lines: list[str] = []
    found = compare("rules", ["--size", "5"], other, 9, 3.0, lines.append)
    assert found["figure"] == "moves_per_s"
    assert found["ratio"] == pytest.approx(100 / theirs), "the first turn, of the compilers, does not count"
    assert found["ratio_low"] == pytest.approx(low, abs=0.01)
    assert found["ratio_high"] == pytest.approx(110 / theirs)
    assert (found["worse"], found["interval"], found["turns"]) == (worse, "95 %", 9)
    assert (found["moves_per_s_here"], found["moves_per_s_there"]) == (100.0, theirs)
    assert found["playouts_per_s_ratio"] == pytest.approx(2.0)
    assert not any(name.startswith(("odd", "new")) for name in found), "what cannot be divided is left out"
    assert len(lines) == 9
    for folder in (ours, other):
        assert [arguments for arguments, _ in calls(folder)] == [["bench", "rules", "--size", "5", "--json"]] * 10
    caches = {cache for _, cache in calls(ours)}, {cache for _, cache in calls(other)}
    assert len(caches[1]) == 1
    assert not caches[0] & caches[1], "kernels of two checkouts do not meet"


def test_of_seconds_fewer_are_better(ours: Path, tmp_path: Path) -> None:
    other = checkout(tmp_path / "theirs", seconds=[50.0])
    found = compare("startup", [], other, 3, 3.0, lambda line: None)
    assert found["ratio"] == pytest.approx(0.5)
    assert found["worse"]
    assert found["interval"] == "whole range of 3"


def test_the_command_ends_with_1_where_it_is_slower(ours: Path, tmp_path: Path) -> None:
    """It is given on what was written in the command line, and nothing else: another checkout may know less."""
    for name, theirs, code in (("slow", 100.0, 0), ("fast", 150.0, 1)):
        other = checkout(tmp_path / name, moves_per_s=[theirs])
        line = ["rules", "--size", "5", "--against", str(other), "--turns", "6", "--most-loss", "5"]
        done = CliRunner().invoke(command, line)
        assert done.exit_code == code, done.output
        assert ("not slower" in done.output) == (code == 0)
        assert calls(other)[0][0] == ["bench", "rules", "--size", "5", "--json"]
        done = CliRunner().invoke(command, [*line, "--json"])
        assert done.exit_code == code
        assert json.loads(done.output.splitlines()[-1])["worse"] == (code == 1)


def test_what_cannot_be_compared_is_refused(ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(name: str, folder: Path, kind: type[HexpipeError], words: str) -> None:
        with pytest.raises(kind, match=words):
            compare(name, [], folder, 6, 3.0, lambda line: None)

    refused("rules", tmp_path, UsageError, "is no checkout of hexpipe")
    refused("memory", checkout(tmp_path / "any"), UsageError, "has no figure to compare by")
    refused("rules", checkout(tmp_path / "other", evals_per_s=[1.0]), UsageError, "has no moves_per_s")
    broken = 'print("no such option", file=sys.stderr); sys.exit(2)'
    refused("rules", checkout(tmp_path / "broken", broken, moves_per_s=[1.0]), UsageError, "code 2: no such option")
    assert run_cli(["bench", "rules", "--turns", "3"]) == 2
    assert "--against" in capsys.readouterr().err
    assert run_cli(["bench", "rules", "--against", str(tmp_path)]) == 2


def test_every_benchmark_that_ends_soon_can_be_compared() -> None:
    assert set(BENCHMARKS) - set(against.FIGURES) == {"memory", "learn"}


@pytest.mark.slow
def test_a_checkout_against_itself() -> None:
    found = compare("rules", ["--seconds", "1", "--size", "7"], REPOSITORY, 6, 50.0, lambda line: None)
    assert 0.5 < found["ratio"] < 2
    assert not found["worse"]
