"""The archive of every game of a run, a SQLite file: the authoritative copy, of which the replay buffer is a cache.

It has all that training needs: moves, result, seats, search statistics and weights version (the record), the settings
in force, and each game's sender, so that none is stored twice. Write-ahead log and full synchronisation: a batch of
games whose `append` has returned survives any kill and, as far as the disk keeps its word, a power cut; a batch that
was cut off is not there at all.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from hexpipe.errors import ArchiveError
from hexpipe.games.game_env import Game, as_stages
from hexpipe.records import IMPORTED, GameRecord
from hexpipe.replay.store import check_rules
from hexpipe.sqlite_file import Connection, Kind, SqliteFile

_GAMES = """
CREATE TABLE games (
    id INTEGER PRIMARY KEY,             -- 1, 2, ... in the order of arrival
    plies INTEGER NOT NULL,
    policy_bytes INTEGER NOT NULL,
    positions_until INTEGER NOT NULL,   -- positions of this and all earlier games
    weights_version INTEGER NOT NULL,   -- training steps + 1 of the net that played; -1 of an imported game
    board_size INTEGER NOT NULL,
    winner INTEGER,                     -- the seat with the best result; NULL where several share it
    committed REAL,                     -- Unix seconds; NULL in games from before version 3, as in all that follows
    settings INTEGER REFERENCES settings,
    session INTEGER,                    -- part of the run, 0 before the first resume; NULL of a game of one process
    worker INTEGER,                     -- the outbox that it came through
    sequence INTEGER,                   -- and its number there, from 0 without a gap in each session
    record BLOB NOT NULL                -- GameRecord.to_bytes: version and crc32 of its own
)"""
_SETTINGS = """
CREATE TABLE settings (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,        -- of the document
    document TEXT NOT NULL              -- as in settings.json
)"""
_SCHEMA = f"""
CREATE TABLE rules (
    text TEXT NOT NULL                  -- Game.terms of every stage
);
{_SETTINGS};
{_GAMES};
CREATE TABLE stages (
    number INTEGER PRIMARY KEY,         -- 1, 2, ...: stages of the curriculum after the first, as they began
    games_before INTEGER NOT NULL,      -- games in the archive when it did
    mastered_after INTEGER NOT NULL     -- games of the stage before it
)
"""
SCHEMA_VERSION = 3
_LATE_GAMES = 1000  # games arrive in the order of their ends: fewer games than that later, older weights may still come


def _from_version_2(db: Connection) -> None:
    """Add columns of senders, unknown for these games, and those by which games are listed."""
    db.execute("ALTER TABLE games RENAME TO old_games")
    db.execute(_SETTINGS)
    db.execute(_GAMES)
    kept = "id, plies, policy_bytes, positions_until, weights_version"

    def rows() -> Iterator[tuple[Any, ...]]:
        for row in db.execute(f"SELECT {kept}, record FROM old_games"):
            record = GameRecord.from_bytes(row[-1])
            yield (*row, record.board_size, winner(record))

    db.executemany(f"INSERT INTO games ({kept}, record, board_size, winner) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows())
    db.execute("DROP TABLE old_games")


_KIND = Kind("replay archive", 0x48585052, SCHEMA_VERSION, _SCHEMA, {2: _from_version_2})  # "HXPR"


class Sender(NamedTuple):
    """The sender of a game: the part of the run, the worker's outbox, and the game's sequence number there."""

    session: int
    worker: int
    sequence: int


def winner(record: GameRecord) -> int | None:
    """Return the seat with the best result; None if several share it."""
    best = record.outcome == record.outcome.max()
    return int(best.argmax()) if best.sum() == 1 else None


class StageBegin(NamedTuple):
    """The beginning of a curriculum's present stage.

    Its number from 0, the games in the archive at that time, and the number of games of the stage before it.
    """

    number: int
    games_before: int
    mastered_after: int


class ReplayArchive:
    """The archive file ``path`` of games by the rules of ``games``, one or the stages of a curriculum; created if
    missing.

    One process appends; others, with ``read_only``, may read meanwhile. Raises ArchiveError, in one line, where the
    file is no archive, is damaged, newer than this version, or holds games of other rules.
    """

    def __init__(self, path: Path | str, games: Game | Sequence[Game], *, read_only: bool = False) -> None:
        self._games = as_stages(games)
        rules = json.dumps([game.terms for game in self._games])
        self._file = SqliteFile(
            path, _KIND, read_only=read_only, fill=lambda db: db.execute("INSERT INTO rules VALUES (?)", (rules,))
        )
        self.path = self._file.path
        self._db = self._file.db
        self._settings: int | None = None
        try:
            self._check_rules(rules)
        except ArchiveError:
            self.close()
            raise

    def __enter__(self) -> ReplayArchive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def note_settings(self, document: str) -> None:
        """Commit that games are played with the settings ``document`` (`config.dump_settings`) from now on."""
        digest = hashlib.sha256(document.encode()).hexdigest()
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO settings (sha256, document) VALUES (?, ?)", (digest, document))
            row = self._db.execute("SELECT id FROM settings WHERE sha256 = ?", (digest,)).fetchone()
        self._settings = int(row[0])

    def append(self, records: Iterable[GameRecord], senders: Iterable[Sender] = ()) -> None:
        """Commit ``records``, all or none. ``senders``: the sender of each, in a run of many processes.

        ValueError if one is of other rules, DiskFullError if there is no room.
        """
        with self._file.transaction():
            self._db.executemany(
                "INSERT INTO games (plies, policy_bytes, positions_until, weights_version, board_size, winner,"
                " committed, settings, session, worker, sequence, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._rows(records, chain(senders, repeat((None, None, None))), self.total_positions),
            )

    def _rows(
        self, records: Iterable[GameRecord], senders: Iterable[tuple[int | None, ...]], positions: int
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of ``records``, which follow on games of so many ``positions``."""
        now = time.time()
        for record, sender in zip(records, senders, strict=False):
            check_rules(record, self._games)
            positions += record.num_positions
            sizes = (record.num_plies, len(record.policy_bytes), positions, record.weights_version)
            found = (record.board_size, winner(record), now, self._settings)
            yield (*sizes, *found, *sender, record.to_bytes())

    def newest_sequences(self, session: int, games: int) -> dict[int, int]:
        """Return by worker the highest sequence in ``session`` among the newest ``games`` games."""
        with self._file.explained():
            rows = self._db.execute(
                "SELECT worker, max(sequence) FROM"
                " (SELECT session, worker, sequence FROM games ORDER BY id DESC LIMIT ?)"
                " WHERE session = ? GROUP BY worker",
                (games, session),
            ).fetchall()
        return {self._count(worker): self._count(sequence) for worker, sequence in rows}

    def select(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a custom query; the schema is above."""
        with self._file.explained():
            return self._db.execute(query, parameters).fetchall()

    def senders(self) -> Iterator[Sender]:
        """Yield the games' senders in the order of arrival, without unknown ones."""
        query = "SELECT session, worker, sequence FROM games WHERE sequence IS NOT NULL ORDER BY id"
        return (Sender(*row) for row in self.select(query))

    @property
    def newest_session(self) -> int:
        """Part of the run in which the newest game with a known sender came; -1 if there is none."""
        rows = self.select("SELECT session FROM games WHERE session IS NOT NULL ORDER BY id DESC LIMIT 1")
        return self._count(rows[0][0]) if rows else -1

    @property
    def total_games(self) -> int:
        """Number of games in the archive."""
        with self._file.explained():
            return self._count(self._db.execute("SELECT coalesce(max(id), 0) FROM games").fetchone()[0])

    @property
    def total_positions(self) -> int:
        """Number of positions in the archive."""
        with self._file.explained():
            row = self._db.execute("SELECT positions_until FROM games ORDER BY id DESC LIMIT 1").fetchone()
            return self._count(row[0]) if row else 0

    def read(self, number: int) -> GameRecord:
        """Return the ``number``-th game to arrive, counted from 1; ArchiveError if it does not exist."""
        with self._file.explained():
            row = self._db.execute("SELECT record FROM games WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise ArchiveError(
                f"{self.path} has no game {number}: restore the file or start a new run", kind="missing", path=self.path
            )
        return self._checked(row[0])

    def newest(
        self, max_games: int, max_bytes: int, size_of: Callable[[int, int], int], boards: Iterable[int] | None = None
    ) -> Iterator[tuple[int, GameRecord]]:
        """Yield the newest games with their ids, oldest first: as many as ``max_games`` and ``max_bytes`` allow.

        ``size_of(plies, policy_bytes)`` returns a game's share of ``max_bytes``; ``boards`` are the sizes wanted.
        """
        sizes = sorted({game.board_size for game in self._games} if boards is None else set(boards))
        of_sizes = f"board_size IN ({', '.join('?' * len(sizes))})"
        with self._file.explained():
            first, left = self.total_games + 1, max_bytes
            cursor = self._db.execute(
                f"SELECT id, plies, policy_bytes FROM games WHERE {of_sizes} ORDER BY id DESC LIMIT ?",
                (*sizes, max_games),
            )
            for number, plies, policy_bytes in cursor:
                left -= size_of(self._count(plies), self._count(policy_bytes))
                if left < 0:
                    break
                first = number
            cursor.close()
            rows = self._db.execute(
                f"SELECT id, record FROM games WHERE id >= ? AND {of_sizes} ORDER BY id", (first, *sizes)
            )
        while True:
            with self._file.explained():
                row = rows.fetchone()
            if row is None:
                return
            yield int(row[0]), self._checked(row[1])

    @property
    def stage(self) -> StageBegin:
        """Present stage of the run's curriculum; the first one if none was begun."""
        with self._file.explained():
            row = self._db.execute("SELECT * FROM stages ORDER BY number DESC LIMIT 1").fetchone()
        return StageBegin(0, 0, 0) if row is None else StageBegin(*map(self._count, row))

    def begin_stage(self, number: int, mastered_after: int) -> None:
        """Commit that the stage ``number`` (from 0) begins now."""
        with self._file.transaction():
            self._db.execute("INSERT INTO stages VALUES (?, ?, ?)", (number, self.total_games, mastered_after))

    def newest_weights(self, games: int) -> int:
        """Return the newest version of weights that played the last of the first ``games`` games; 0 for no games."""
        rows = self.select(
            "SELECT coalesce(max(weights_version), 0) FROM games WHERE id > ? AND id <= ?", (games - _LATE_GAMES, games)
        )
        return self._count(rows[0][0])

    def games_after(self, number: int) -> Iterator[GameRecord]:
        """Yield the games after the ``number``-th, newest first."""
        with self._file.explained():
            rows = self._db.execute("SELECT record FROM games WHERE id > ? ORDER BY id DESC", (number,))
        yield from self._read_all(rows)

    def imported(self) -> Iterator[GameRecord]:
        """Yield the games that were not played by this run (`records.IMPORTED`), in the order of arrival."""
        with self._file.explained():
            query = "SELECT record FROM games WHERE weights_version = ? ORDER BY id"
            rows = self._db.execute(query, (IMPORTED,))
        yield from self._read_all(rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check_rules(self, rules: str) -> None:
        with self._file.explained():
            found = self._db.execute("SELECT text FROM rules").fetchone()
        if found is None or found[0] != rules:
            words = (
                f"{self.path} holds games of {found[0] if found else 'no rules'}, these settings play {rules}: "
                "go on with its settings, or start a new run"
            )
            raise ArchiveError(words, kind="foreign", path=self.path)

    def _read_all(self, rows: Iterator[tuple[object]]) -> Iterator[GameRecord]:
        """Yield the records of a query; SQLite may find its file damaged at any row."""
        while True:
            with self._file.explained():
                row = next(rows, None)
            if row is None:
                return
            yield self._checked(row[0])

    def _count(self, value: object) -> int:
        if not isinstance(value, int):  # a damaged file may hold anything
            words = f"{self.path} is damaged (a count in it is {str(value)[:40]!r}): restore the file"
            raise ArchiveError(words, kind="damaged", path=self.path)
        return value

    def _checked(self, blob: object) -> GameRecord:
        if not isinstance(blob, bytes):
            words = f"{self.path} is damaged (a game in it is {str(blob)[:40]!r}): restore the file"
            raise ArchiveError(words, kind="damaged", path=self.path)
        try:
            record = GameRecord.from_bytes(blob)
            check_rules(record, self._games)
        except ArchiveError as error:
            raise ArchiveError(f"{self.path}: {error}", kind=error.kind, path=self.path) from error
        except ValueError as error:
            raise ArchiveError(
                f"{self.path} holds a foreign game ({error}): restore the file", kind="foreign", path=self.path
            ) from error
        return record
