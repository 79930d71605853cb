"""`hexpipe bench`: names, options read off a signature, and JSON on the last line."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from click.testing import CliRunner

from hexpipe.bench import BENCHMARKS
from hexpipe.bench.environment import describe
from hexpipe.cli.bench import command


def fake_run(
    *,
    count: int,
    size: Annotated[int, "cells along a side"] = 11,
    name: Literal["a", "b"] = "a",
    servers: int | None = None,
    big: bool = False,
) -> dict[str, Any]:
    print("something on the way")  # noqa: T201
    return {"moves_per_s": 12345.678, "size": size, "seen": f"{count} {name} {servers} {big}"}


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    module = ModuleType("hexpipe.bench.rules")
    module.run = fake_run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hexpipe.bench.rules", module)
    return CliRunner()


def test_without_a_name_lists_every_benchmark() -> None:
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0
    for name in BENCHMARKS:
        assert f"\n  {name} " in done.output


def test_json_is_the_last_line_and_flat(runner: CliRunner) -> None:
    done = runner.invoke(command, ["rules", "--count", "3", "--name", "b", "--big", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.output.splitlines()[-1])
    assert figures["moves_per_s"] == 12345.678
    assert figures["seen"] == "3 b None True"
    assert figures["count"] == 3
    assert figures["cores"] >= 1
    assert figures["torch_version"]
    assert not any(isinstance(value, dict | list) for value in figures.values())


def test_table_shows_figures(runner: CliRunner) -> None:
    done = runner.invoke(command, ["rules", "--count", "3"])
    assert "12,346" in done.output
    assert "numba_version" in done.output


def test_help_shows_the_signature(runner: CliRunner) -> None:
    done = runner.invoke(command, ["rules", "--help"])
    assert "cells along a side" in done.output
    assert "[a|b]" in done.output
    assert "--no-big" in done.output


@pytest.mark.parametrize("bad", ["rules", "rules --count x", "rules --count 1 --name c", "no"])
def test_bad_input_is_refused(runner: CliRunner, bad: str) -> None:
    assert runner.invoke(command, bad.split()).exit_code == 2


def test_machine_facts_are_plain_values() -> None:
    facts = describe()
    assert {"hexpipe_version", "python_version", "numpy_version", "cores", "cpu", "gpus"} <= set(facts)
    assert all(isinstance(value, int | float | str) for value in facts.values())
