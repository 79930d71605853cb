"""Reading of files that others may have made, and writing of files that survive a power cut.

A run's folder may come from a stranger. hexpipe's own files in it are opened only here (`open_own`, `open_new`,
`own_folder`, `read_plain`): no link there leads elsewhere, no pipe blocks. The folder's own path may go through links.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from pathlib import Path
from typing import IO, Any, Literal

from hexpipe.errors import RunFolderError

MOST_DOCUMENT_BYTES = 2**20
"""Of a JSON document: those of a run and its checkpoints take some ten thousand."""


def read_plain(file: Path, most: int) -> bytes:
    """Return the content of a plain file of at most ``most`` bytes.

    OSError where it is missing or longer, or is a link, a folder, a pipe or a device, which are not opened.
    """
    if not stat.S_ISREG(file.lstat().st_mode):  # before it is opened, which may have an effect on a device
        raise OSError(errno.ELOOP, "a link, a folder, a pipe or a device is no plain file")
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        length = os.fstat(descriptor).st_size
        if length > most:
            raise OSError(errno.EFBIG, "it is longer than it can be")
        return stream.read(length)


def open_own(file: Path, mode: Literal["rb", "ab", "a", "a+", "a+b"]) -> IO[Any]:
    """Open one of hexpipe's own files to read or to append to; it is created if missing, except for "rb".

    RunFolderError as `check_own`, and nothing is opened; OSError as `open`.
    """
    check_own(file)
    append = os.O_CREAT | os.O_APPEND
    access = os.O_RDONLY if mode == "rb" else append | (os.O_RDWR if "+" in mode else os.O_WRONLY)
    # O_NONBLOCK: in case it has just become a pipe
    descriptor = os.open(file, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        _refuse_foreign(file, os.fstat(descriptor))
        return os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8")
    except BaseException:
        os.close(descriptor)
        raise


def open_new(file: Path) -> IO[bytes]:
    """Create one of hexpipe's own files, to write; a plain one left by a killed process is removed.

    Errors as `open_own`.
    """
    if check_own(file):
        file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(descriptor, "wb")


def own_folder(folder: Path) -> Path:
    """Return ``folder`` in a run's folder, made if missing. RunFolderError where it is a link or a file."""
    check_own(folder, folder=True)
    folder.mkdir(exist_ok=True)
    return folder


def check_own(path: Path, folder: bool = False) -> bool:
    """Return whether ``path`` is a plain file (a ``folder``) of hexpipe's own; False where there is nothing.

    RunFolderError, in one line, for anything else: a link, a pipe, a device, a hard link to a file of another owner.
    """
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not folder:
        _refuse_foreign(path, status)
    elif not stat.S_ISDIR(status.st_mode):
        words = f"{path} is {_kind(status)}, no folder: hexpipe follows no links there; move it away"
        raise RunFolderError(words, kind="foreign", path=path)
    return True


def _refuse_foreign(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        words = f"{file} is {_kind(status)}, no plain file: hexpipe opens none there; move it away"
        raise RunFolderError(words, kind="foreign", path=file)
    if status.st_nlink > 1 and status.st_uid != os.geteuid():
        raise RunFolderError(
            f"{file} is also a file of another owner elsewhere (a hard link): move it away", kind="foreign", path=file
        )


def _kind(status: os.stat_result) -> str:
    known = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return known.get(stat.S_IFMT(status.st_mode), "a file" if stat.S_ISREG(status.st_mode) else "a device")


def write_output(file: Path, data: bytes) -> None:
    """Write a file that the user named, whole or not at all; directly if it is a device or a pipe.

    A link is followed. OSError where it cannot be written; then nothing is left behind.
    """
    if file.exists() and not file.is_file():
        with file.open("wb") as stream:
            stream.write(data)
        return
    target = file.resolve()
    half = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open_new(half) as stream:
            stream.write(data)
        half.replace(target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def read_document(file: Path) -> Any:
    """Read a JSON file; OSError as `read_plain`, ValueError as `parse_document`."""
    return parse_document(read_plain(file, MOST_DOCUMENT_BYTES))


def parse_document(text: bytes | str) -> Any:
    """Parse a JSON text. ValueError if it is malformed, nested too deeply, repeats a key in an object, or has numbers
    outside JSON (NaN, Infinity)."""
    try:
        words = text if isinstance(text, str) else text.decode()
        return json.loads(words, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_synced(file: Path, data: bytes) -> None:
    """Write a file as `open_new`, synced to disk on return."""
    with open_new(file) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the names in ``folder`` to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has a key twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"it has {word} for a number")


def keep_inode(path: Path) -> int | None:
    """Return a descriptor (O_PATH) that pins the inode at ``path`` and can neither read nor write it.

    While it is open the inode is not reused. None where the system has no such descriptors; OSError where there is
    nothing.
    """
    if not hasattr(os, "O_PATH"):
        return None
    return os.open(path, os.O_PATH | os.O_CLOEXEC)
