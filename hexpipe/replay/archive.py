"""The archive of every game of a run, a SQLite file: the truth that the replay buffer is a cache of.

Write-ahead log and full synchronisation: a batch of games whose `append` has returned survives any kill and, as far as
the disk keeps its word, a power cut; a batch that was cut off is not there at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from hexpipe.errors import ArchiveError
from hexpipe.games.game_env import Game, as_stages
from hexpipe.records import GameRecord
from hexpipe.replay.store import check_rules

APPLICATION_ID = 0x48585052  # "HXPR"
SCHEMA_VERSION = 2
BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE rules (
    text TEXT NOT NULL                  -- Game.terms of every stage
);
CREATE TABLE games (
    id INTEGER PRIMARY KEY,             -- 1, 2, ... in the order of arrival
    plies INTEGER NOT NULL,
    policy_bytes INTEGER NOT NULL,
    positions_until INTEGER NOT NULL,   -- positions of this and all earlier games
    weights_version INTEGER NOT NULL,
    record BLOB NOT NULL                -- GameRecord.to_bytes
);
CREATE TABLE stages (
    number INTEGER PRIMARY KEY,         -- 1, 2, ...: stages of the curriculum after the first, as they began
    games_before INTEGER NOT NULL,      -- games in the archive when it did
    mastered_after INTEGER NOT NULL     -- games of the stage before it
);
"""


class StageBegin(NamedTuple):
    """The stage of a curriculum that is played: its number from 0, the games in the archive when it began, and how many
    games the stage before it took."""

    number: int
    games_before: int
    mastered_after: int


class ReplayArchive:
    """The archive file ``path`` of games by the rules of ``games``, one or the stages of a curriculum; made where it
    does not exist.

    One process appends; others, with ``read_only``, may read meanwhile. Raises ArchiveError, in one line, where the
    file is no archive, is damaged, newer than this version, or holds games of other rules.
    """

    def __init__(self, path: Path | str, games: Game | Sequence[Game], *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._games = as_stages(games)
        self._read_only = read_only
        name = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with self._explained():
            self._db = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
        try:
            with self._explained():
                self._open()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> ReplayArchive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def append(self, records: Sequence[GameRecord]) -> None:
        """Commits ``records``, all or none; once this returns they are kept. ValueError where one is of other rules."""
        for record in records:
            check_rules(record, self._games)
        with self._explained(), self._transaction():
            positions = self.total_positions
            rows = []
            for record in records:
                positions += record.num_positions
                sizes = (record.num_plies, len(record.policy_bytes), positions, record.weights_version)
                rows.append((*sizes, record.to_bytes()))
            self._db.executemany(
                "INSERT INTO games (plies, policy_bytes, positions_until, weights_version, record)"
                " VALUES (?, ?, ?, ?, ?)",
                rows,
            )

    @property
    def total_games(self) -> int:
        """Games in the archive."""
        with self._explained():
            return int(self._db.execute("SELECT coalesce(max(id), 0) FROM games").fetchone()[0])

    @property
    def total_positions(self) -> int:
        """Positions in the archive."""
        with self._explained():
            row = self._db.execute("SELECT positions_until FROM games ORDER BY id DESC LIMIT 1").fetchone()
            return int(row[0]) if row else 0

    def read(self, number: int) -> GameRecord:
        """The game that was the ``number``-th to arrive, counted from 1; ArchiveError where there is none such."""
        with self._explained():
            row = self._db.execute("SELECT record FROM games WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise ArchiveError(f"{self.path} has no game {number}: restore the file or start a new run")
        return self._checked(row[0])

    def newest(
        self, max_games: int, max_bytes: int, size_of: Callable[[int, int], int]
    ) -> Iterator[tuple[int, GameRecord]]:
        """The newest games with their ids, oldest of them first: as many as ``max_games`` and ``max_bytes`` allow.

        ``size_of(plies, policy_bytes)`` says what a game takes of ``max_bytes``.
        """
        with self._explained():
            first, left = self.total_games + 1, max_bytes
            cursor = self._db.execute(
                "SELECT id, plies, policy_bytes FROM games ORDER BY id DESC LIMIT ?", (max_games,)
            )
            for number, plies, policy_bytes in cursor:
                left -= size_of(plies, policy_bytes)
                if left < 0:
                    break
                first = number
            cursor.close()
            rows = self._db.execute("SELECT id, record FROM games WHERE id >= ? ORDER BY id", (first,))
        while True:
            with self._explained():
                row = rows.fetchone()
            if row is None:
                return
            yield int(row[0]), self._checked(row[1])

    @property
    def stage(self) -> StageBegin:
        """Where the run's curriculum stands; the first stage where none was begun."""
        with self._explained():
            row = self._db.execute("SELECT * FROM stages ORDER BY number DESC LIMIT 1").fetchone()
        return StageBegin(0, 0, 0) if row is None else StageBegin(*row)

    def begin_stage(self, number: int, mastered_after: int) -> None:
        """Commits that the stage ``number`` (from 0) begins now."""
        with self._explained(), self._transaction():
            self._db.execute("INSERT INTO stages VALUES (?, ?, ?)", (number, self.total_games, mastered_after))

    def games_after(self, number: int) -> Iterator[GameRecord]:
        """The games that came in after the ``number``-th, newest first."""
        with self._explained():
            rows = self._db.execute("SELECT record FROM games WHERE id > ? ORDER BY id DESC", (number,))
        while True:
            with self._explained():
                row = rows.fetchone()
            if row is None:
                return
            yield self._checked(row[0])

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _open(self) -> None:
        rules = json.dumps([game.terms for game in self._games])
        self._db.execute("PRAGMA synchronous = FULL")
        with nullcontext() if self._read_only else self._transaction():
            identity = self._db.execute("PRAGMA application_id").fetchone()[0]
            empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if identity == 0 and empty and not self._read_only:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO rules VALUES (?)", (rules,))
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif identity != APPLICATION_ID:
                raise ArchiveError(f"{self.path} is a database of something else: move it away or name another file")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise ArchiveError(
                f"{self.path} has schema version {version}, this hexpipe reads {SCHEMA_VERSION}: go on with the "
                "version that wrote it, or start a new run"
            )
        found = self._db.execute("SELECT text FROM rules").fetchone()
        if found is None or found[0] != rules:
            raise ArchiveError(
                f"{self.path} holds games of {found[0] if found else 'no rules'}, these settings play {rules}: "
                "go on with its settings, or start a new run"
            )
        mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise ArchiveError(f"{self.path} cannot have a write-ahead log there (got {mode}): use a local disk")

    def _checked(self, blob: bytes) -> GameRecord:
        try:
            record = GameRecord.from_bytes(blob)
            check_rules(record, self._games)
        except ArchiveError as error:
            raise ArchiveError(f"{self.path}: {error}") from error
        except ValueError as error:
            raise ArchiveError(f"{self.path} holds a foreign game ({error}): restore the file") from error
        return record

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns SQLite's errors into one line that says which file and what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ArchiveError(
                f"cannot use the archive {self.path} ({error}): check that its folder exists and has room"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ArchiveError(
                f"{self.path} is damaged or no replay archive ({error}): restore it or start a new run"
            ) from error
