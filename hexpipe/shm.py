"""Shared memory: the only place that creates and destroys it.

A `SharedSegment` is one anonymous file (memfd, or a file unlinked once open) divided into named numpy arrays. It has no
name in any file system, so the kernel frees it when its last user ends, in whatever way. A child gets it as an argument
of its process when it is spawned and maps the same memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import context, reduction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from hexpipe.errors import SharedMemoryError, is_disk_full

ALIGNMENT = 64  # a cache line: against false sharing of fields
SEMAPHORE = re.compile(r"sem\.mp-[a-z0-9_]+")
"""The names of multiprocessing's semaphores in /dev/shm."""
_PR_SET_PDEATHSIG = 1
_PIPE_BYTES = 65536
_SPARE_FILES = 256  # for files that a process opens later


class Field(NamedTuple):
    """One array of a segment."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class SharedSegment:
    """Named arrays in one piece of shared memory, zeroed at creation.

    ``arrays`` maps a field's name to its numpy view; ``private`` means plain memory of this process, which no other can
    map. Picklable only as an argument of a process being spawned.
    """

    def __init__(self, name: str, fields: Sequence[Field], fd: int | None, buffer: mmap.mmap | None) -> None:
        self.name = name
        self.fields = tuple(Field(f.name, np.dtype(f.dtype).str, tuple(int(n) for n in f.shape)) for f in fields)
        self._offsets, self.nbytes = _lay_out(self.fields)
        self.private = buffer is None
        self._fd = fd
        self._map = buffer
        memory: Any = bytearray(self.nbytes) if buffer is None else buffer
        self.arrays: dict[str, NDArray[Any]] = _views(memory, self.fields, self._offsets)

    @classmethod
    def create(
        cls, name: str, fields: Sequence[Field], *, private: bool = False, reserve: bool = True
    ) -> SharedSegment:
        """Create a segment; with ``private`` in plain memory of this process, of the same layout (one-process use).

        ``reserve`` has the kernel commit all its pages now, so that memory cannot run out in mid-write; without it
        pages are allocated on first write. Raises SharedMemoryError when there is not enough memory.
        """
        names = [field.name for field in fields]
        if len(set(names)) != len(names):
            raise SharedMemoryError(f"segment {name!r} has a field twice: {names}", kind="conflict")
        nbytes = _lay_out(fields)[1]
        check_memory(name, nbytes)
        if private:
            return cls(name, fields, None, None)
        fd = open_anonymous(name, nbytes)
        try:
            _allocate(name, fd, nbytes, reserve)
            buffer = mmap.mmap(fd, nbytes)
        except (OSError, ValueError) as error:
            os.close(fd)
            raise _too_small(name, nbytes, str(error)) from error
        except BaseException:
            os.close(fd)
            raise
        return cls(name, fields, fd, buffer)

    @property
    def fd(self) -> int:
        """File descriptor; -1 for private memory or once closed."""
        return -1 if self._fd is None else self._fd

    def describe(self) -> list[dict[str, Any]]:
        """Return the layout, JSON-able: for each field ``field``, ``dtype``, ``shape``, ``offset`` and ``bytes``."""
        return [
            {"field": f.name, "dtype": f.dtype, "shape": list(f.shape), "offset": offset, "bytes": _field_bytes(f)}
            for f, offset in zip(self.fields, self._offsets, strict=True)
        ]

    def close(self) -> None:
        """Drop this process's mapping. Views kept elsewhere stay valid: it is unmapped with the last of them."""
        self.arrays = {}
        self._map = None  # never mmap.close(): numpy's views do not count as exports, so it would unmap under them
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __reduce__(self) -> tuple[Any, ...]:
        context.assert_spawning(self)
        if self._fd is None:
            raise SharedMemoryError(
                f"segment {self.name!r} is private or closed: no other process can have it", kind="ended"
            )
        return _attach, (self.name, self.fields, reduction.DupFd(self._fd))


def _attach(name: str, fields: Sequence[Field], dup_fd: Any) -> SharedSegment:
    """Attach the child's side of a pickled segment: the same memory under the inherited descriptor."""
    fd: int = dup_fd.detach()
    return SharedSegment(name, fields, fd, mmap.mmap(fd, _lay_out(fields)[1]))


def read_only_view(pid: int, fd: int, layout: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Map a live process's segment read-only; ``layout`` is its `SharedSegment.describe`.

    Raises SharedMemoryError when the process is gone, may not be inspected, or has something else under that
    descriptor. Linux only (/proc).
    """
    path = f"/proc/{pid}/fd/{fd}"
    fields = [Field(str(entry["field"]), str(entry["dtype"]), tuple(entry["shape"])) for entry in layout]
    offsets, nbytes = _lay_out(fields)
    try:
        own = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SharedMemoryError(
            f"cannot look into process {pid} ({error.strerror}): has the run ended?", kind="ended"
        ) from error
    try:
        if os.fstat(own).st_size != nbytes or "hexpipe" not in str(Path(path).readlink()):
            raise SharedMemoryError(
                f"descriptor {fd} of process {pid} is no such segment: has the run ended?", kind="ended"
            )
        buffer = mmap.mmap(own, nbytes, prot=mmap.PROT_READ)
    except OSError as error:
        raise SharedMemoryError(
            f"cannot map memory of process {pid} ({error}): has the run ended?", kind="ended"
        ) from error
    finally:
        os.close(own)
    return _views(buffer, fields, offsets)


class Doorbell:
    """Lock-free wake-up of one sleeping reader by any number of writers: a byte in a pipe tells of news.

    The news itself is in shared memory. A writer that is killed leaves a whole byte or none; a full pipe already wakes
    the reader. Picklable only as an argument of a process being spawned.
    """

    def __init__(self) -> None:
        self._reader, self._writer = spawn_context().Pipe(duplex=False)
        os.set_blocking(self._writer.fileno(), False)

    def ring(self) -> None:
        """Wake the reader, or keep its next wait from sleeping."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer.fileno(), b"\0")

    def wait(self, timeout: float) -> bool:
        """Sleep until rung, ``timeout`` seconds at most; return whether it was."""
        if not self._reader.poll(timeout):
            return False
        os.read(self._reader.fileno(), _PIPE_BYTES)
        return True


def spawn_context() -> context.SpawnContext:
    """Return the context of locks, queues and pipes that processes share, and of processes that begin from nothing;
    those of a run have a nursery."""
    return multiprocessing.get_context("spawn")


@contextlib.contextmanager
def semaphores_made() -> Iterator[None]:
    """Raise SharedMemoryError in the block for a lock, semaphore or queue that /dev/shm has no room for."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise SharedMemoryError(
            "/dev/shm has no room for a semaphore of one page: remove what is there (`ls -l /dev/shm` shows it, "
            "`hexpipe clean` removes what dead runs have left), or give the container more (docker: --shm-size)",
            kind="full",
        ) from error


def named_semaphores() -> list[str]:
    """List the names in /dev/shm of the semaphores that this process has mapped; empty without such a folder.

    multiprocessing's locks and semaphores are files there until its resource tracker removes them. If all processes are
    killed at once, with the tracker, they leak: these names allow their removal.
    """
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        mapped = {int(line.split()[4]) for line in lines if "/dev/shm/" in line}
        with os.scandir("/dev/shm") as entries:
            names = [entry.name for entry in entries if entry.inode() in mapped]
        return sorted(name for name in names if SEMAPHORE.fullmatch(name))
    except OSError:
        return []


def allow_open_files(more: int) -> None:
    """Raise this process's limit on open files, which children inherit, if ``more`` would not fit beside the open ones.

    SharedMemoryError where the system's hard limit is below that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = psutil.Process().num_fds() + more + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        words = (
            f"the processes need {needed:,} open files, and the limit is {hard:,}: raise it (ulimit -n), or take fewer "
            "generators or inference servers"
        )
        raise SharedMemoryError(words, kind="full", high=hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def set_parent_death_signal(forked_from: int | None = None) -> None:
    """Have this process killed when its parent dies; call it first in a child. ``forked_from``: its parent, where that
    is not the process that had it started.

    On Linux the kernel does it (prctl PR_SET_PDEATHSIG); it counts the *thread* that spawned the child as the parent,
    so spawn from a thread that lives as long as the child should. Elsewhere a thread polls once a second.
    """
    expected = multiprocessing.parent_process()
    parent = expected.pid if expected is not None and expected.pid is not None else os.getppid()
    parent = parent if forked_from is None else forked_from
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch_parent, args=(parent,), name="parent-watch", daemon=True).start()
    if os.getppid() != parent:  # the parent died before the signal was set
        os.kill(os.getpid(), signal.SIGKILL)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGKILL)


def _field_bytes(field: Field) -> int:
    count = 1
    for length in field.shape:
        count *= int(length)
    return count * np.dtype(field.dtype).itemsize


def segment_bytes(fields: Sequence[Field]) -> int:
    """Return the bytes of a segment of ``fields``: whole pages."""
    return _lay_out(fields)[1]


def _lay_out(fields: Sequence[Field]) -> tuple[list[int], int]:
    """Return the offset of every field, and the total bytes (whole pages)."""
    offsets, end = [], 0
    for field in fields:
        offsets.append(end)
        end += -(-_field_bytes(field) // ALIGNMENT) * ALIGNMENT
    page = mmap.PAGESIZE
    return offsets, max(page, -(-end // page) * page)


def _views(memory: Any, fields: Sequence[Field], offsets: Sequence[int]) -> dict[str, NDArray[Any]]:
    return {
        field.name: np.ndarray(field.shape, np.dtype(field.dtype), memory, offset)
        for field, offset in zip(fields, offsets, strict=True)
    }


def open_anonymous(name: str, nbytes: int) -> int:
    """Return a new empty file without a path, for up to ``nbytes``: memfd, or unlinked in /dev/shm."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(f"hexpipe-{name}", os.MFD_CLOEXEC)
    folder = "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < nbytes:
        raise _too_small(name, nbytes, f"{folder} has {_mb(free)} free")
    fd, path = tempfile.mkstemp(prefix=f"hexpipe-{name}-", dir=folder)
    Path(path).unlink()
    return fd


def _allocate(name: str, fd: int, nbytes: int, reserve: bool) -> None:
    os.ftruncate(fd, nbytes)
    if reserve and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, nbytes)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise _too_small(name, nbytes, str(error)) from error


def check_memory(name: str, nbytes: int) -> None:
    """Raise SharedMemoryError if a segment ``name`` of ``nbytes`` does not fit into the memory that is available."""
    available = available_memory()
    if nbytes > available:
        raise _too_small(name, nbytes, f"{_mb(available)} of memory is available")


def available_memory() -> int:
    """Return the bytes that this process can still allocate: of the machine, or of its control group if fewer."""
    available = int(psutil.virtual_memory().available)
    for names in (
        ("memory.max", "memory.current", ""),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_"),
    ):
        left = _left_in_group(Path("/sys/fs/cgroup"), *names)
        available = available if left is None else min(available, left)
    return available


def _left_in_group(root: Path, limit_name: str, usage_name: str, prefix: str) -> int | None:
    """Return the bytes that a control group has left, of version 2 or 1 by its files' names; None without a limit.

    Its usage includes page cache, which the kernel reclaims when it needs room; shared memory is not in it
    ("inactive_file" and "active_file" of memory.stat).
    """
    try:
        limit, usage = (root / limit_name).read_text().strip(), (root / usage_name).read_text().strip()
        lines = (root / usage_name).with_name("memory.stat").read_text().splitlines()
    except OSError:
        return None
    if not limit.isdigit():
        return None
    counts = dict(line.split(maxsplit=1) for line in lines if " " in line)
    cache = sum(int(counts.get(f"{prefix}{name}", 0)) for name in ("inactive_file", "active_file"))
    return max(0, int(limit) - int(usage) + cache)


def _mb(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.0f} MB"


def _too_small(name: str, nbytes: int, have: str) -> SharedMemoryError:
    return SharedMemoryError(
        f"segment {name!r} needs {_mb(nbytes)} of shared memory, but {have}: lower replay.max_memory_gb "
        "or the number of workers and games, or give the machine or container more (docker: --memory, --shm-size)",
        kind="full",
        setting="replay.max_memory_gb",
    )
