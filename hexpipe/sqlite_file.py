"""The one place that knows how a SQLite file of hexpipe's is made, opened and told from others.

A file says what it is by its application id, and of which form by its version. No form has been followed by another
that could read it, so there are no migrations: a file of another version is refused, in a line that says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from hexpipe.errors import ArchiveError

BUSY_SECONDS = 30.0


@dataclass(frozen=True)
class Kind:
    """What a file holds: a ``name`` for messages, its id and version, and its tables (statements apart by ";\\n")."""

    name: str
    application_id: int
    version: int
    schema: str


class SqliteFile:
    """The database ``path`` of one ``kind``; made where it does not exist, and filled by ``fill`` in that transaction.

    Raises ArchiveError, in one line, where the file is of something else, damaged, of another version, or cannot be
    had. Write-ahead log and full synchronisation: what `transaction` has committed survives any kill and, as far as the
    disk keeps its word, a power cut. One connection for one thread; others, with ``read_only`` too, may read at the
    same time.
    """

    def __init__(
        self,
        path: Path | str,
        kind: Kind,
        *,
        read_only: bool = False,
        fill: Callable[[sqlite3.Connection], object] = lambda db: None,
    ) -> None:
        self.path = Path(path)
        self._kind = kind
        name = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with self.explained():
            self.db = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
        try:
            with self.explained():
                self._open(read_only, fill)
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
            raise ArchiveError(
                f"cannot use the {self._kind.name} {self.path} ({error}): check that its folder exists and has room"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ArchiveError(
                f"{self.path} is damaged or no {self._kind.name} ({error}): restore it or start another"
            ) from error

    def _open(self, read_only: bool, fill: Callable[[sqlite3.Connection], object]) -> None:
        db, kind = self.db, self._kind
        db.execute("PRAGMA synchronous = FULL")
        with nullcontext() if read_only else self.transaction():
            identity = db.execute("PRAGMA application_id").fetchone()[0]
            empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if identity == 0 and empty and not read_only:
                for statement in kind.schema.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {kind.application_id}")
                db.execute(f"PRAGMA user_version = {kind.version}")
                fill(db)
            elif identity != kind.application_id:
                raise ArchiveError(f"{self.path} is a database of something else: move it away or name another file")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != kind.version:
            raise ArchiveError(
                f"{self.path} has version {version}, this hexpipe reads {kind.version}: go on with the hexpipe that "
                "wrote it, or start another"
            )
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise ArchiveError(f"{self.path} cannot have a write-ahead log there (got {mode}): use a local disk")
