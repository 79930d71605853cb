"""Creation, opening and identification of hexpipe's SQLite files, all in one place.

A file's application id tells its kind, its user version the schema. Opening an older one for writing migrates it first,
in one transaction, if its kind has a migration; any other version is refused with a one-line message.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

from hexpipe.errors import ArchiveError, DiskFullError, FileBusyError, is_disk_full
from hexpipe.plain_files import check_own, open_new
from hexpipe.presence import Presence

Connection = sqlite3.Connection
BUSY_SECONDS = 30.0
_UNWRITTEN = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE")
"""SQLite's errors where a quota is used up, or the disk is broken; the transaction is rolled back."""
_PROBE = bytes(65536)

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
"""SQLite's errors after `BUSY_SECONDS` of waiting for a lock; the file itself is intact."""
_HINTS = {
    "SQLITE_CANTOPEN": "check that its folder exists, may be written and has room",
    "SQLITE_READONLY": "give yourself the right to write it and its folder",
    "SQLITE_PERM": "give yourself the right to write it and its folder",
    "SQLITE_AUTH": "give yourself the right to write it and its folder",
    "SQLITE_IOERR": "its disk does not do what it is asked; look at the system's log, or move the folder to another",
    "SQLITE_NOMEM": "there is not enough memory; end other programs, and try again",
}


@dataclass(frozen=True)
class Kind:
    """A schema: a ``name`` for messages, application id and version, and its tables (statements apart by ";\\n").

    ``migrations``: by version, the step that migrates a file to the next one.
    """

    name: str
    application_id: int
    version: int
    schema: str
    migrations: Mapping[int, Callable[[Connection], object]] = field(default_factory=dict)


class SqliteFile:
    """The database ``path`` of one ``kind``; created if missing, and filled by ``fill`` in the same transaction.

    Raises ArchiveError, in one line, where the file is of another kind, damaged, of another version, or inaccessible;
    RunFolderError where it or a file of SQLite's beside it is a link or a pipe (`plain_files.check_own`). Write-ahead
    log and full synchronisation: what `transaction` has committed survives any kill and, as far as the disk keeps its
    word, a power cut. One connection for one thread; others, also with ``read_only``, may read at the same time.
    """

    def __init__(
        self,
        path: Path | str,
        kind: Kind,
        *,
        read_only: bool = False,
        fill: Callable[[Connection], object] = lambda db: None,
    ) -> None:
        self.path = Path(path)
        self._kind = kind
        for beside in ("", "-wal", "-shm", "-journal"):  # SQLite would follow links, and block on a pipe
            check_own(self.path.with_name(self.path.name + beside))
        name = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with self.explained():
            self.db = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
        self._presence: Presence | None = None
        try:
            with self.explained():
                self._open(read_only, fill)
            self._presence = Presence(self.path)
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit all that is done within, or nothing. GoneError, and no commit, if the file is no longer at its
        path."""
        with self.explained():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                if self._presence is not None:  # SQLite would go on writing to a deleted file
                    self._presence.check()
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite may have rolled back already
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn SQLite's errors into one line that names the file and the remedy: ArchiveError, DiskFullError."""
        try:
            yield
        except sqlite3.OperationalError as error:
            name = getattr(error, "sqlite_errorname", None)  # errors of the sqlite3 module itself have none
            if name is None:
                raise self._damaged(error) from error
            if name == "SQLITE_FULL" or (name in _UNWRITTEN and self._is_full()):
                raise DiskFullError(
                    f"the {self._kind.name} {self.path} cannot be written ({_brief(error)}): free some "
                    "room on its disk",
                    path=self.path,
                ) from error
            what = f"cannot use the {self._kind.name} {self.path} ({_brief(error)})"
            if name.startswith(_BUSY):
                raise FileBusyError(
                    f"{what}: another program holds it locked; close that, or let it finish", path=self.path
                ) from error
            hints = [hint for prefix, hint in _HINTS.items() if name.startswith(prefix)]
            words = f"{what}: {hints[0] if hints else 'look at its file system, and try again'}"
            raise ArchiveError(words, kind="access", path=self.path) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter from SQLite's own message
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ArchiveError:
        return ArchiveError(
            f"{self.path} is damaged or no {self._kind.name} ({_brief(error)}): restore it or start another",
            kind="damaged",
            path=self.path,
        )

    def _open(self, read_only: bool, fill: Callable[[Connection], object]) -> None:
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
            elif identity == kind.application_id and not read_only:
                self._migrate()
            elif identity != kind.application_id:
                foreign = f"{self.path} is a database of something else: move it away or name another file"
                new = f"{self.path} has nothing in it yet: try again once its run has begun"
                raise ArchiveError(new if empty else foreign, kind="foreign", path=self.path)
        version = self._version()
        if read_only and version in kind.migrations:
            words = f"{self.path} is of an older hexpipe: go on with its run once, which brings it up to date"
            raise ArchiveError(words, kind="version", path=self.path)
        if version != kind.version:
            words = (
                f"{self.path} has version {version}, this hexpipe reads {kind.version}: go on with the hexpipe that "
                "wrote it, or start another"
            )
            raise ArchiveError(words, kind="version", path=self.path)
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            words = f"{self.path} cannot have a write-ahead log there (got {mode}): use a local disk"
            raise ArchiveError(words, kind="access", path=self.path)

    def _is_full(self) -> bool:
        """Return whether there is no room for a file beside this one; other disk failures count as no."""
        probe = self.path.with_name(f".{self.path.name}.room")
        try:
            with open_new(probe) as file:
                file.write(_PROBE)
                file.flush()
                os.fsync(file.fileno())
            return False
        except OSError as error:
            return is_disk_full(error)
        finally:
            probe.unlink(missing_ok=True)

    def _migrate(self) -> None:
        while (version := self._version()) in self._kind.migrations:
            try:
                self._kind.migrations[version](self.db)
            except (ValueError, ArchiveError) as error:  # caused by the file's content
                raise self._damaged(error) from error
            self.db.execute(f"PRAGMA user_version = {version + 1}")

    def _version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])


def _brief(error: Exception) -> str:
    """Return SQLite's message in one line: it may quote a whole schema."""
    return shorten(str(error), 200, placeholder=" ...")
