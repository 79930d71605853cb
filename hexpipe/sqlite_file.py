"""One way to open a SQLite file of hexpipe's: known by its id, versioned, with errors that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hexpipe.errors import ArchiveError

BUSY_SECONDS = 30.0


class SqliteFile:
    """The database ``path`` of one kind; made from ``schema`` (statements apart by ";\\n") where it does not exist.

    Raises ArchiveError, in one line, where the file is of something else, damaged, of another ``version``, or cannot be
    had. Write-ahead log and full synchronisation: what `transaction` has committed survives any kill and, as far as the
    disk keeps its word, a power cut. One connection for one thread; others may read at the same time.
    """

    def __init__(self, path: Path | str, application_id: int, version: int, schema: str) -> None:
        self.path = Path(path)
        with self.explained():
            self.db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            with self.explained():
                self._open(application_id, version, schema)
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done within."""
        with self.explained():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns SQLite's errors into one line that says which file and what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ArchiveError(f"cannot use {self.path} ({error}): check its folder and its room") from error
        except sqlite3.DatabaseError as error:
            raise ArchiveError(f"{self.path} is damaged ({error}): restore it or name another") from error

    def _open(self, application_id: int, version: int, schema: str) -> None:
        db = self.db
        db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            identity = db.execute("PRAGMA application_id").fetchone()[0]
            empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if identity == 0 and empty:
                for statement in schema.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {application_id}")
                db.execute(f"PRAGMA user_version = {version}")
            elif identity != application_id:
                raise ArchiveError(f"{self.path} is a database of something else: move it away or name another file")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != version:
            raise ArchiveError(f"{self.path} has version {found}, this hexpipe reads {version}: use its writer")
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise ArchiveError(f"{self.path} cannot have a write-ahead log there (got {mode}): use a local disk")
