"""`hexpipe games`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hexpipe.cli.main import run
from hexpipe.config import dump_settings, load_settings
from hexpipe.games.factory import make_game
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive, Sender
from hexpipe.run_folder import ARCHIVE_NAME
from tests.replay.games import make_record
from tests.selfplay.test_curriculum import finished

GAMES = 60


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", [make_record(number) for number in range(GAMES)], {"game.board_size": 3})


def make_run(path: Path, records: list[GameRecord], overrides: dict[str, object]) -> Path:
    settings = load_settings("quick", overrides)
    path.mkdir()
    (path / "settings.json").write_text(dump_settings(settings))
    with ReplayArchive(path / ARCHIVE_NAME, make_game(settings.game)) as archive:
        archive.append(records[:10])
        archive.note_settings(dump_settings(settings))
        archive.append(records[10:], [Sender(1, number % 2, number // 2) for number in range(len(records) - 10)])
    return path


def listed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, object]]:
    assert run(["games", *map(str, arguments), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_games_are_listed_filtered_and_counted(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    games = listed(capsys, run_dir)
    records = [make_record(number) for number in range(GAMES)]
    assert [game["number"] for game in games] == list(range(1, GAMES + 1))
    assert [game["plies"] for game in games] == [record.num_plies for record in records]
    assert [game["winner"] for game in games] == [int(record.outcome.argmax()) for record in records]
    assert {game["session"] for game in games[:10]} == {None}
    assert {game["settings"] for game in games[:10]} == {None}
    assert [game["worker"] for game in games[10:14]] == [0, 1, 0, 1]
    digest = str(games[-1]["settings"])
    kept = [
        (("--newest", 3), games[-3:]),
        (("--winner", 1), [game for game in games if game["winner"] == 1]),
        (("--winner", "draw"), []),
        (("--plies", ":7"), [game for game in games if game["plies"] <= 7]),
        (("--plies", "8"), [game for game in games if game["plies"] == 8]),
        (("--plies", "6:8", "--winner", 0), [game for game in games if 6 <= game["plies"] <= 8 and not game["winner"]]),
        (("--version", "50:"), games[50:]),
        (("--session", 1, "--worker", 1), games[11::2]),
        (("--settings", digest[:8]), games[10:]),
        (("--settings", "x" + digest[:8]), []),
        (("--size", 3, "--since", "2020-01-01"), games),
        (("--since", "2999-01-01"), []),
    ]
    for arguments, wanted in kept:
        assert listed(capsys, run_dir, *arguments) == wanted, arguments
        assert run(["games", str(run_dir), *map(str, arguments), "--count"]) == 0
        assert capsys.readouterr().out == f"{len(wanted)}\n"


def test_a_table_shows_the_newest(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["games", str(run_dir)]) == 0
    table = capsys.readouterr().out
    assert f"newest of the {GAMES} games" in table
    assert "seat 0" in table
    assert sum(" seat " in line or " draw " in line for line in table.splitlines()) == 20


@pytest.mark.parametrize("form", ["trmph", "sgf", "hexworld", "moves", "json"])
def test_what_is_written_can_be_imported(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    file = tmp_path / f"games.{'txt' if form == 'moves' else form}"
    assert run(["games", str(run_dir), "--newest", "5", "--to", form, "--output", str(file)]) == 0
    if form in ("moves", "json"):
        lines = file.read_text().splitlines()
        assert len(lines) == 5
        words = [json.loads(line)["moves"] if form == "json" else line.split() for line in lines]
        assert [len(moves) for moves in words] == [make_record(number).num_plies for number in range(55, 60)]
    assert run(["convert", str(file), "--to", "trmph", "--size", "3", "--skip-bad", "--json"]) in (0, 2)
    assert run(["games", str(run_dir), "--newest", "5", "--to", form]) == 0
    assert capsys.readouterr().out.endswith(file.read_text())


def test_games_on_larger_boards_are_written_by_their_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "run", [finished(4, 3, None)] * 12, {
        "game.name": "inarow", "game.board_size": 4, "game.win_length": 3, "game.view_size": 3,
    })  # fmt: skip
    assert run(["games", str(path), "--newest", "1", "--to", "json"]) == 0
    game = json.loads(capsys.readouterr().out)
    assert (game["game"], game["number"], game["plies"]) == ("inarow", 12, len(game["moves"]))
    assert run(["games", str(path), "--to", "sgf"]) == 2
    assert "sgf is for Hex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plies", "many"], "is no range"),
        (["--winner", "white"], "name a seat"),
        (["--newest", "0"], "--newest"),
        (["--output", "/no/such/folder/x", "--to", "trmph"], "cannot be written"),
    ],
)
def test_bad_input_is_refused(
    run_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["games", str(run_dir), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["games", str(tmp_path)]) == 2
    assert "there is no run" in capsys.readouterr().err
