"""Checkpoints written by a thread of their own: training stops for the copy of the weights only."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from hexpipe.config import Settings
from hexpipe.learner.learner import Snapshot, write_snapshot


class CheckpointWriter:
    """Writes one checkpoint of the run folder at a time. Leaving it as a context manager waits for the last one.

    What goes wrong with one (RunFolderError) is raised by whatever is called next.
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
        """Whether one is being written."""
        return self._writing is not None and not self._writing.done()

    def begin(self, snapshot: Snapshot) -> Path | None:
        """Write ``snapshot`` beside what this thread does next; the one before it is waited for, and told as by
        `finish`."""
        before = self.finish()
        self._writing = self._thread.submit(write_snapshot, self._run_dir, snapshot, self._settings)
        return before

    def written(self) -> Path | None:
        """The folder of the checkpoint that was begun last, told once, when it is there."""
        return None if self._writing is None or self.busy else self.finish()

    def finish(self) -> Path | None:
        """Wait until what was begun is there; its folder, None where it was told before."""
        writing, self._writing = self._writing, None
        return None if writing is None else writing.result()
