"""`hexpipe match` and `hexpipe tournament` as people run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hexpipe.cli import main, match, tournament
from tests.arena.checkpoints import small_checkpoint


def test_a_match_is_decided_and_goes_on_from_its_results(tmp_path: Path) -> None:
    results = str(tmp_path / "results.sqlite")
    arguments = ["solver", "random", "--size", "4", "--pairs", "30", "--results", results, "--json"]
    first = CliRunner().invoke(match.command, arguments, catch_exceptions=False)
    facts = json.loads(first.output)
    assert first.exit_code == 0
    assert facts["better"] == "a"
    assert facts["llr"] >= facts["bound"]
    assert facts["anchor"] == "random"
    assert facts["players"][0]["elo"] > 100
    again = json.loads(CliRunner().invoke(match.command, arguments, catch_exceptions=False).output)
    assert again["games"] == facts["games"]  # all was decided: nothing more is played
    table = CliRunner().invoke(match.command, arguments[:-1], catch_exceptions=False).output
    assert "solver is better" in table
    assert "anchor" in table


def test_a_tournament_of_a_run_and_its_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = small_checkpoint(tmp_path / "run")
    picture = tmp_path / "ratings.svg"
    arguments = [str(run), "random", "solver", "--pairs", "3", "--simulations", "4", "--anchor", "random"]
    result = CliRunner().invoke(tournament.command, [*arguments, "--plot", str(picture)], catch_exceptions=False)
    assert result.exit_code == 0
    for word in ("run/7@4", "solver", "random", "points against each other"):
        assert word in result.output
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(("arguments", "words"), [
    (["match", "random", "nowhere"], "nowhere"),
    (["match", "random", "solver", "--size", "9"], "5x5"),
    (["tournament", "random"], "two players"),
    (["tournament", "random", "solver", "--anchor", "me"], "nobody"),
])  # fmt: skip
def test_bad_input_ends_with_exit_code_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    assert words in capsys.readouterr().err
