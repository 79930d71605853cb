"""The nursery: the one process of a run from which all others are forked, so that they share what it has loaded.

It is spawned, loads what most roles need, and then only forks: it has one thread and no GPU, and each child copies the
pages that it writes to. Asked for a process, over a socket that only this pair has, it answers with its id, or with the
reason why there is none; asked for one that has ended, with its exit code.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from multiprocessing import connection, context, popen_fork, process, reduction, spawn, util
from typing import Any

from hexpipe.errors import HexpipeError, UsageError
from hexpipe.processes.interrupts import signals_blocked
from hexpipe.processes.machine import exported, thread_environment
from hexpipe.processes.main_guard import NO_GUARD, NO_GUARD_EXIT
from hexpipe.shm import open_anonymous, set_parent_death_signal, spawn_context

NURSERY_DIED = 1000
"""What stands for the exit code of a process whose nursery is dead, and cannot tell it: no process has that."""
_ANSWER_SECONDS = 300.0  # far longer than a busy machine takes to load
_MOST_FILES = 200  # in one message; Linux passes on 253
_REQUEST = struct.Struct("=qq")  # how many open files the process to fork gets; else 0, and the id of one to reap
_ANSWER = struct.Struct("=qq")  # the process's id or exit code, and an errno
_LAST_SECONDS = 1.0  # for one that has closed its socket to end
_FIRST = 100  # before multiprocessing's own work at the end of a process, which is at 0
_here: int | None = None  # in the nursery and its children: the nursery's process id
_passed: list[int] = []  # in a child: the open files that came with it


class Nursery:
    """A nursery that loads by ``load`` ("package.module:function") with ``arguments``; there is none until `begin`.

    One that has died is begun anew by the next `fork`. Threads may share it.
    """

    def __init__(self, load: str, *arguments: str) -> None:
        self._load, self._arguments = load, arguments
        self._lock = threading.Lock()
        self._process: process.BaseProcess | None = None
        self._socket: socket.socket | None = None

    def begin(self) -> None:
        """Begin the nursery unless it is there, without waiting for what it loads; HexpipeError where that cannot be.

        Children have the limits that this process has now. They live as long as the thread that calls this.
        """
        if self._socket is not None and self._process is not None and self._process.is_alive():
            return
        self.end()
        try:
            ours, theirs = socket.socketpair()
            with theirs, exported(thread_environment(1)), signals_blocked():
                self._socket = ours
                arguments = (theirs, self._load, self._arguments)
                begun = spawn_context().Process(target=_nursery_main, args=arguments, name="nursery", daemon=True)
                begun.start()
            self._process = begun
            # before multiprocessing, as this process ends, asks what is left to end, which a nursery does not hear
            util.Finalize(self, begun.kill, exitpriority=_FIRST)
        except OSError as error:
            self.end()
            words = f"no process can be started ({error}): raise the limits on processes and files"
            raise HexpipeError(words) from error

    def end(self) -> None:
        """End the nursery, where it was begun, and with it any children that are left."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._socket is not None:
            self._socket.close()
        self._process = self._socket = None

    def fork(self, files: Sequence[int]) -> int:
        """Have a process forked with copies of the open ``files`` (see `_live`); return its id.

        OSError where the nursery cannot fork, HexpipeError where there is no nursery.
        """
        with self._lock:
            self.begin()
            answer = self._ask(_REQUEST.pack(len(files), 0), files)
            if answer is None:
                raise self._failure()
        number, error = answer
        if error:
            raise OSError(error, os.strerror(error))
        return number

    def reap(self, number: int) -> int:
        """Return the exit code of the process ``number``, which has ended, or `NURSERY_DIED`."""
        with self._lock:
            answer = self._ask(_REQUEST.pack(0, number))
        return NURSERY_DIED if answer is None or answer[1] else answer[0]

    def _failure(self) -> HexpipeError:
        """End a nursery that has not answered; return the error that says why."""
        code = None
        if self._process is not None:
            self._process.join(_LAST_SECONDS)
            code = self._process.exitcode
        self.end()
        if code == NO_GUARD_EXIT:
            return UsageError(NO_GUARD)
        what = "hung" if code is None else f"ended with exit code {code}"
        return HexpipeError(f"the process from which others are forked {what} while it loaded")

    def _ask(self, request: bytes, files: Sequence[int] = ()) -> tuple[int, int] | None:
        """Return the nursery's answer, None where it is dead or gives none."""
        if self._socket is None or self._process is None:
            return None
        self._socket.settimeout(_ANSWER_SECONDS)
        try:
            self._socket.sendall(request)
            for start in range(0, len(files), _MOST_FILES):
                socket.send_fds(self._socket, [b"\0"], files[start : start + _MOST_FILES])
            return _ANSWER.unpack(_read(self._socket, _ANSWER.size))
        except (OSError, EOFError):
            return None
        except BaseException:  # the answer that was not waited for must not be taken for another's
            self._socket.close()
            self._socket = None
            raise


class ForkedProcess(process.BaseProcess):
    """A process of multiprocessing that is forked from ``nursery``."""

    _start_method = None  # of processes that it would start: what `spawn.prepare` has set

    def __init__(self, nursery: Nursery, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._nursery = nursery

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_nursery"}

    @staticmethod
    def _Popen(process_obj: ForkedProcess) -> _Forked:  # noqa: N802
        return _Forked(process_obj)


class _Forked(popen_fork.Popen):
    """How multiprocessing starts a `ForkedProcess` and waits for it.

    ``sentinel`` is a pipe whose other end the process alone has, and keeps open until it ends.
    """

    method = "nursery"

    class DupFd:
        """An open file on its way into the process, by its place among those that are passed."""

        def __init__(self, place: int) -> None:
            self.place = place

        def detach(self) -> int:
            """Return its number in the process."""
            return _passed[self.place]

    def __init__(self, process_obj: ForkedProcess) -> None:
        self._nursery = process_obj._nursery
        self._files: list[int] = []
        super().__init__(process_obj)

    def duplicate_for_child(self, file: int) -> int:
        """Pass the open ``file`` on; return its place."""
        self._files.append(file)
        return len(self._files) - 1

    def _launch(self, process_obj: ForkedProcess) -> None:
        with os.fdopen(open_anonymous("process", 0), "w+b") as content:
            context.set_spawning_popen(self)  # type: ignore[arg-type]
            try:
                reduction.dump(spawn.get_preparation_data(process_obj.name), content)
                reduction.dump(process_obj, content)
            finally:
                context.set_spawning_popen(None)
            content.seek(0)
            self.sentinel, life = os.pipe()
            try:
                self.pid = self._nursery.fork([content.fileno(), life, *self._files])
            except BaseException:
                os.close(self.sentinel)
                raise
            finally:
                os.close(life)
        self.finalizer = util.Finalize(self, os.close, (self.sentinel,))

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code, None while the process lives; wait for it unless ``flag`` is os.WNOHANG."""
        if self.returncode is None and connection.wait([self.sentinel], 0 if flag == os.WNOHANG else None):
            self.returncode = self._nursery.reap(self.pid)
        return self.returncode


def nursery_of_this_process() -> int | None:
    """Return the id of the process from which this one was forked; None where it was spawned."""
    return _here


def _nursery_main(requests: socket.socket, load: str, arguments: Sequence[str]) -> None:
    """Live as a nursery, until the process that began it has ended."""
    global _here  # noqa: PLW0603
    set_parent_death_signal()
    _here = os.getpid()
    module, _, function = load.partition(":")
    getattr(importlib.import_module(module), function)(*arguments)
    gc.collect()
    gc.freeze()  # the collector writes to what it looks at, which would copy it into every child
    while True:
        try:
            count, ended = _REQUEST.unpack(_read(requests, _REQUEST.size))
            files = _receive_files(requests, count)
        except (OSError, EOFError):
            return  # nobody is there any more
        requests.sendall(_ANSWER.pack(*(_fork(requests, count, files) if count else _exit_code(ended))))
        for file in files:
            os.close(file)


def _fork(requests: socket.socket, count: int, files: list[int]) -> tuple[int, int]:
    """Return the id of a new process with ``count`` open ``files`` and 0, or 0 and the errno of what prevents it."""
    if len(files) < count:
        return 0, errno.EMFILE
    try:
        number = os.fork()
    except OSError as error:
        return 0, error.errno or -1
    if number:
        return number, 0
    code = 1
    try:
        requests.close()
        code = _live(*files)
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _live(content: int, life: int, *passed: int) -> int:
    """Live as a child, and return the exit code.

    The file ``content`` has what multiprocessing tells a child, ``life`` is its end of the sentinel, and ``passed`` are
    the files that it gets.
    """
    _passed[:] = passed
    return int(spawn._main(content, None))  # type: ignore[arg-type]


def _exit_code(number: int) -> tuple[int, int]:
    """Return the exit code of a child that has ended and 0, or 0 and an errno."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), 0
    except ChildProcessError as error:  # another nursery's, which is dead
        return 0, error.errno or -1


def _receive_files(requests: socket.socket, count: int) -> list[int]:
    """Return the open files of a request, fewer than ``count`` where this process may have no more."""
    files: list[int] = []
    for start in range(0, count, _MOST_FILES):
        most = min(count - start, _MOST_FILES)
        message, received, *_ = socket.recv_fds(requests, 1, most, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        if not message:
            raise EOFError
        files += received
    return files


def _read(stream: socket.socket, size: int) -> bytes:
    """Read exactly ``size`` bytes; EOFError where the other end is closed before."""
    parts = bytearray()
    while len(parts) < size:
        part = stream.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
