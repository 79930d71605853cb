"""The folder of bulk self-play: what is saved, what a second start makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hexpipe.bulk.game_files import FinishedGame, GameFiles
from hexpipe.config import load_settings
from hexpipe.errors import GoneError, RunFolderError
from hexpipe.games.factory import make_game
from hexpipe.games.hex import Hex, checked_game
from hexpipe.notation.format_conversion import from_sgf, read_game, split_games
from tests.refusals import refused

ASKED = {"seed": 1, "stages": (1, 2)}
BLACK = FinishedGame((0, 1, 3, 4, 6), (1.0, -1.0), 2)  # on 3x3: a column of black's
WHITE = FinishedGame((0, 3, 1, 4, 6, 5), (-1.0, 1.0), 1)  # and a row of white's


def _fill(folder: Path, games: list[FinishedGame], rules: Hex | None = None) -> GameFiles:
    with GameFiles(folder, rules or Hex(3), ASKED) as files:
        files.append(games)
    return files


def test_games_are_read_again_as_they_were(tmp_path: Path) -> None:
    tally = _fill(tmp_path, [BLACK, WHITE, BLACK]).tally
    assert (tally.games, tally.wins, tally.draws, tally.plies, tally.duplicates) == (3, [2, 1], 0, 16, 1)
    for name in ("games.jsonl", "games.trmph", "games.sgf"):
        games = [read_game(piece.text) for piece in split_games((tmp_path / name).read_text())]
        assert [game.moves for game in games] == [BLACK.moves, WHITE.moves, BLACK.moves]
        assert [game.winner for game in games] == [0, 1, 0]
        for game in games:
            assert checked_game(game).notes == ()  # the board shows the winner that the file names
    first = json.loads((tmp_path / "games.jsonl").read_text().splitlines()[0])
    assert (first["opening_plies"], first["outcome"], first["winning_seat"]) == (2, [1, -1], 0)


def test_after_a_swap_the_winner_is_a_seat_and_its_colour_the_other(tmp_path: Path) -> None:
    swapped = FinishedGame((0, 9, 1, 3, 4, 6), (-1.0, 1.0), 0)  # seat 1 swaps and wins with the first stone's colour
    game = Hex(3, swap=True)
    assert game.play(swapped.moves).winner[0] == 1
    _fill(tmp_path, [swapped], game)
    assert not (tmp_path / "games.trmph").exists()
    hexworld = checked_game(read_game((tmp_path / "games.hexworld").read_text()))
    sgf = from_sgf((tmp_path / "games.sgf").read_text())
    assert hexworld.moves == sgf.moves == swapped.moves
    assert hexworld.winning_seat == sgf.winning_seat == 1
    assert sgf.winner == 0  # black
    assert checked_game(sgf).notes == ()


def test_another_game_is_saved_with_its_moves_as_words(tmp_path: Path) -> None:
    game = make_game(load_settings("quick", {"game.name": "inarow", "game.board_size": 3, "game.players": 3}).game)
    with GameFiles(tmp_path, game, ASKED) as files:
        files.append([FinishedGame((0, 4), (1.0, -0.2, -1.0), 1), FinishedGame((0, 5), (0.0, 0.0, 0.0), 0)])
        assert files.names == ["games.jsonl"]
        assert (files.tally.wins, files.tally.draws) == ([1, 0, 0], 1)
    lines = [json.loads(line) for line in (tmp_path / "games.jsonl").read_text().splitlines()]
    assert lines[0]["moves"] == [game.cell_name(0), game.cell_name(4)]
    assert lines[1]["winning_seat"] is None


def test_a_second_start_goes_on_and_mends_what_a_dead_machine_left(tmp_path: Path) -> None:
    _fill(tmp_path, [BLACK, WHITE])
    for name in ("games.jsonl", "games.sgf"):  # half a line more
        with (tmp_path / name).open("a") as file:
            file.write((tmp_path / name).read_text()[:20])
    (tmp_path / "games.trmph").write_text("#3,a1")  # and one that has not come far
    tally = _fill(tmp_path, [BLACK]).tally
    assert (tally.games, tally.wins, tally.duplicates) == (3, [2, 1], 1)
    for name in ("games.jsonl", "games.trmph", "games.sgf"):
        games = [read_game(piece.text) for piece in split_games((tmp_path / name).read_text())]
        assert [game.moves for game in games] == [BLACK.moves, WHITE.moves, BLACK.moves], name


def test_a_folder_of_other_games_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    _fill(tmp_path, [BLACK])
    with refused(RunFolderError, "1", "2", kind="conflict", setting="seed", path=tmp_path):
        GameFiles(tmp_path, Hex(3), {**ASKED, "seed": 2})
    assert _fill(tmp_path, []).tally.games == 1
    (tmp_path / "games.jsonl").write_text("#3,a1\n")
    with refused(RunFolderError, "line 1", kind="damaged", path=tmp_path / "games.jsonl"):
        GameFiles(tmp_path, Hex(3), ASKED)
    (tmp_path / "selfplay.json").unlink()
    with refused(RunFolderError, kind="foreign", path=tmp_path):
        GameFiles(tmp_path, Hex(3), ASKED)
    assert (tmp_path / "games.jsonl").read_text() == "#3,a1\n"


def test_one_process_writes_to_a_folder(tmp_path: Path) -> None:
    with GameFiles(tmp_path, Hex(3), ASKED), refused(RunFolderError, kind="busy", path=tmp_path):
        GameFiles(tmp_path, Hex(3), ASKED)
    file = tmp_path / "file"
    file.write_text("")
    with refused(RunFolderError, kind="access", path=file):
        GameFiles(file, Hex(3), ASKED)


@pytest.mark.parametrize("name", ["games.jsonl", "games.sgf", "."])
def test_games_are_not_saved_to_files_that_nobody_finds(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "games"
    with GameFiles(folder, Hex(3), ASKED) as files:
        files.append([BLACK])
        (folder / name).rename(tmp_path / "aside")
        with pytest.raises(GoneError):
            files.append([WHITE])
        with pytest.raises(GoneError):
            files.write_summary({})
    assert (
        len((tmp_path / "aside" / "games.jsonl" if name == "." else tmp_path / "aside").read_text().splitlines()) == 1
    )
