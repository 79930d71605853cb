"""`hexpipe match` and `hexpipe tournament` as people run them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hexpipe.arena.results import Results
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


def test_pairs_begin_with_the_openings_of_a_file(tmp_path: Path) -> None:
    openings = tmp_path / "openings.txt"
    openings.write_text("#4,a1\n#4,b2c3\n#4,d4\n")
    results = tmp_path / "results.sqlite"
    arguments = ["solver", "random", "--size", "4", "--error", "0", "--openings", str(openings), "--json"]
    facts = json.loads(
        CliRunner().invoke(match.command, [*arguments, "--results", str(results)], catch_exceptions=False).output
    )
    assert facts["games"] == 6, "a pair for each"
    with Results(results) as played:
        games = played.games(facts["game"])
    begun = [(game.first, game.moves[: game.opening]) for game in games]
    assert begun == [(name, moves) for moves in ((0,), (5, 10), (15,)) for name in ("solver", "random")]
    fewer = CliRunner().invoke(match.command, [*arguments, "--pairs", "2"], catch_exceptions=False)
    assert json.loads(fewer.output)["games"] == 4


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


def test_more_pairs_than_openings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openings = tmp_path / "openings.txt"
    openings.write_text("#4,a1\n")
    assert main.run(["match", "solver", "random", "--size=4", f"--openings={openings}", "--pairs=2"]) == 2
    assert "has 1 opening for 2 pairs" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "words"), [
    (["match", "random", "solver", "--size", "4", "--openings", "no.txt"], "no.txt cannot be read"),
    (["match", "random", "nowhere"], "nowhere"),
    (["match", "random", "solver", "--size", "9"], "6x6"),
    (["tournament", "random"], "two players"),
    (["tournament", "random", "solver", "--anchor", "me"], "nobody"),
])  # fmt: skip
def test_bad_input_ends_with_exit_code_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    assert words in capsys.readouterr().err
