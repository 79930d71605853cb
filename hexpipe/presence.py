"""Checks that the files and folders of a run, known by device and inode, are still where they were.

Writes to a file that was deleted or moved away go on without an error, and are lost.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from hexpipe.errors import GoneError
from hexpipe.plain_files import keep_inode


class Presence:
    """The identity of what is at ``paths`` now; its inodes are kept from reuse. OSError where there is nothing."""

    def __init__(self, *paths: Path) -> None:
        held: list[int] = []
        weakref.finalize(self, _close, held)
        for path in paths:
            descriptor = keep_inode(path)
            if descriptor is not None:
                held.append(descriptor)
        self._known = {path: _identity(path) for path in paths}

    def lost(self) -> Path | None:
        """Return the first path that no longer holds what it did; None while all do."""
        for path, identity in self._known.items():
            try:
                now = _identity(path)
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError:  # not accessible just now: that tells nothing
                continue
            if now != identity:
                return path
        return None

    def check(self) -> None:
        """Raise GoneError, in one line, where a path is lost."""
        path = self.lost()
        if path is not None:
            raise GoneError(path, replaced=os.path.lexists(path))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _close(held: list[int]) -> None:
    for descriptor in held:
        os.close(descriptor)
