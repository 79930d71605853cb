"""A run in processes of its own, to do things to and to look at from outside: for `hexpipe chaos` and benchmarks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from hexpipe.errors import HexpipeError
from hexpipe.plain_files import open_own
from hexpipe.processes.interrupts import SIGNALS
from hexpipe.run_folder import ARCHIVE_NAME, live_run
from hexpipe.watch.live_stats import LiveProcess, live_processes
from hexpipe.watch.metrics import metrics_lines

SMALLEST = (
    "--size=4", "--simulations=16", "--set=net.blocks=1", "--set=net.channels=8", "--set=net.value_hidden=8",
    "--set=replay.max_memory_gb=0.1", "--set=replay.min_games=10", "--set=learner.batch_size=32",
    "--set=inference.backend=eager",
)  # fmt: skip
"""Arguments of `hexpipe run` with which games are short."""
_MORE_GAMES = 20
_POLL_SECONDS = 0.1
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""A session of its own has no terminal until its leader takes one, which then signals it when it goes away."""
_MARK = "HEXPIPE_UNDER_TEST"
_TAIL = 2000


class Vitals(NamedTuple):
    """Resources that all processes of a run take together: memory in bytes, and open files.

    Memory is the proportional set size of everything but the run's shared segments, and those in full: they are the
    run's from its start on, and which of their pages a process has mapped so far is no growth.
    """

    memory_bytes: int
    open_files: int


class RunUnderTest:
    """`hexpipe run` without a limit of time, with ``arguments``. Its processes are a group of their own,
    are known by a mark in their environment, and have ``run_dir``.tmp for temporary files. It is started for the length
    of a block, after which nothing of it is left."""

    def __init__(self, run_dir: Path, arguments: Sequence[str]) -> None:
        self.run_dir, self._arguments = run_dir, list(arguments)
        self.temporary = run_dir.with_name(f"{run_dir.name}.tmp")
        self.temporary.mkdir(parents=True, exist_ok=True)
        self._output = self.temporary / "output.txt"
        self._mark = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        self._semaphores: set[str] = set()

    def __enter__(self) -> RunUnderTest:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, resume: bool = False, output: int | None = None, on_terminal: bool = False) -> None:
        """Start the run, or go on with it. ``output``: a descriptor of where it is to show itself, a terminal that
        becomes its own with ``on_terminal``; else what it says is kept in a file."""
        where = ["--resume", str(self.run_dir)] if resume else ["--run-dir", str(self.run_dir), "--minutes=0"]
        where += [] if resume else self._arguments
        command = [sys.executable, "-P", "-m", "hexpipe", "run", *where]
        environment = {**os.environ, _MARK: self._mark, "TMPDIR": str(self.temporary)}
        with self._output.open("ab") as kept, _signals_as_usual():
            shown: int | IO[bytes] = kept if output is None else output
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TAKE_TERMINAL, *command] if on_terminal else command,
                stdin=subprocess.DEVNULL, stdout=shown, stderr=kept if output is None or not on_terminal else output,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def set_archive_aside(self) -> Path:
        """Move the archive, with its log, to a folder of its own in the run's; where it is now."""
        folder = self.run_dir / f"aside-{len(self.archives_aside()) + 1}"
        folder.mkdir()
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                (self.run_dir / f"{ARCHIVE_NAME}{suffix}").rename(folder / f"{ARCHIVE_NAME}{suffix}")
        return folder / ARCHIVE_NAME

    def archives_aside(self) -> list[Path]:
        """Return the archives that were set aside, in the order in which that was done."""
        found = self.run_dir.glob(f"aside-*/{ARCHIVE_NAME}")
        return sorted(found, key=lambda path: int(path.parent.name.rpartition("-")[2]))

    def processes(self) -> dict[str, LiveProcess]:
        """Give what each process says of itself; empty while there is none."""
        return live_processes(self._document())

    def pids(self) -> dict[str, int]:
        """Return process ids by name, "supervisor" too; empty while the run is not at work."""
        document = self._document()
        return {"supervisor": int(document["pid"]), **document["processes"]} if document else {}

    def _document(self) -> dict[str, Any]:
        document = live_run(self.run_dir) or {}
        self._semaphores.update(document.get("semaphores", ()))
        return document

    def counter(self, process: str, column: str) -> float:
        """Return a number of the stats board, 0 where it is not there."""
        found = self.processes().get(process)
        return 0.0 if found is None else found.row[column]

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 600.0) -> None:
        """Wait for ``condition()``. HexpipeError where the run ends first, or it takes too long."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise HexpipeError(f"{what}: this did not come in {timeout:.0f} s. {self.output()}")
            time.sleep(_POLL_SECONDS)

    def until_it_works(self) -> None:
        """Wait until games are committed and trained on."""
        self.until(lambda: self.counter("learner-0", "steps") > 0, "the first training step")
        games, steps = self.counter("replay-0", "total_games"), self.counter("learner-0", "steps")

        def works() -> bool:
            found = self.counter("replay-0", "total_games"), self.counter("learner-0", "steps")
            return found[0] >= games + _MORE_GAMES and found[1] != steps  # a new learner goes on from an earlier step

        self.until(works, f"{_MORE_GAMES} more games, and training on them")

    def check(self) -> None:
        """Raise HexpipeError where the run has ended."""
        if self._process is None or self._process.poll() is not None:
            raise HexpipeError(f"the run has ended of its own. {self.output()}")

    def output(self) -> str:
        """Return the end of what the run has said."""
        return f"It said:\n{self._output.read_text(errors='replace')[-_TAIL:]}"

    def log(self) -> str:
        """Return the run's log."""
        with suppress(OSError), open_own(self.run_dir / "hexpipe.log", "rb") as log:
            return str(log.read(), "utf-8", "replace")
        return ""

    def figures(self) -> dict[str, Any]:
        """Return the last whole line of the run's metrics."""
        with suppress(OSError):
            return [{}, *metrics_lines(self.run_dir)][-1]
        return {}

    def vitals(self) -> Vitals:
        """Return the vitals of all processes now."""
        document = self._document()
        memory = sum(int(segment["bytes"]) for segment in document.get("segments", ()))
        files = 0
        for pid in self.pids().values():
            with suppress(psutil.Error, OSError):
                memory += _own_pss(pid)
                files += int(psutil.Process(pid).num_fds())
        return Vitals(memory, files)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, as a terminal does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def wait(self, timeout: float = 300.0) -> int:
        """Wait for the supervisor's end; its exit code. HexpipeError where it does not come."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise HexpipeError(f"the run did not end in {timeout:.0f} s. {self.output()}") from error

    def survivors(self) -> list[int]:
        """Return process ids of the run that are there, whoever started them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    def left_semaphores(self) -> list[str]:
        """Return names of the semaphores that it was seen to have and that are there still."""
        return sorted(name for name in self._semaphores if (Path("/dev/shm") / name).exists())

    def end(self) -> None:
        """Kill whatever is left, and remove what nobody else can then."""
        self.signal_all(signal.SIGKILL)
        for pid in self.survivors():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        for name in self.left_semaphores():
            (Path("/dev/shm") / name).unlink(missing_ok=True)


@contextmanager
def _signals_as_usual() -> Iterator[None]:
    """Keep what is started within from ignoring the signals that this process ignores (nohup, the background of a
    script)."""
    ignored = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)  # a handler becomes the default in what is started
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _own_pss(pid: int) -> int:
    """Return the bytes of a process's proportional set size but for hexpipe's segments, which are anonymous files."""
    total, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Pss:"):
            total += 1024 * int(line.split()[1]) * counts
        elif "-" in line.partition(" ")[0]:  # a mapping begins
            counts = "/memfd:hexpipe-" not in line
    return total
