"""Where compiled kernels lie, and how they get there: each once, before anything runs them, several at a time.

numba keeps machine code in the folder NUMBA_CACHE_DIR. hexpipe gives it one of its own for each state of the kernels'
sources, of Python, numba and the processor, because numba does not notice that a kernel which another one calls has
changed. Whoever is about to run kernels says which with `need`, and what is missing is compiled then, under a lock, by
processes of `hexpipe.compile_kernels`: two commands, or the processes of a run, never compile the same kernel.

This module is imported by every process, before numba, and imports next to nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from hexpipe.errors import HexpipeError

log = logging.getLogger(__name__)

# The longest first: whoever compiles several takes them in this order.
GROUPS = {
    "search": "the search by true rules",
    "replay": "the replay buffer, batches, their symmetries",
    "inarow": "the rules of n in a row",
    "nets": "the Winograd convolutions",
    "learned": "the search by learned dynamics",
    "cache": "the cache of evaluations",
    "solver": "the exact solver of Hex",
    "bench": "the evaluators of benchmarks",
    "hex": "the rules of Hex",
}

INTERRUPTED = 130
_FOLDER = "NUMBA_CACHE_DIR"
_PREFIX = "kernels-"
_UNUSED_DAYS = 30
_LINE_SECONDS = 10.0
_ready: set[str] = set()
_held: dict[str, int] = {}
_unsaid: list[str] = []
_listeners: list[Callable[[str], None]] = []


def tell(listener: Callable[[str], None]) -> None:
    """Have ``listener`` show what takes time here, a line each; without one that goes to the log."""
    _listeners[:] = [listener]


def _say(text: str) -> None:
    for listener in _listeners or [log.info]:
        listener(text)


def choose_folder() -> Path:
    """Set NUMBA_CACHE_DIR for this process and its children: a folder for kernels as they are now, in that which the
    variable names, else in the user's cache, else in a private one among temporary files. Makes none but the last."""
    given = os.environ.get(_FOLDER, "")
    base = Path(given or os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if not given:
        base /= "hexpipe"
    elif base.name.startswith(_PREFIX):  # this was chosen by the process that started this one
        base = base.parent
    folder = base / f"{_PREFIX}{kernel_state()}"
    if not _can_be_written(folder):
        _unsaid.append(f"{base} cannot be written: compiled kernels go to a temporary folder; {_FOLDER} names another")
        folder = _temporary_folder() / folder.name
    os.environ[_FOLDER] = str(folder)
    numba = sys.modules.get("numba")
    if numba is not None:  # it has read the variable already
        numba.config.CACHE_DIR = str(folder)
    return folder


def kernel_state() -> str:
    """A name for what compiled code depends on: sources, Python, numba, the processor."""
    facts = [sys.implementation.cache_tag, *_processor()]
    facts += [os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT")]
    for library in ("numba", "llvmlite"):
        spec = importlib.util.find_spec(library)
        if spec is not None and spec.origin:
            facts.append(_stamp(Path(spec.origin)))
    package = Path(__file__).parent
    facts += map(_stamp, sorted([*package.glob("*/*_kernels.py"), package / "compile_kernels.py"]))
    return hashlib.sha256("\n".join(facts).encode(errors="surrogateescape")).hexdigest()[:16]


def need(*groups: str) -> None:
    """Compile what of ``groups`` (names in `GROUPS`) is not on disk yet. HexpipeError where it cannot be."""
    missing = [name for name in groups if name not in _ready]
    if not missing:
        return
    while _unsaid:
        log.warning("hexpipe: %s", _unsaid.pop())
    folder = Path(os.environ[_FOLDER])
    try:
        _hold(folder)
        if not all(_mark(folder, name).exists() for name in missing):
            _compile(folder, missing)
    except OSError as error:
        raise HexpipeError(
            f"kernels cannot be compiled into {folder} ({error}): name another folder in {_FOLDER}"
        ) from error
    _ready.update(missing)


def to_play(game: str, algorithm: str) -> tuple[str, ...]:
    """The groups that a net needs to play: of the game of that name (one of one's own has none), by that algorithm."""
    return ("learned" if algorithm == "muzero" else "search", "nets", "cache", *({game} & GROUPS.keys()))


def to_train(game: str, algorithm: str) -> tuple[str, ...]:
    """The groups that a run needs."""
    return (*to_play(game, algorithm), "replay", "solver")


def likely(arguments: Sequence[str]) -> tuple[str, ...]:
    """The groups that the command line ``arguments`` will need, as far as its words say; what it needs beyond them it
    compiles itself. For the scripts in bin/, which begin while packages are still being installed."""
    command, *words = arguments or [""]
    if not {"-h", "--help"}.isdisjoint(words):
        return ()
    game = "inarow" if any("inarow" in word for word in words) else "hex"
    algorithm = "muzero" if any("muzero" in word for word in words) else "alphazero"
    if command in ("run", "train"):
        return to_train(game, algorithm)
    if command in ("selfplay", "match", "tournament", "analyze", "htp", "serve", "score"):
        return to_play(game, algorithm)
    return {"bench": tuple(GROUPS), "pytest": tuple(GROUPS), "solve": ("solver", "hex")}.get(command, ())


def take_as_ready() -> None:
    """Have `need` do nothing in this process: it is the one that compiles."""
    _ready.update(GROUPS)


def mark_ready(folder: Path, group: str) -> None:
    """Note that all kernels of ``group`` are in ``folder``."""
    _mark(folder, group).touch()


def _mark(folder: Path, group: str) -> Path:
    return folder / f"{group}.complete"


def _compile(folder: Path, groups: Sequence[str]) -> None:
    """Compile ``groups`` in processes of their own, unless another command does so first."""
    with _lock(folder / "lock") as lock:
        missing = [name for name in GROUPS if name in groups and not _mark(folder, name).exists()]
        if not missing:
            return
        _remove_unused(folder)
        _say(f"compiling kernels for this machine, once: {', '.join(missing)}")
        started = time.monotonic()
        paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"}
        report = folder / "compile.log"
        with report.open("w") as output:
            compiler = subprocess.Popen(
                [sys.executable, "-P", "-m", "hexpipe.compile_kernels", *missing],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],  # held as long as anyone compiles, whatever becomes of this process
            )
            try:
                _wait(compiler, folder, started)
            finally:
                compiler.terminate()
                compiler.wait()
        if compiler.returncode == INTERRUPTED:
            raise KeyboardInterrupt
        if compiler.returncode:
            words = report.read_text(errors="replace").strip().splitlines()
            raise HexpipeError(
                f"the kernels could not be compiled: {words[-1] if words else compiler.returncode} (see {report})"
            )
        _say(f"the kernels are ready ({time.monotonic() - started:.0f} s)")


def _wait(compiler: subprocess.Popen[bytes], folder: Path, started: float) -> None:
    """Wait for the end of ``compiler``, with a line now and then."""
    while True:
        try:
            compiler.wait(_LINE_SECONDS)
        except subprocess.TimeoutExpired:
            count = sum(1 for _ in folder.glob("*/*.nbc"))
            _say(f"{count} kernels are compiled after {time.monotonic() - started:.0f} s")
        else:
            return


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[IO[str]]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another command compiles kernels: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _hold(folder: Path) -> None:
    """Have nobody remove ``folder`` while this process lives."""
    if str(folder) in _held:
        return
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "in-use"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # open to the end of this process
        fcntl.flock(file, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:  # else it was removed meanwhile
                os.utime(path)
                _held[str(folder)] = file
                return
        os.close(file)


def _remove_unused(folder: Path) -> None:
    """Remove what nobody has used for a month, nor uses now, of the other states of the kernels beside ``folder``."""
    for other in folder.parent.glob(f"{_PREFIX}*"):
        if other == folder or not other.is_dir() or other.is_symlink():
            continue
        with contextlib.suppress(OSError):
            use = other / "in-use"
            if time.time() - (use if use.exists() else other).stat().st_mtime < _UNUSED_DAYS * 86400:
                continue
            with use.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other)


def _can_be_written(folder: Path) -> bool:
    """Whether ``folder`` is there and may be written, or may be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _temporary_folder() -> Path:
    """A folder of this user's alone, the same one each time unless somebody else has taken its name."""
    folder = Path(tempfile.gettempdir()) / f"hexpipe-kernels-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix="hexpipe-kernels-"))


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{path} {found.st_mtime_ns} {found.st_size}"


def _processor() -> list[str]:
    """What Linux says of the first core; numba compiles for the instructions it has."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(errors="replace") as file:
        lines = file.read(8192).split("\n\n")[0].splitlines()
        return [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return []
