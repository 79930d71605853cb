"""Files that are taken away while they are in use."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from hexpipe.errors import ArchiveError, FileBusyError, GoneError
from hexpipe.presence import Presence
from hexpipe.sqlite_file import Kind, SqliteFile
from tests.refusals import refused

KIND = Kind("list of words", 0x54455354, 1, "CREATE TABLE words (word TEXT)")


def words(path: Path) -> list[str]:
    file = SqliteFile(path, KIND, read_only=True)
    try:
        return [word for (word,) in file.db.execute("SELECT word FROM words")]
    finally:
        file.close()


def test_what_is_deleted_moved_or_replaced_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    file = folder / "file"
    file.write_text("one")
    presence = Presence(folder, file)
    file.write_text("changed, and the same file")
    assert presence.lost() is None
    presence.check()
    file.rename(folder / "aside")
    assert presence.lost() == file
    with refused(GoneError, kind="missing", path=file, replaced=False):
        presence.check()
    file.write_text("another")
    with refused(GoneError, kind="missing", path=file, replaced=True):
        presence.check()
    (folder / "aside").replace(file)
    assert presence.lost() is None
    folder.rename(tmp_path / "elsewhere")
    assert presence.lost() == folder
    shutil.copytree(tmp_path / "elsewhere", folder)
    assert presence.lost() == folder, "a copy is another"
    folder.rename(tmp_path / "copy")
    folder.write_text("no folder at all")
    assert presence.lost() == folder
    again = pickle.loads(pickle.dumps(GoneError(file, replaced=True)))
    assert (again.path, str(again)) == (file, str(GoneError(file, replaced=True)))


def test_an_inode_that_is_watched_is_given_to_nothing_else(tmp_path: Path) -> None:
    """File systems give the inode of what was deleted to what is made next."""
    folder, file = tmp_path / "run", tmp_path / "run" / "file"
    for _ in range(20):
        folder.mkdir()
        file.write_text("one")
        presence, inner = Presence(folder), Presence(file)
        file.unlink()
        file.write_text("another")
        assert inner.lost() == file
        shutil.rmtree(folder)
        folder.mkdir()
        assert presence.lost() == folder
        folder.rmdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    del presence, inner
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 2


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_committed_to_a_database_that_nobody_finds(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "words.sqlite"
    file = SqliteFile(path, KIND)
    with file.transaction() as db:
        db.execute("INSERT INTO words VALUES ('kept')")
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in ("words.sqlite", "words.sqlite-wal", "words.sqlite-shm"):
        (tmp_path / name).rename(aside / name)
    if replaced:
        SqliteFile(path, KIND).close()
    with pytest.raises(GoneError), file.transaction() as db:
        db.execute("INSERT INTO words VALUES ('lost')")
    file.close()
    assert words(aside / "words.sqlite") == ["kept"]
    if replaced:
        assert words(path) == []


def test_a_lock_of_another_program_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexpipe.sqlite_file.BUSY_SECONDS", 0.01)
    path = tmp_path / "words.sqlite"
    first, second = SqliteFile(path, KIND), SqliteFile(path, KIND)
    with (
        first.transaction(),
        refused(FileBusyError, "database is locked", kind="busy", path=path),
        second.transaction(),
    ):
        pass
    with second.transaction() as db:
        db.execute("INSERT INTO words VALUES ('free again')")
    first.close()
    second.close()


def test_what_sqlite_refuses_is_explained_by_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "words.sqlite"
    SqliteFile(path, KIND).close()
    read_only = SqliteFile(path, KIND, read_only=True)
    with refused(ArchiveError, "readonly", kind="access", path=path), read_only.explained():
        read_only.db.execute("INSERT INTO words VALUES ('no')")
    read_only.close()
    nowhere = tmp_path / "nowhere" / "words.sqlite"
    with refused(ArchiveError, "unable to open", kind="access", path=nowhere):
        SqliteFile(nowhere, KIND)
