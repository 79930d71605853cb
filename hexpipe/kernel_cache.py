"""On-disk cache of compiled kernels: each is compiled once, before anything runs it, several at a time.

numba keeps machine code in the folder NUMBA_CACHE_DIR. hexpipe uses a separate one for each state of the kernels'
sources, of Python, numba and the processor, because numba does not notice changes in a kernel that another one calls.
Code that is about to run kernels names them with `need`; missing ones are then compiled, under a lock, by
`compile_kernels` in processes of its own.

Every process imports this module, before numba, and it imports next to nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import re
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

# The slowest first: they are compiled in this order.
GROUPS = {
    "search": "the search by true rules",
    "replay": "the replay buffer, batches, their symmetries",
    "inarow": "the rules of n in a row",
    "nets": "the Winograd convolutions",
    "learned": "the search by learned dynamics",
    "cache": "the cache of evaluations",
    "solver": "the exact solver of Hex",
    "uct": "the tree search of Hex without a net",
    "bench": "the evaluators of benchmarks",
    "hex": "the rules of Hex",
    "connect4": "the rules of Connect Four",
    "othello": "the rules of Othello",
    "breakthrough": "the rules of Breakthrough",
    "go": "the rules of Go",
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
    """Send progress lines about slow work to ``listener``; without one they go to the log."""
    _listeners[:] = [listener]


def _say(text: str) -> None:
    for listener in _listeners or [log.info]:
        listener(text)


def choose_folder() -> Path:
    """Set NUMBA_CACHE_DIR for this process and its children to a folder for the kernels' present state.

    It lies in the folder that the variable names, else in the user's cache, else in a private temporary folder. Only
    the last is created here.
    """
    given = os.environ.get(_FOLDER, "")
    base = Path(given or os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if not given:
        base /= "hexpipe"
    elif base.name.startswith(_PREFIX):  # set by the parent process
        base = base.parent
    folder = base / f"{_PREFIX}{kernel_state()}"
    if not _can_be_written(folder):
        _unsaid.append(f"{base} cannot be written: compiled kernels go to a temporary folder; {_FOLDER} names another")
        folder = _temporary_folder() / folder.name
    os.environ[_FOLDER] = str(folder)
    numba = sys.modules.get("numba")
    if numba is not None:  # numba has already read the variable
        numba.config.CACHE_DIR = str(folder)
    return folder


def kernel_state() -> str:
    """Return a key for all that compiled code depends on: sources, Python, numba, the processor."""
    facts = [sys.implementation.cache_tag, *_processor()]
    facts += [os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT")]
    for library in ("numba", "llvmlite"):
        spec = importlib.util.find_spec(library)
        if spec is not None and spec.origin:
            facts.append(_stamp(Path(spec.origin)))
    package = Path(__file__).parent
    facts += map(_stamp, sorted([*package.rglob("*_kernels.py"), package / "compile_kernels.py"]))
    return hashlib.sha256("\n".join(facts).encode(errors="surrogateescape")).hexdigest()[:16]


def need(*groups: str) -> None:
    """Compile those of ``groups`` (names in `GROUPS`) that are not on disk yet. HexpipeError where that fails."""
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
    """Return the groups that a net needs to play ``game`` (a user's own has none) by ``algorithm``."""
    proofs = ("solver",) if game == "hex" and algorithm != "muzero" else ()
    return ("learned" if algorithm == "muzero" else "search", "nets", "cache", *({game} & GROUPS.keys()), *proofs)


def to_train(game: str, algorithm: str) -> tuple[str, ...]:
    """Return the groups that a run needs."""
    return tuple(dict.fromkeys((*to_play(game, algorithm), "replay", "solver")))


def likely(arguments: Sequence[str]) -> tuple[str, ...]:
    """Guess from the command line ``arguments`` which groups the command will need; it compiles any others itself.

    For the scripts in bin/, which start compiling while packages are still being installed.
    """
    command, *words = arguments or [""]
    if not {"-h", "--help"}.isdisjoint(words):
        return ()
    named = {part for word in words for part in re.split("[^a-z0-9]+", word)}  # not the "go" of algorithm
    usual = "inarow" if command == "gomocup" else "hex"
    game = next((name for name in ("inarow", "connect4", "othello", "breakthrough", "go") if name in named), usual)
    algorithm = "muzero" if any("muzero" in word for word in words) else "alphazero"
    if command in ("run", "train"):
        return to_train(game, algorithm)
    playing = ("selfplay", "match", "tournament", "analyze", "gomocup", "gtp", "htp", "play-server", "serve", "score")
    if command in playing:
        return to_play(game, algorithm)
    return {"bench": tuple(GROUPS), "pytest": tuple(GROUPS), "solve": ("solver", "hex")}.get(command, ())


def take_as_ready() -> None:
    """Make `need` a no-op in this process: it is the one that compiles."""
    _ready.update(GROUPS)


def mark_ready(folder: Path, group: str) -> None:
    """Record that all kernels of ``group`` are in ``folder``."""
    _mark(folder, group).touch()


def _mark(folder: Path, group: str) -> Path:
    return folder / f"{group}.complete"


def _compile(folder: Path, groups: Sequence[str]) -> None:
    """Compile ``groups`` in child processes, unless another command does so first."""
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
                pass_fds=[lock.fileno()],  # held as long as anyone compiles, even if this process dies
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
    """Wait for ``compiler`` to end, with a progress line now and then."""
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
    """Keep others from removing ``folder`` while this process lives."""
    if str(folder) in _held:
        return
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "in-use"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # open until this process ends
        fcntl.flock(file, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:  # else it has just been removed
                os.utime(path)
                _held[str(folder)] = file
                return
        os.close(file)


def _remove_unused(folder: Path) -> None:
    """Remove the folders of other kernel states beside ``folder`` that are unused now and for a month."""
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
    """Return whether ``folder`` exists and is writable, or can be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _temporary_folder() -> Path:
    """Return a private temporary folder of this user, the same one each time unless another user has taken its name."""
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
    """Return what Linux reports of the first core; numba compiles for the instructions it has."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(errors="replace") as file:
        lines = file.read(8192).split("\n\n")[0].splitlines()
        return [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return []
