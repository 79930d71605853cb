"""Shared segments: layout, spawning, reading from outside, and memory that ends with its users."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hexpipe import shm
from hexpipe.errors import SharedMemoryError
from hexpipe.shm import (
    Doorbell,
    Field,
    SharedSegment,
    allow_open_files,
    read_only_view,
    semaphores_made,
    set_parent_death_signal,
    spawn_context,
)
from tests.refusals import refused

FIELDS = [Field("codes", "int8", (3, 5)), Field("values", "float32", (7,)), Field("count", "int64", (1,))]


def _double(segment: SharedSegment) -> None:
    segment.arrays["values"] *= 2
    segment.arrays["count"][0] = os.getpid()


def _sleep_for_ever(segment: SharedSegment) -> None:
    set_parent_death_signal()
    segment.arrays["count"][0] = os.getpid()
    time.sleep(600)


def _parent_of_sleeper(segment: SharedSegment) -> None:
    child = spawn_context().Process(target=_sleep_for_ever, args=(segment,))
    child.start()
    child.join()


@pytest.mark.parametrize("private", [False, True])
def test_fields_are_zeroed_aligned_and_apart(private: bool) -> None:
    segment = SharedSegment.create("test", FIELDS, private=private)
    for number, field in enumerate(FIELDS):
        array = segment.arrays[field.name]
        assert array.shape == field.shape
        assert array.dtype == field.dtype
        assert not array.any()
        array[...] = number + 1
    for number, field in enumerate(FIELDS):
        assert (segment.arrays[field.name] == number + 1).all()
    assert all(entry["offset"] % shm.ALIGNMENT == 0 for entry in segment.describe())
    assert sum(entry["bytes"] for entry in segment.describe()) == 15 + 28 + 8
    assert segment.private is private
    segment.close()
    assert segment.fd == -1


def test_a_spawned_child_maps_the_same_memory() -> None:
    segment = SharedSegment.create("test", FIELDS)
    segment.arrays["values"][:] = 3
    child = spawn_context().Process(target=_double, args=(segment,))
    child.start()
    child.join(200)
    assert child.exitcode == 0
    assert (segment.arrays["values"] == 6).all()
    assert segment.arrays["count"][0] == child.pid
    segment.close()


def test_it_pickles_only_while_spawning() -> None:
    segment = SharedSegment.create("test", FIELDS)
    with pytest.raises(RuntimeError):
        pickle.dumps(segment)
    segment.close()
    private = SharedSegment.create("test", FIELDS, private=True)
    with refused(SharedMemoryError, "'test'", kind="ended"):
        spawn_context().Process(target=_double, args=(private,)).start()


def test_a_stranger_reads_but_cannot_write_and_takes_nothing_along() -> None:
    segment = SharedSegment.create("test", FIELDS)
    segment.arrays["values"][:] = np.arange(7)
    view = read_only_view(os.getpid(), segment.fd, segment.describe())
    assert (view["values"] == np.arange(7)).all()
    with pytest.raises(ValueError, match="read-only"):
        view["values"][0] = 1
    segment.arrays["values"][0] = 41
    assert view["values"][0] == 41
    del view
    assert segment.arrays["values"][0] == 41
    segment.close()


def test_a_stranger_is_told_when_there_is_nothing_to_see(tmp_path: Path) -> None:
    segment = SharedSegment.create("test", FIELDS)
    layout = segment.describe()
    with (tmp_path / "other").open("w+b") as other:
        os.ftruncate(other.fileno(), segment.nbytes)
        with refused(SharedMemoryError, str(other.fileno()), kind="ended"):
            read_only_view(os.getpid(), other.fileno(), layout)
    with refused(SharedMemoryError, str(2**22 + 1), kind="ended"):
        read_only_view(2**22 + 1, 3, layout)
    segment.close()


def test_too_much_is_refused_with_the_numbers() -> None:
    for private in (False, True):
        with refused(SharedMemoryError, "'huge'", " 1,000,000,", kind="full", setting="replay.max_memory_gb"):
            SharedSegment.create("huge", [Field("x", "int8", (10**15,))], private=private)
    with refused(SharedMemoryError, "'double'", kind="conflict"):
        SharedSegment.create("double", [FIELDS[0], FIELDS[0]])


def test_the_unlinked_file_does_where_there_is_no_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    before = set(Path("/dev/shm").iterdir())
    segment = SharedSegment.create("test", FIELDS)
    assert set(Path("/dev/shm").iterdir()) == before
    child = spawn_context().Process(target=_double, args=(segment,))
    child.start()
    child.join(200)
    assert segment.arrays["count"][0] == child.pid
    segment.close()


def test_views_outlive_close() -> None:
    segment = SharedSegment.create("test", FIELDS)
    values = segment.arrays["values"]
    values[:] = 5
    segment.close()
    assert (values == 5).all()


def test_children_die_with_their_parent() -> None:
    segment = SharedSegment.create("test", FIELDS)
    parent = spawn_context().Process(target=_parent_of_sleeper, args=(segment,))
    parent.start()
    deadline = time.monotonic() + 200
    while not segment.arrays["count"][0] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert segment.arrays["count"][0], "it has not started"
    sleeper = psutil.Process(int(segment.arrays["count"][0]))
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.join(100)
    assert sleeper.wait(100) is None or not sleeper.is_running()
    segment.close()


def test_the_limit_on_open_files_is_raised_where_the_system_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, given = [1024, 4096], []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: given.append(pair))
    allow_open_files(10)
    assert not given
    allow_open_files(1024)
    assert 1024 < given[0][0] < 4096
    assert given[0][1] == 4096
    with refused(SharedMemoryError, kind="full", high=4096):
        allow_open_files(4096)


def test_no_room_for_a_semaphore_is_a_lack_of_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **others: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", full)
    number = errno.ENOSPC
    with refused(SharedMemoryError, "/dev/shm", kind="full"), semaphores_made():
        spawn_context().Lock()
    number = errno.EACCES
    with pytest.raises(PermissionError), semaphores_made():
        spawn_context().SimpleQueue()


def test_a_run_with_a_full_dev_shm_is_refused_in_one_line(tmp_path: Path) -> None:
    """In a mount namespace of its own, with one page for semaphores."""
    unshare = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    small = "mount -t tmpfs -o size=4k tmpfs /dev/shm"
    if shutil.which("unshare") is None or subprocess.run([*unshare, small], check=False).returncode:
        pytest.skip("this machine does not let us mount a small /dev/shm")
    command = f"{small} && exec {sys.executable} -P -m hexpipe run --workers 2 --run-dir {tmp_path / 'run'}"
    ended = subprocess.run([*unshare, command], check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 2, ended
    assert len(ended.stderr.splitlines()) == 1
    assert "/dev/shm has no room" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("limit", "usage", "prefix"),
    [("memory.max", "memory.current", ""), ("memory/limit_in_bytes", "memory/usage_in_bytes", "total_")],
)
def test_a_group_that_has_read_many_files_has_memory_left(tmp_path: Path, limit: str, usage: str, prefix: str) -> None:
    assert shm._left_in_group(tmp_path, limit, usage, prefix) is None
    (tmp_path / "memory").mkdir()
    (tmp_path / limit).write_text("1000\n")
    (tmp_path / usage).write_text("990\n")
    stat = f"{prefix}inactive_file 300\n{prefix}active_file 20\n{prefix}inactive_anon 600\n{prefix}shmem 600\n"
    (tmp_path / usage).with_name("memory.stat").write_text(stat)
    assert shm._left_in_group(tmp_path, limit, usage, prefix) == 330
    (tmp_path / limit).write_text("max\n")
    assert shm._left_in_group(tmp_path, limit, usage, prefix) is None


def test_a_doorbell_wakes_once_however_often_it_was_rung() -> None:
    bell = Doorbell()
    assert not bell.wait(0.0)
    for _ in range(100_000):  # more than a pipe holds
        bell.ring()
    assert bell.wait(0.0)
    while bell.wait(0.0):
        pass
    bell.ring()
    assert bell.wait(10.0)
    assert not bell.wait(0.0)
