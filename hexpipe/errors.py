"""Every error that hexpipe raises on purpose; each message says how to fix it.

HexpipeError
├── UsageError            bad input from outside; a command ends with exit code 2
│   ├── SettingsError     a setting is unknown, out of range, or contradicts another
│   ├── NotationError     a coordinate, move list or position that cannot be read
│   ├── CheckpointError   a checkpoint is missing, damaged, foreign, or does not fit
│   │   └── DamagedCheckpointError  its files are not what was written
│   ├── ArchiveError      a replay archive is damaged or belongs to other rules
│   │   └── FileBusyError     another program holds its lock; it is intact
│   ├── RunFolderError    a run folder is in use, unwritable, or holds another run
│   └── DiskFullError     there is no room to write; nothing that was committed is lost
├── IllegalMoveError      a move that the rules forbid
├── ConformanceError      a game breaks the protocol of games (also an AssertionError)
├── SharedMemoryError     shared memory is too small or unavailable
├── GoneError             a file or folder in use was deleted, moved or replaced
├── DivergedError         losses stay non-finite from every checkpoint that can be restored
├── InferenceError        the inference side failed or does not respond
│   ├── SearchesLostError the latents of running searches are gone: restart them
│   └── NotFiniteError    a net gives non-finite outputs (also a CheckpointError)
└── ProcessDiedError      a child process died; carries its name and traceback

Every error has fields for programs beside its message, each empty where there is nothing to say: ``kind``, ``setting``
(a dotted name, or an option such as --workers), ``path``, ``move`` (which one, the first is 1), and ``low`` and
``high``, between which a number must be. The kinds:

unknown     no such name              type        of another type or form       range     below low or above high
conflict    contradicts what is set   deleted     a setting of earlier times    missing   what is needed is not there
damaged     not what was written      foreign     of other rules, net or kind   version   of another hexpipe
busy        another process has it    access      cannot be read or written     full      no room for it
ended       its process has ended

of texts and moves:
syntax      no such form of text      encoding    bytes that are no such text   board     of another or no size
coordinate  no cell of the board      moves       no list of moves of a game    occupied  on a stone, or twice
turn        not this colour's turn    over        the game is over, or is not   rule      forbidden otherwise: a swap
"""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path
from typing import Literal

Kind = Literal[
    "", "unknown", "type", "range", "conflict", "deleted", "missing", "damaged", "foreign", "version", "busy", "access",
    "full", "ended", "syntax", "encoding", "board", "coordinate", "moves", "occupied", "turn", "over", "rule",
]  # fmt: skip


class HexpipeError(Exception):
    """Base of every error that hexpipe raises on purpose."""

    kind: Kind = ""

    def __init__(
        self, message: str = "", *, kind: Kind = "", setting: str = "", path: Path | None = None,
        move: int | None = None, low: float | None = None, high: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.kind = kind or type(self).kind
        self.setting, self.path, self.move, self.low, self.high = setting, path, move, low, high


class UsageError(HexpipeError):
    """Bad input from outside: the command ends with one line and exit code 2."""


class SettingsError(UsageError):
    """A setting is unknown, out of range, or contradicts another."""


class NotationError(UsageError):
    """A coordinate, move list or position cannot be read."""


class CheckpointError(UsageError):
    """A checkpoint is missing, damaged, foreign, or does not fit these settings."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint's files are missing or altered; neither waiting nor other permissions will make it readable."""

    kind = "damaged"


class ArchiveError(UsageError):
    """A replay archive is damaged or belongs to other rules."""


class FileBusyError(ArchiveError):
    """Another program holds the lock of a SQLite file; the file is intact, and a retry may succeed."""

    kind = "busy"


class DiskFullError(UsageError):
    """No room to write: what was committed is safe, and a retry succeeds once there is room."""

    kind = "full"


class RunFolderError(UsageError):
    """A run folder is in use by another run, cannot be written, or holds another run."""


class UnsolvedError(UsageError):
    """A position takes more work to solve than was allowed."""


class IllegalMoveError(HexpipeError):
    """A move that the rules forbid."""


class SharedMemoryError(HexpipeError):
    """Shared memory is too small or unavailable."""


class GoneError(HexpipeError):
    """A file or folder in use was deleted, moved away or replaced; ``path`` is where it was."""

    kind = "missing"

    def __init__(self, path: Path, replaced: bool = False) -> None:
        happened = "something else was put in its place" if replaced else "it was deleted or moved away"
        words = f"{path} is gone: {happened} while it was in use. Put it back before you go on, or go on anew"
        super().__init__(words, path=path)
        self.replaced = replaced

    def __reduce__(self) -> tuple[type[GoneError], tuple[Path | None, bool]]:
        """Pickle by the constructor's arguments."""
        return type(self), (self.path, self.replaced)


class DivergedError(HexpipeError):
    """Training steps are skipped without end, from every checkpoint that could be restored."""


class ConformanceError(HexpipeError, AssertionError):
    """A game breaks the protocol of games; the message says how, where, and after which moves."""


class InferenceError(HexpipeError):
    """The inference side failed or does not respond; a random move never stands in for an answer."""


class NotFiniteError(InferenceError, CheckpointError):
    """A net gives non-finite outputs: if it came from a checkpoint, the weights there are damaged."""

    kind = "damaged"


class SearchesLostError(InferenceError):
    """The server that held the latents of a group's searches was replaced: the searches must restart."""

    kind = "missing"


class ProcessDiedError(HexpipeError):
    """A child process ended on its own.

    ``process`` is its role and number ("learner-0"), ``details`` its traceback or the signal that ended it.
    """

    kind = "ended"

    def __init__(self, process: str, details: str) -> None:
        super().__init__(f"{process} died:\n{details}")
        self.process = process
        self.details = details

    def __reduce__(self) -> tuple[type[ProcessDiedError], tuple[str, str]]:
        """Pickle by the constructor's arguments."""
        return type(self), (self.process, self.details)


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether a write failed because the disk or the user's quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def install_command(*packages: str) -> str:
    """Return the shell command that installs ``packages`` into the environment of hexpipe."""
    return f"{shlex.quote(sys.executable)} -m pip install {' '.join(packages)}"
