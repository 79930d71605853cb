"""The archive keeps what it has committed, through kills, and says clearly what is wrong with a file."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hexpipe.errors import ArchiveError, DiskFullError
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import SCHEMA_VERSION, ReplayArchive, Sender
from hexpipe.replay.layout import largest_game, piece_layout
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.snapshots import encode_game
from tests.refusals import refused
from tests.replay.reference import random_game, tiny_settings, views_game
from tests.replay.store_model import live_slots, small_store

GAME = Hex(6)
EVERYTHING = 10**9


def size_of(plies: int, policy_bytes: int) -> int:
    return plies + policy_bytes


def numbers(archive: ReplayArchive, max_games: int = EVERYTHING, max_bytes: int = EVERYTHING) -> list[int]:
    """Numbers of the newest games, which random_game keeps in weights_version."""
    games = list(archive.newest(max_games, max_bytes, size_of))
    total = archive.total_games
    assert [number for number, _ in games] == list(range(total - len(games) + 1, total + 1))
    return [record.weights_version for _, record in games]


def test_games_come_back_whole_and_in_order(tmp_path: Path) -> None:
    records = [random_game(GAME, number) for number in range(10)]
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        assert (archive.total_games, archive.total_positions, numbers(archive)) == (0, 0, [])
        archive.append(records[:3])
        archive.append(records[3:])
        archive.append([])
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        again = list(archive.newest(EVERYTHING, EVERYTHING, size_of))
        assert [number for number, _ in again] == list(range(1, 11))
        assert [record.to_bytes() for _, record in again] == [record.to_bytes() for record in records]
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


def test_the_stage_of_a_curriculum_is_kept_with_its_games(tmp_path: Path) -> None:
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        assert archive.stage == (0, 0, 0)
        archive.append([random_game(GAME, number) for number in range(5)])
        archive.begin_stage(1, 4)
        archive.append([random_game(GAME, number) for number in range(5, 8)])
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        assert archive.stage == (1, 5, 4)
        after = [record.weights_version for record in archive.games_after(archive.stage.games_before)]
        assert after == [7, 6, 5]
        assert [archive.newest_weights(games) for games in (0, 1, 5, 8)] == [0, 0, 4, 7]
        archive.begin_stage(2, 3)
        assert archive.stage == (2, 8, 3)
        assert list(archive.games_after(8)) == []


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
    rng = np.random.default_rng(0)
    assert {buffer.held_game(rng) for _ in range(400)} == set(range(31, 51))  # their ids in the archive
    assert buffer.refresh_game(31, records[30])
    buffer.add_game(records[0])
    assert buffer.total_games == 51
    assert {buffer.held_game(rng) for _ in range(400)} == set(range(32, 52))


def test_a_game_that_cannot_be_is_not_taken_into_a_buffer(tmp_path: Path) -> None:
    record = random_game(GAME, 1)
    both_win = np.full_like(record.root_values, 0.5)
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        archive.append([random_game(GAME, 0), dataclasses.replace(record, root_values=both_win)])
        buffer = ReplayBuffer.create(tiny_settings(), GAME, private=True)
        with refused(ArchiveError, "game 2", "must sum to 0", kind="foreign", path=archive.path):
            buffer.refill(archive)


def test_a_buffer_with_less_room_is_filled_with_what_comes_in_without_eviction(tmp_path: Path) -> None:
    records = [random_game(GAME, number) for number in range(50)]
    store = small_store(GAME, min_games=1, max_games=60, spare_pieces=8)
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        archive.append(records)
        buffer = ReplayBuffer(store)
        games = buffer.refill(archive)
    sizes = [len(encode_game(record, GAME, store.layouts[0])) for record in records]
    room = 0.9 * (store.ring_bytes - 2 * largest_game([GAME], 4))
    assert sum(sizes[-games:]) <= room < sum(sizes[-games - 1 :])
    assert sorted(live_slots(store)) == list(range(51 - games, 51))
    assert buffer.total_games == 50


def test_other_rules_are_refused(tmp_path: Path) -> None:
    ReplayArchive(tmp_path / "games.sqlite", GAME).close()
    for game in (Hex(7), Hex(6, swap=True)):
        with refused(
            ArchiveError, "6", "7" if game.board_size == 7 else "swap", kind="foreign", path=tmp_path / "games.sqlite"
        ):
            ReplayArchive(tmp_path / "games.sqlite", game)


def test_all_stages_are_kept_and_a_changed_rule_of_any_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "games.sqlite"
    stages = (views_game(9, 7, players=3), views_game(16, 7, players=3))
    records = [random_game(stages[number % 2], number) for number in range(30)]
    with ReplayArchive(path, stages) as archive:
        archive.append(records)
        with pytest.raises(ValueError, match="does not belong"):
            archive.append([random_game(views_game(12, 7, players=3), 1)])
    with ReplayArchive(path, [*stages]) as archive:
        assert [record.to_bytes() for _, record in archive.newest(30, EVERYTHING, size_of)] == [
            record.to_bytes() for record in records
        ]
        buffer = ReplayBuffer.create(tiny_settings(), stages, private=True)
        assert buffer.refill(archive) == buffer.num_games == 20
        assert buffer.num_positions == sum(record.num_positions for record in records[10:])
    for changed in (
        {"win_length": 5},
        {"move_cap": 100},
        {"draws": "shared"},
        {"placement_rewards": (1.0, 0.0, -1.0)},
    ):
        with refused(ArchiveError, next(iter(changed)), kind="foreign", path=path):
            ReplayArchive(path, (stages[0], views_game(16, 7, players=3, **changed)))
    for other in (stages[0], stages[::-1], (*stages, views_game(20, 7, players=3))):
        with refused(ArchiveError, kind="foreign", path=path):
            ReplayArchive(path, other)


def test_a_buffer_of_stages_is_filled_by_bytes_not_by_guesses(tmp_path: Path) -> None:
    """Games of the large board leave a buffer of their size sooner than the archive can know."""
    stages = (views_game(7, 7), views_game(40, 7, move_cap=60))
    records = [random_game(stages[number % 2], number) for number in range(60)]
    largest = max(len(encode_game(r, stages[k % 2], piece_layout(stages[k % 2], 4))) for k, r in enumerate(records))
    tight = tiny_settings(max_games=60).model_copy(update={"max_memory_gb": (8 * largest + 100_000) / 1e9})
    with ReplayArchive(tmp_path / "games.sqlite", stages) as archive:
        archive.append(records)
        buffer = ReplayBuffer.create(tight, stages, private=True)
        kept = buffer.refill(archive)
    straight = ReplayBuffer.create(tight, stages, private=True)
    for record in records:
        straight.add_game(record)
    assert 8 <= kept < 60
    assert abs(kept - straight.num_games) <= 1  # the gap at the ring's end is elsewhere


def test_files_that_are_no_archive_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database at all\n" * 100)
    with sqlite3.connect(tmp_path / "foreign") as foreign:
        foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    (tmp_path / "new-reader").touch()  # what a reader sees of an archive that another process is making
    for name, version in (("newer", SCHEMA_VERSION + 1), ("older", 1), ("older-reader", 2)):
        ReplayArchive(tmp_path / name, GAME).close()
        with sqlite3.connect(tmp_path / name) as other:
            other.execute(f"PRAGMA user_version = {version}")
        other.close()
    for name, kind, words in (
        ("text", "damaged", "replay archive"),
        ("foreign", "foreign", "something else"),
        ("new-reader", "foreign", "nothing in it yet"),
        ("newer", "version", f"version {SCHEMA_VERSION + 1}"),
        ("older", "version", "version 1"),
        ("older-reader", "version", ""),
        ("no/such/folder/games", "access", "replay archive"),
    ):
        with refused(ArchiveError, name, words, kind=kind, path=tmp_path / name) as caught:
            ReplayArchive(tmp_path / name, GAME, read_only="reader" in name)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "text").read_text().startswith("not a database")


def test_a_reader_reads_any_game_while_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "with space %41?.sqlite"
    records = [random_game(GAME, number) for number in range(6)]
    with ReplayArchive(path, GAME) as archive:
        archive.append(records[:3])
        with ReplayArchive(path, GAME, read_only=True) as reader:
            assert reader.read(3).to_bytes() == records[2].to_bytes()
            assert reader.read(1).to_bytes() == records[0].to_bytes()
            with refused(ArchiveError, "4", kind="missing", path=path):
                reader.read(4)
            archive.append(records[3:])
            assert reader.read(4).to_bytes() == records[3].to_bytes()
            assert reader.total_games == 6
            with refused(ArchiveError, "readonly", kind="access", path=path):
                reader.append(records[:1])
        assert archive.read(6).to_bytes() == records[5].to_bytes()


VERSION_2 = """
CREATE TABLE rules (text TEXT NOT NULL);
CREATE TABLE games (
    id INTEGER PRIMARY KEY, plies INTEGER NOT NULL, policy_bytes INTEGER NOT NULL, positions_until INTEGER NOT NULL,
    weights_version INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE TABLE stages (number INTEGER PRIMARY KEY, games_before INTEGER NOT NULL, mastered_after INTEGER NOT NULL);
PRAGMA application_id = 0x48585052;
PRAGMA user_version = 2;
"""


def test_an_older_archive_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "games.sqlite"
    records = [random_game(GAME, number) for number in range(5)]
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_2)
        db.execute("INSERT INTO rules VALUES (?)", (json.dumps([GAME.terms]),))
        positions = 0
        for record in records[:3]:
            positions += record.num_positions
            sizes = (record.num_plies, len(record.policy_bytes), positions, record.weights_version)
            db.execute("INSERT INTO games VALUES (NULL, ?, ?, ?, ?, ?)", (*sizes, record.to_bytes()))
    db.close()
    with refused(ArchiveError, kind="version", path=path):
        ReplayArchive(path, GAME, read_only=True)
    with ReplayArchive(path, GAME) as archive:
        assert (archive.total_games, archive.total_positions) == (3, positions)
        archive.append(records[3:], [Sender(2, 0, 0), Sender(2, 1, 0)])
    with ReplayArchive(path, GAME, read_only=True) as archive:
        again = [record.to_bytes() for _, record in archive.newest(EVERYTHING, EVERYTHING, size_of)]
        assert again == [record.to_bytes() for record in records]
        rows = archive._db.execute("SELECT board_size, winner, session, worker, sequence FROM games").fetchall()
    winners = [int(record.outcome.argmax()) for record in records]
    came = [(None, None, None)] * 3 + [(2, 0, 0), (2, 1, 0)]
    assert rows == [(6, seat, *sender) for seat, sender in zip(winners, came, strict=True)]


def test_an_older_archive_with_foreign_games_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "games.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_2)
        db.execute("INSERT INTO games VALUES (NULL, 1, 1, 1, 1, ?)", (b"HXGR and no game",))
    db.close()
    before = path.read_bytes()
    with refused(ArchiveError, kind="damaged"):
        ReplayArchive(path, GAME)
    assert path.read_bytes() == before


def test_settings_and_senders_are_kept_with_the_games(tmp_path: Path) -> None:
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        for document in ("one", "two", "one"):
            archive.note_settings(document)
            archive.append([random_game(GAME, 1)])
        rows = archive._db.execute("SELECT document FROM games JOIN settings ON settings = settings.id").fetchall()
        assert rows == [("one",), ("two",), ("one",)]
        assert archive.newest_sequences(0, 100) == {}
        senders = [Sender(0, 0, 0), Sender(0, 3, 0), Sender(1, 0, 0), Sender(1, 0, 1), Sender(1, 3, 7)]
        archive.append([random_game(GAME, number) for number in range(5)], senders)
        assert archive.newest_sequences(0, 100) == {0: 0, 3: 0}
        assert archive.newest_sequences(1, 100) == {0: 1, 3: 7}
        assert archive.newest_sequences(1, 1) == {3: 7}


def test_a_full_disk_keeps_what_is_there_and_may_be_tried_again(tmp_path: Path) -> None:
    with ReplayArchive(tmp_path / "games.sqlite", GAME) as archive:
        archive.append([random_game(GAME, 0)])
        pages = archive._db.execute("PRAGMA page_count").fetchone()[0]
        archive._db.execute(f"PRAGMA max_page_count = {pages}")
        many = [random_game(GAME, number) for number in range(1, 100)]
        for _ in range(2):
            with refused(DiskFullError, kind="full", path=archive.path):
                archive.append(many)
            assert archive.total_games == 1
        archive._db.execute("PRAGMA max_page_count = 100000")
        archive.append(many)
        assert numbers(archive) == list(range(100))


def test_a_reader_makes_no_archive(tmp_path: Path) -> None:
    with refused(ArchiveError, "replay archive", kind="access", path=tmp_path / "none"):
        ReplayArchive(tmp_path / "none", GAME, read_only=True)
    (tmp_path / "empty").touch()
    with refused(ArchiveError, kind="foreign", path=tmp_path / "empty"):
        ReplayArchive(tmp_path / "empty", GAME, read_only=True)
    assert (tmp_path / "empty").stat().st_size == 0
    assert not (tmp_path / "none").exists()


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "games.sqlite"
    with ReplayArchive(path, GAME) as archive:
        archive.append([random_game(GAME, number) for number in range(100)])
    good = path.read_bytes()
    blob = random_game(GAME, 50).policy_bytes.tobytes()[:40]
    at = good.index(blob)
    path.write_bytes(good[: at + 5] + bytes([good[at + 5] ^ 1]) + good[at + 6 :])
    with ReplayArchive(path, GAME) as archive, refused(ArchiveError, kind="damaged", path=path):
        numbers(archive)
    path.write_bytes(good)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE games SET plies = CAST(? AS TEXT)", (b"\xed\xa0\x80",))
    db.close()
    with refused(ArchiveError, kind="damaged", path=path), ReplayArchive(path, GAME) as archive:
        numbers(archive)
    pages = len(good) // 4096
    path.write_bytes(good[: 4096 * (pages // 2)] + b"\xff" * 4096 * (pages - pages // 2))
    with refused(ArchiveError, kind="damaged", path=path), ReplayArchive(path, GAME) as archive:
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
