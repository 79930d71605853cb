"""A temporary folder that goes with its process, at the latest when the next one like it comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hexpipe.errors import RunFolderError
from hexpipe.run_folder import held_if_dead

_MINIMUM_AGE = 10.0  # seconds; a younger one may be without its lock still


@contextlib.contextmanager
def private_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """Make a new folder ``parent``/``prefix``..., for its owner's eyes only, removed after the block.

    Those of this user's dead processes are removed first. OSError where it cannot be made.
    """
    for old in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            status = old.lstat()
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > _MINIMUM_AGE:
                remove_if_dead(old)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with (path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_if_dead(path: Path) -> bool:
    """Remove the folder ``path`` unless a live process holds its lock; whether it was removed."""
    if path.is_symlink() or not path.is_dir():
        return False
    with contextlib.suppress(RunFolderError), held_if_dead(path) as dead:  # not as we leave them
        if dead:
            shutil.rmtree(path, ignore_errors=True)
        return dead
    return False
