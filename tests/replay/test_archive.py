"""The archive keeps what it has committed, through kills, and says clearly what is wrong with a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hexpipe.errors import ArchiveError
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from tests.replay.reference import random_game, tiny_settings

GAME = Hex(6)
EVERYTHING = 10**9


def size_of(plies: int, policy_bytes: int) -> int:
    return plies + policy_bytes


def numbers(archive: ReplayArchive, max_games: int = EVERYTHING, max_bytes: int = EVERYTHING) -> list[int]:
    """Numbers of the newest games, which random_game keeps in weights_version."""
    return [record.weights_version for record in archive.newest(max_games, max_bytes, size_of)]


def test_games_come_back_whole_and_in_order(tmp_path: Path) -> None:
    records = [random_game(GAME, number) for number in range(10)]
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        assert (archive.total_games, archive.total_positions, numbers(archive)) == (0, 0, [])
        archive.append(records[:3])
        archive.append(records[3:])
        archive.append([])
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        again = list(archive.newest(EVERYTHING, EVERYTHING, size_of))
        assert [record.to_bytes() for record in again] == [record.to_bytes() for record in records]
        assert archive.total_games == 10
        assert archive.total_positions == sum(record.num_positions for record in records)
        assert numbers(archive, max_games=4) == [6, 7, 8, 9]
        newest_two = sum(size_of(r.num_positions, len(r.policy_bytes)) for r in records[8:])
        assert numbers(archive, max_bytes=newest_two) == [8, 9]
        assert numbers(archive, max_bytes=newest_two - 1) == [9]
        assert numbers(archive, max_bytes=0) == []


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        archive.append([random_game(GAME, 0)])
        with pytest.raises(ValueError, match="does not belong"):
            archive.append([random_game(GAME, 1), random_game(Hex(7), 2)])
        assert numbers(archive) == [0]


def test_a_buffer_is_filled_again_with_the_newest_games(tmp_path: Path) -> None:
    records = [random_game(GAME, number) for number in range(50)]
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        archive.append(records)
        buffer = ReplayBuffer.create(tiny_settings(), GAME, private=True)
        assert buffer.refill(archive) == 20
    assert buffer.num_games == 20
    assert buffer.num_positions == sum(record.num_positions for record in records[30:])
    assert buffer.total_games == 50
    assert buffer.total_positions == sum(record.num_positions for record in records)
    drawn = buffer.sample_batch(500, np.random.default_rng(0))["games"]
    assert set(drawn.tolist()) == set(range(30, 50))  # the numbers that they had before
    buffer.add_game(records[0])
    assert buffer.total_games == 51
    assert buffer.sample_batch(500, np.random.default_rng(0))["games"].max() == 50


def test_other_rules_are_refused(tmp_path: Path) -> None:
    ReplayArchive(tmp_path / "games.sqlite", GAME).close()
    for game in (Hex(7), Hex(6, swap=True)):
        with pytest.raises(ArchiveError, match=r"holds games of .*6.* these settings play"):
            ReplayArchive(tmp_path / "games.sqlite", game)


def test_files_that_are_no_archive_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database at all\n" * 100)
    with sqlite3.connect(tmp_path / "foreign") as foreign:
        foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    ReplayArchive(tmp_path / "newer", GAME).close()
    with sqlite3.connect(tmp_path / "newer") as newer:
        newer.execute("PRAGMA user_version = 2")
    newer.close()
    for name, message in (
        ("text", "damaged or no replay archive"),
        ("foreign", "something else"),
        ("newer", "schema version 2"),
        ("no/such/folder/games", "cannot use the archive"),
    ):
        with pytest.raises(ArchiveError, match=message) as caught:
            ReplayArchive(tmp_path / name, GAME)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    assert (tmp_path / "text").read_text().startswith("not a database")


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "games.sqlite"
    with ReplayArchive(path, GAME) as archive:
        archive.append([random_game(GAME, number) for number in range(100)])
    good = path.read_bytes()
    blob = random_game(GAME, 50).policy_bytes.tobytes()[:40]
    at = good.index(blob)
    path.write_bytes(good[: at + 5] + bytes([good[at + 5] ^ 1]) + good[at + 6 :])
    with ReplayArchive(path, GAME) as archive, pytest.raises(ArchiveError, match=r"games\.sqlite.*damaged"):
        numbers(archive)
    pages = len(good) // 4096
    path.write_bytes(good[: 4096 * (pages // 2)] + b"\xff" * 4096 * (pages - pages // 2))
    with pytest.raises(ArchiveError, match=r"games\.sqlite"), ReplayArchive(path, GAME) as archive:
        numbers(archive)


WRITER = """
import sys
from pathlib import Path
from tests.replay.reference import random_game
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive
game = Hex(6)
archive = ReplayArchive(Path(sys.argv[1]), game)
first = archive.total_games
for start in range(first, 1000, 5):
    archive.append([random_game(game, number) for number in range(start, start + 5)])
    print(start + 5, flush=True)
"""


def test_no_committed_game_is_lost_to_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "games.sqlite"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    acknowledged = 0
    for round_number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], env=environment, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(3 + 4 * round_number):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
            acknowledged = int(rest[-1]) if rest else acknowledged
        with ReplayArchive(path, GAME) as archive:
            kept = numbers(archive)
            assert len(kept) >= acknowledged
            assert len(kept) % 5 == 0
            assert kept == list(range(len(kept)))
            assert archive.total_positions == sum(random_game(GAME, n).num_positions for n in kept)
