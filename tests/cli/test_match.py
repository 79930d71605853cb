"""`hexpipe match` and `hexpipe tournament` as people run them."""

from __future__ import annotations

import json
import sys
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


def test_forfeits_are_counted_and_players_are_named(tmp_path: Path) -> None:
    """A program that fails loses its games, and the match goes on to its decision; resumed, they still count."""
    engine = f"{sys.executable} {Path(__file__).parents[1] / 'arena' / 'toy_htp_engine.py'} dies"
    results = str(tmp_path / "results.sqlite")
    arguments = [f"broken=htp:{engine}", "luck=random", "--size", "4", "--pairs", "2", "--error", "0"]
    arguments += ["--results", results]
    text = CliRunner().invoke(match.command, arguments, catch_exceptions=False).output
    assert "broken forfeited 4 games, the last time because it has ended" in " ".join(text.split())
    facts = json.loads(CliRunner().invoke(match.command, [*arguments, "--json"], catch_exceptions=False).output)
    assert [(player["name"], player["forfeits"]) for player in facts["players"]] == [("broken", 4), ("luck", 0)]
    assert facts["crosstable"][0][1] == [0, 4]


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
    (["match", "random", "solver", "--size", "9"], "6x6"),
    (["tournament", "random"], "two players"),
    (["tournament", "random", "solver", "--anchor", "me"], "nobody"),
])  # fmt: skip
def test_bad_input_ends_with_exit_code_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    assert words in capsys.readouterr().err
