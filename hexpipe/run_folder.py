"""The folder of a run: its lock, its settings, resuming, and the leftovers of dead runs.

- RUN/lock: flock held by the live supervisor
- RUN/run.json: the live run: pid, processes, shared segments (for `memory-report`)
- RUN/settings.json: the settings, as they are now
- RUN/archive.sqlite: every finished game
- RUN/checkpoints: step-* folders; damaged-step-* were skipped by a resume
- RUN/ratings.sqlite: rating games of checkpoints
- RUN/errors: a file for each process that died of an exception
- RUN/stacks.txt, RUN/learners-*: of a live run: stacks of stalled processes, and the learners' rendezvous
- RUN/hexpipe.log, RUN/metrics.jsonl, RUN/tensorboard
- RUN/tracking: the run's ids at Weights & Biases and MLflow; RUN/wandb: local files of the former
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from hexpipe.config import NetSettings, Settings, changed_settings, dump_settings, settings_from_json
from hexpipe.errors import DiskFullError, RunFolderError, SettingsError, is_disk_full
from hexpipe.plain_files import (
    MOST_DOCUMENT_BYTES,
    check_own,
    open_new,
    open_own,
    read_document,
    read_plain,
    sync_folder,
    write_synced,
)
from hexpipe.presence import Presence
from hexpipe.shm import SEMAPHORE

ARCHIVE_NAME = "archive.sqlite"
LOG_NAME = "hexpipe.log"
_MOST = 2**62
_PRIVATE = 0o077  # umask while a run is held: its files are private
RATINGS_NAME = "ratings.sqlite"
STACKS_NAME = "stacks.txt"
_FOLDERS = ("checkpoints", "errors", "tensorboard", "tracking", "wandb")
_FILES = (
    "lock", "*.json", "metrics.jsonl", "hexpipe.log", STACKS_NAME, "archive.sqlite*", "ratings.sqlite*", "learners-*",
    ".*.tmp", ".*.room", ".write-test",
)  # fmt: skip
_NET = tuple(f"net.{name}" for name in NetSettings.model_fields)


class RunFolder:
    """A run folder whose lock this process holds; use as a context manager.

    Files that this process and its children make meanwhile are private: files 0600, folders 0700.
    """

    def __init__(self, path: Path, lock: IO[str], umask: int) -> None:
        self.path = path
        self.presence = Presence(path)
        self._lock = lock
        self._umask = umask  # restored by close

    @classmethod
    def open(cls, path: Path, resume: bool) -> RunFolder:
        """Make (or, to resume, enter) and lock a run folder. An existing folder keeps its mode, a new one has 0700.

        Raises RunFolderError if another run holds it, it cannot be written, it already holds a run (without
        ``resume``), or there is nothing to resume.
        """
        if resume and not (path / "settings.json").is_file():
            raise RunFolderError(
                f"there is no run in {path} to resume; name the folder of an earlier run", kind="missing", path=path
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                path.mkdir(mode=0o700)
                sync_folder(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from error
        umask = os.umask(_PRIVATE)
        try:
            return cls(path, _lock_run(path, resume), umask)
        except BaseException:
            os.umask(umask)
            raise

    def write_settings(self, settings: Settings) -> None:
        """Write RUN/settings.json."""
        write_atomic(self.path / "settings.json", dump_settings(settings))

    def write_run(self, document: Mapping[str, Any]) -> None:
        """Write RUN/run.json, which names the live supervisor and its shared segments."""
        own = psutil.Process()
        content = {"pid": own.pid, "create_time": own.create_time(), **document}
        write_atomic(self.path / "run.json", json.dumps(content, indent=1) + "\n")

    def close(self) -> None:
        """Mark the run as over and release the lock."""
        if self._lock.closed:
            return
        with contextlib.suppress(OSError):
            if self.presence.lost() is None:  # else it belongs to another run
                (self.path / "run.json").unlink(missing_ok=True)
            self._lock.truncate(0)  # the file itself stays: see Leftover.remove
        self._lock.close()
        os.umask(self._umask)

    def discard_if_empty(self) -> None:
        """Remove the folder if it holds only the lock and the log, as after a run that failed to start."""
        if self.presence.lost() is None and {entry.name for entry in self.path.iterdir()} <= {"lock", LOG_NAME}:
            with contextlib.suppress(OSError):
                (self.path / LOG_NAME).unlink(missing_ok=True)
                (self.path / "lock").unlink()
                self.path.rmdir()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock_run(path: Path, resume: bool) -> IO[str]:
    """Lock the run in ``path`` and write this process's id into the open lock; RunFolderError as `RunFolder.open`."""
    try:
        check_own_names(path)
        lock = open_own(path / "lock", "a+")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        words = f"another run (process {owner}) is at work in {path}; stop it or choose another folder with --run-dir"
        raise RunFolderError(words, kind="busy", path=path) from error
    if not resume and (path / "settings.json").exists():
        lock.close()
        words = f"{path} already holds a run; go on with --resume {shlex.quote(str(path))} or choose another --run-dir"
        raise RunFolderError(words, kind="conflict", path=path)
    for left in _semaphores(path / "run.json"):
        left.remove()
    probe = path / ".write-test"
    try:
        open_new(probe).close()
        probe.unlink()
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
    except OSError as error:
        lock.close()
        raise _unwritable(path, error) from error
    return lock


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"the run folder {path} cannot be written ({error.strerror}); choose another with --run-dir",
        kind="access",
        path=path,
    )


def check_own_names(path: Path) -> None:
    """Raise RunFolderError where one of hexpipe's names in the run folder ``path`` is not its own file.

    That is a link, a pipe, a device or a file of another owner (`plain_files.check_own`): writes would go elsewhere.
    """
    for entry in path.iterdir():
        if entry.name in _FOLDERS:
            check_own(entry, folder=True)
        elif any(fnmatchcase(entry.name, pattern) for pattern in _FILES):
            check_own(entry)


def default_run_folder(preset: str, parent: Path = Path("runs")) -> Path:
    """Return ``parent``/<date-time>-<preset>, with a number appended if that exists."""
    stem = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{preset}"
    path, number = parent / stem, 1
    while path.exists():
        number += 1
        path = parent / f"{stem}-{number}"
    return path


def read_settings(path: Path) -> Settings:
    """Read the settings of the run in ``path``; RunFolderError if there is none."""
    try:
        text = read_plain(path / "settings.json", MOST_DOCUMENT_BYTES).decode()
    except OSError as error:
        raise RunFolderError(
            f"there is no run in {path} ({error.strerror}); name the folder of a run", kind="missing", path=path
        ) from error
    except ValueError as error:
        words = f"{path / 'settings.json'} is no text; restore it or start a new run"
        raise SettingsError(words, kind="damaged", path=path / "settings.json") from error
    return settings_from_json(text)


def resume_arguments(path: Path, settings: Settings) -> str:
    """Return the arguments of `hexpipe run` or `hexpipe train` that resume the run in ``path``, quoted for a shell.

    They name a user's own game.
    """
    words = ["--resume", str(path)]
    if settings.game.own_class is not None:
        words += ["--game", settings.game.name]
    return shlex.join(words)


def check_resume(old: Settings, new: Settings, has_weights: bool) -> dict[str, tuple[Any, Any]]:
    """Return the changes from settings ``old`` to ``new`` of a resumed run: dotted names with (old, new).

    Raises SettingsError for changes of the rules, and of the net's shape once there are weights.
    """
    changed = changed_settings(old, new)
    for name in changed:
        if name.startswith("game.") or name == "curriculum.stages":
            words = (
                f"{name} is {changed[name][0]!r} in this run and cannot become {changed[name][1]!r}: its games would "
                "be of other rules; start a new run (with --init-from to keep the net)"
            )
            raise SettingsError(words, kind="conflict", setting=name)
        if name in _NET and has_weights:
            words = (
                f"{name} is {changed[name][0]!r} in this run and cannot become {changed[name][1]!r}: its weights would "
                "not fit; start a new run"
            )
            raise SettingsError(words, kind="conflict", setting=name)
    return changed


def write_atomic(path: Path, text: str) -> None:
    """Write a file atomically, even across a kill or a power cut. DiskFullError where there is no room."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_synced(temporary, text.encode())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if not is_disk_full(error):
            raise
        temporary.unlink(missing_ok=True)
        raise DiskFullError(f"{path} cannot be written: free some room on its disk", path=path) from error


def live_run(path: Path) -> dict[str, Any] | None:
    """Return RUN/run.json of a live run, None if there is none."""
    try:
        document = read_document(path / "run.json")
        process = psutil.Process(int(document["pid"]))
        alive = abs(process.create_time() - float(document["create_time"])) < 1.0
        return document if alive and _says_what_runs(document) else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, psutil.Error):
        return None


def _says_what_runs(document: Mapping[str, Any]) -> bool:
    """Return whether RUN/run.json has the form that `write_run` gives it, as far as readers rely on it."""
    segments, processes = document.get("segments", []), document.get("processes", {})
    if not isinstance(segments, list) or not isinstance(processes, dict):
        return False
    for segment in segments:
        for entry in segment["layout"]:
            np.dtype(entry["dtype"])
            if not all(isinstance(length, int) and 0 <= length < _MOST for length in (*entry["shape"], entry["bytes"])):
                return False
        if not all(isinstance(segment[key], int) and 0 <= segment[key] < _MOST for key in ("fd", "bytes")):
            return False
    names = [*processes, *(segment["name"] for segment in segments)]
    names += [entry["field"] for segment in segments for entry in segment["layout"]]
    pids = all(isinstance(pid, int) and 0 < pid < _MOST for pid in (document["pid"], *processes.values()))
    return pids and all(isinstance(name, str) for name in names)


def find_runs(parent: Path) -> list[Path]:
    """List the run folders in ``parent`` (or ``parent`` itself if it is one), newest first."""
    if (parent / "lock").exists():
        return [parent]
    if not parent.is_dir():
        return []
    found = [entry for entry in parent.iterdir() if (entry / "lock").exists()]
    return sorted(found, key=lambda entry: (entry / "lock").stat().st_mtime, reverse=True)


class Leftover:
    """A leftover of a dead run, and how to remove it."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what

    def remove(self) -> None:
        """Remove it. Raises RunFolderError if that is not allowed."""
        try:
            if self.path.name == "lock":
                # truncated, never unlinked: a run that has just opened it would lock a deleted file
                with open_own(self.path, "a") as lock:
                    lock.truncate(0)
            elif self.path.is_dir() and not self.path.is_symlink():
                shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"{self.path} cannot be removed ({error.strerror})", kind="access", path=self.path
            ) from error


@contextlib.contextmanager
def held_if_dead(path: Path) -> Iterator[bool]:
    """Hold the lock of a run folder within the block; yields False if a live run holds it. RunFolderError as
    `check_own_names`."""
    try:
        check_own_names(path)
        lock = open_own(path / "lock", "a+")
    except OSError:
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def leftovers(path: Path) -> list[Leftover]:
    """List the leftovers of a dead run in ``path`` that its resume does not need. Call within `held_if_dead`."""
    found = []
    if (path / "run.json").exists():
        found += _semaphores(path / "run.json")
        found.append(Leftover(path / "run.json", "the mark of a run that is dead"))
    for name in (".run.json.tmp", ".settings.json.tmp", ".session.json.tmp", ".write-test", ".archive.sqlite.room"):
        if (path / name).exists():
            found.append(Leftover(path / name, "a half-written file"))
    found += [Leftover(p, "what learners met by") for p in sorted(path.glob("learners-*"))]
    if (path / STACKS_NAME).exists():
        found.append(Leftover(path / STACKS_NAME, "stacks of processes that are dead; the log has those asked for"))
    if (path / "checkpoints").is_dir():
        found += [Leftover(p, "a half-written checkpoint") for p in sorted((path / "checkpoints").glob(".tmp-*"))]
    if (path / "lock").lstat().st_size:
        found.append(Leftover(path / "lock", "the lock of a run that is dead"))
    return found


def _semaphores(path: Path) -> list[Leftover]:
    """List the semaphores named in run.json of a run whose processes were all killed at once."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        names = read_document(path)["semaphores"]
        files = [Path("/dev/shm") / name for name in names if SEMAPHORE.fullmatch(name)]
        ours = [file for file in files if file.exists() and file.stat().st_uid == os.getuid()]
        return [Leftover(file, "a semaphore of a run that is dead") for file in ours]
    return []


def shared_leftovers(folder: Path, minimum_age: float = 60.0) -> list[Leftover]:
    """List the files in a tmpfs left by runs that were killed before they could unlink them, on systems without
    memfd."""
    found = []
    if folder.is_dir():
        for entry in sorted(folder.glob("hexpipe-*")):
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.getuid() and time.time() - entry.stat().st_mtime > minimum_age:
                    found.append(Leftover(entry, "shared memory of a dead run"))
    return found
