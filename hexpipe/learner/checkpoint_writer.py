"""Checkpoints written on a background thread: training pauses only while the weights are copied."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from hexpipe.config import Settings
from hexpipe.learner.learner import Snapshot, write_snapshot


class CheckpointWriter:
    """Writer of one checkpoint of the run folder at a time. Leaving it as a context manager waits for the last one.

    An error of a write (RunFolderError) is raised by the next call.
    """

    def __init__(self, run_dir: Path, settings: Settings) -> None:
        self._run_dir, self._settings = run_dir, settings
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[Path] | None = None

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(wait=True)

    @property
    def busy(self) -> bool:
        """Whether a write is in progress."""
        return self._writing is not None and not self._writing.done()

    def begin(self, snapshot: Snapshot) -> Path | None:
        """Write ``snapshot`` in the background, after waiting for the one before, whose folder is returned as by
        `finish`."""
        before = self.finish()
        self._writing = self._thread.submit(write_snapshot, self._run_dir, snapshot, self._settings)
        return before

    def written(self) -> Path | None:
        """Return the folder of the last checkpoint once it is written, one time only, else None."""
        return None if self._writing is None or self.busy else self.finish()

    def finish(self) -> Path | None:
        """Wait for the write in progress; return its folder, None if it was returned before."""
        writing, self._writing = self._writing, None
        return None if writing is None else writing.result()
