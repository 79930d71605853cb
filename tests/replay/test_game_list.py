"""Lists of an archive's games: each condition alone and all together, against records in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive, Sender
from hexpipe.replay.game_list import DRAW, GameFilter, find_games, moves_of_record
from tests.replay.games import make_record

GAMES = 40
DOCUMENT = "{}"
RECORDS = [make_record(number) for number in range(GAMES)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> ReplayArchive:
    """Ten games without a sender, the others by two workers, with settings."""
    archive = ReplayArchive(tmp_path_factory.mktemp("games") / "games.sqlite", Hex(3))
    archive.append(RECORDS[:10])
    archive.note_settings(DOCUMENT)
    archive.append(RECORDS[10:], [Sender(1, number % 2, number // 2) for number in range(GAMES - 10)])
    return archive


def winner(record: GameRecord) -> int:
    return int(record.outcome.argmax())


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (GameFilter(), lambda number, record: True),
        (GameFilter(winner=1), lambda number, record: winner(record) == 1),
        (GameFilter(winner=DRAW), lambda number, record: False),
        (GameFilter(board_size=3), lambda number, record: True),
        (GameFilter(board_size=4), lambda number, record: False),
        (GameFilter(plies=(6, 8)), lambda number, record: 6 <= record.num_plies <= 8),
        (GameFilter(plies=(None, 6)), lambda number, record: record.num_plies <= 6),
        (GameFilter(versions=(30, None)), lambda number, record: number >= 30),
        (GameFilter(session=1, worker=1), lambda number, record: number >= 10 and number % 2 == 1),
        (GameFilter(since=0.0), lambda number, record: True),
        (GameFilter(since=4e9), lambda number, record: False),
        (GameFilter(winner=0, plies=(7, None)), lambda number, record: winner(record) == 0 and record.num_plies >= 7),
    ],
)  # fmt: skip
def test_a_filter_finds_what_a_loop_finds(
    archive: ReplayArchive, wanted: GameFilter, passes: Callable[[int, GameRecord], bool]
) -> None:
    numbers = [number for number, record in enumerate(RECORDS) if passes(number, record)]
    found = find_games(archive, wanted)
    assert [game.number for game in found] == [number + 1 for number in numbers]
    assert [game.plies for game in found] == [RECORDS[number].num_plies for number in numbers]
    assert [game.number for game in find_games(archive, wanted, newest=3)] == [n + 1 for n in numbers[-3:]]


def test_games_know_the_settings_they_were_played_by(archive: ReplayArchive) -> None:
    digests = [game.settings for game in find_games(archive, GameFilter())]
    assert digests[:10] == [None] * 10
    (digest,) = {*digests[10:]}
    assert digest is not None
    assert len(find_games(archive, GameFilter(settings=digest[:6]))) == GAMES - 10
    assert not find_games(archive, GameFilter(settings="x" + digest[:6]))


def test_moves_are_of_the_board_of_their_game() -> None:
    stages = [Hex(3), Hex(4)]
    record = make_record(5, board_size=4)
    assert moves_of_record(stages, record) == record.actions.tolist()
    assert moves_of_record(stages, RECORDS[0]) == RECORDS[0].actions.tolist()
