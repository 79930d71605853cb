"""The archive of every game of a run, a SQLite file: the truth that the replay buffer is a cache of.

Write-ahead log and full synchronisation: a batch of games whose `append` has returned survives any kill and, as far as
the disk keeps its word, a power cut; a batch that was cut off is not there at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from hexpipe.errors import ArchiveError
from hexpipe.games.game_env import Game, as_stages
from hexpipe.records import IMPORTED, GameRecord
from hexpipe.replay.store import check_rules
from hexpipe.sqlite_file import Kind, SqliteFile

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
)
"""
SCHEMA_VERSION = 2
_KIND = Kind("replay archive", 0x48585052, SCHEMA_VERSION, _SCHEMA)  # "HXPR"


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
        self._games = as_stages(games)
        rules = json.dumps([game.terms for game in self._games])
        self._file = SqliteFile(
            path, _KIND, read_only=read_only, fill=lambda db: db.execute("INSERT INTO rules VALUES (?)", (rules,))
        )
        self.path = self._file.path
        self._db = self._file.db
        try:
            self._check_rules(rules)
        except ArchiveError:
            self.close()
            raise

    def __enter__(self) -> ReplayArchive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def append(self, records: Iterable[GameRecord]) -> None:
        """Commits ``records``, all or none; once this returns they are kept. ValueError where one is of other rules."""
        with self._file.transaction():
            self._db.executemany(
                "INSERT INTO games (plies, policy_bytes, positions_until, weights_version, record)"
                " VALUES (?, ?, ?, ?, ?)",
                self._rows(records, self.total_positions),
            )

    def _rows(self, records: Iterable[GameRecord], positions: int) -> Iterator[tuple[int, int, int, int, bytes]]:
        """What is written of ``records`` after games of so many ``positions``."""
        for record in records:
            check_rules(record, self._games)
            positions += record.num_positions
            sizes = (record.num_plies, len(record.policy_bytes), positions, record.weights_version)
            yield (*sizes, record.to_bytes())

    @property
    def total_games(self) -> int:
        """Games in the archive."""
        with self._file.explained():
            return int(self._db.execute("SELECT coalesce(max(id), 0) FROM games").fetchone()[0])

    @property
    def total_positions(self) -> int:
        """Positions in the archive."""
        with self._file.explained():
            row = self._db.execute("SELECT positions_until FROM games ORDER BY id DESC LIMIT 1").fetchone()
            return int(row[0]) if row else 0

    def read(self, number: int) -> GameRecord:
        """The game that was the ``number``-th to arrive, counted from 1; ArchiveError where there is none such."""
        with self._file.explained():
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
        with self._file.explained():
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
            with self._file.explained():
                row = rows.fetchone()
            if row is None:
                return
            yield int(row[0]), self._checked(row[1])

    @property
    def stage(self) -> StageBegin:
        """Where the run's curriculum stands; the first stage where none was begun."""
        with self._file.explained():
            row = self._db.execute("SELECT * FROM stages ORDER BY number DESC LIMIT 1").fetchone()
        return StageBegin(0, 0, 0) if row is None else StageBegin(*row)

    def begin_stage(self, number: int, mastered_after: int) -> None:
        """Commits that the stage ``number`` (from 0) begins now."""
        with self._file.transaction():
            self._db.execute("INSERT INTO stages VALUES (?, ?, ?)", (number, self.total_games, mastered_after))

    def games_after(self, number: int) -> Iterator[GameRecord]:
        """The games that came in after the ``number``-th, newest first."""
        with self._file.explained():
            rows = self._db.execute("SELECT record FROM games WHERE id > ? ORDER BY id DESC", (number,))
        yield from self._read_all(rows)

    def imported(self) -> Iterator[GameRecord]:
        """The games that were not played by this run (`records.IMPORTED`), in the order of arrival."""
        with self._file.explained():
            query = "SELECT record FROM games WHERE weights_version = ? ORDER BY id"
            rows = self._db.execute(query, (IMPORTED,))
        yield from self._read_all(rows)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _check_rules(self, rules: str) -> None:
        with self._file.explained():
            found = self._db.execute("SELECT text FROM rules").fetchone()
        if found is None or found[0] != rules:
            raise ArchiveError(
                f"{self.path} holds games of {found[0] if found else 'no rules'}, these settings play {rules}: "
                "go on with its settings, or start a new run"
            )

    def _read_all(self, rows: Iterator[tuple[bytes]]) -> Iterator[GameRecord]:
        """The records of a query for them; SQLite may find its file damaged at any row."""
        while True:
            with self._file.explained():
                row = next(rows, None)
            if row is None:
                return
            yield self._checked(row[0])

    def _checked(self, blob: bytes) -> GameRecord:
        try:
            record = GameRecord.from_bytes(blob)
            check_rules(record, self._games)
        except ArchiveError as error:
            raise ArchiveError(f"{self.path}: {error}") from error
        except ValueError as error:
            raise ArchiveError(f"{self.path} holds a foreign game ({error}): restore the file") from error
        return record
