"""Reading files that somebody else may have made, and writing some that outlive a power cut."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

MOST_DOCUMENT_BYTES = 2**20
"""Of a JSON document: those of a run and of its checkpoints have some ten thousand."""


def read_plain(file: Path, most: int) -> bytes:
    """What is in a plain file of at most ``most`` bytes.

    OSError where there is none, it is longer, or it is a link, a folder, a pipe or a device: those are not opened.
    """
    if not stat.S_ISREG(file.lstat().st_mode):  # before it is opened: that alone may do something to a device
        raise OSError(errno.ELOOP, "a link, a folder, a pipe or a device is no plain file")
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        length = os.fstat(descriptor).st_size
        if length > most:
            raise OSError(errno.EFBIG, "it is longer than it can be")
        return stream.read(length)


def read_document(file: Path) -> Any:
    """What is in a JSON file; OSError as `read_plain`, ValueError as `parse_document`."""
    return parse_document(read_plain(file, MOST_DOCUMENT_BYTES))


def parse_document(text: bytes | str) -> Any:
    """What a JSON text says. ValueError if it is none, is nested too deeply, has a key of an object twice, or numbers
    that JSON has not (NaN, Infinity)."""
    try:
        words = text if isinstance(text, str) else text.decode()
        return json.loads(words, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_synced(file: Path, data: bytes) -> None:
    """Write a file; when this returns it is on the disk."""
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """When this returns the names in ``folder`` are on the disk."""
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
