"""Files and folders that a run has in use, known by device and inode: whether they are still where they were.

A file that is deleted or moved away goes on being written to, and nothing of it is ever found: no error says so.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from hexpipe.errors import GoneError
from hexpipe.plain_files import keep_inode


class Presence:
    """Knows what is at ``paths`` now, and keeps its inodes from being given to others. OSError where there is
    nothing."""

    def __init__(self, *paths: Path) -> None:
        held: list[int] = []
        weakref.finalize(self, _close, held)
        for path in paths:
            descriptor = keep_inode(path)
            if descriptor is not None:
                held.append(descriptor)
        self._known = {path: _identity(path) for path in paths}

    def lost(self) -> Path | None:
        """The first of the paths where something else is by now, or nothing; None while all is as it was."""
        for path, identity in self._known.items():
            try:
                now = _identity(path)
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError:  # nobody may look just now: that says nothing of what is there
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
