"""The nursery: the one process of a run from which all others are forked, so that they share what it has loaded.

It is spawned, loads what most roles need, and then only forks: it has one thread and no GPU, and each child copies the
pages that it writes to. Asked for a process, over a socket that only this pair has, it answers with its id, or with the
reason why there is none; asked for one that has ended, with its exit code.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import pickle
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from multiprocessing import connection, context, popen_fork, process, reduction, spawn, util
from typing import Any

from hexpipe.errors import HexpipeError
from hexpipe.processes.interrupts import signals_blocked
from hexpipe.processes.machine import exported, thread_environment
from hexpipe.shm import set_parent_death_signal, spawn_context

NURSERY_DIED = 1000
"""What stands for the exit code of a process whose nursery is dead, and cannot tell it: no process has that."""
_ANSWER_SECONDS = 300.0  # far longer than a busy machine takes to load
_MOST_FILES = 200  # in one message; Linux passes on 253
_REQUEST = struct.Struct("=qqq")  # the bytes of a process to fork, its open files, and else the id of one to reap
_ANSWER = struct.Struct("=qq")  # the process's id or exit code, and an errno
_FIRST = 100
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
        if self._process is not None and self._process.is_alive():
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

    def fork(self, content: bytes, files: Sequence[int]) -> int:
        """Have a process forked that begins with ``content``, and with copies of the open ``files``; return its id.

        OSError where the nursery cannot fork, HexpipeError where there is no nursery.
        """
        with self._lock:
            self.begin()
            answer = self._ask(_REQUEST.pack(len(content), len(files), 0), content, files)
            if answer is None:
                self.end()
                raise HexpipeError("the process from which others are forked died, or hung, while it loaded")
        number, error = answer
        if error:
            raise OSError(error, os.strerror(error))
        return number

    def reap(self, number: int) -> int:
        """Return the exit code of the process ``number``, which has ended, or `NURSERY_DIED`."""
        with self._lock:
            answer = self._ask(_REQUEST.pack(0, 0, number))
        return NURSERY_DIED if answer is None or answer[1] else answer[0]

    def _ask(self, request: bytes, content: bytes = b"", files: Sequence[int] = ()) -> tuple[int, int] | None:
        """Return the nursery's answer, None where it is dead or gives none."""
        if self._socket is None or self._process is None:
            return None
        self._socket.settimeout(_ANSWER_SECONDS)
        try:
            self._socket.sendall(request)
            for start in range(0, len(files), _MOST_FILES):
                socket.send_fds(self._socket, [b"\0"], files[start : start + _MOST_FILES])
            self._socket.sendall(content)
            return _ANSWER.unpack(_read(self._socket, _ANSWER.size))
        except (OSError, EOFError):
            return None


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
        content = io.BytesIO()
        context.set_spawning_popen(self)  # type: ignore[arg-type]
        try:
            reduction.dump(spawn.get_preparation_data(process_obj.name), content)
            reduction.dump(process_obj, content)
        finally:
            context.set_spawning_popen(None)
        self.sentinel, life = os.pipe()
        try:
            self.pid = self._nursery.fork(content.getvalue(), [life, *self._files])
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
            size, count, ended = _REQUEST.unpack(_read(requests, _REQUEST.size))
            files = _receive_files(requests, count)
            content = _read(requests, size)
        except (OSError, EOFError):
            return  # nobody is there any more
        requests.sendall(_ANSWER.pack(*(_fork(requests, content, files) if size else _exit_code(ended))))
        for file in files:
            os.close(file)


def _fork(requests: socket.socket, content: bytes, files: list[int]) -> tuple[int, int]:
    try:
        number = os.fork()
    except OSError as error:
        return 0, error.errno or -1
    if number:
        return number, 0
    code = 1
    try:
        requests.close()
        code = _live(content, files)
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _live(content: bytes, files: list[int]) -> int:
    """Live as a child, as multiprocessing has it, and return the exit code. The first of ``files`` is the sentinel."""
    _passed[:] = files[1:]
    stream = io.BytesIO(content)
    process.current_process()._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(pickle.load(stream))
        own = pickle.load(stream)
    finally:
        del process.current_process()._inheriting  # type: ignore[attr-defined]
    return int(own._bootstrap())


def _exit_code(number: int) -> tuple[int, int]:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), 0
    except ChildProcessError as error:  # another nursery's, which is dead
        return 0, error.errno or -1


def _receive_files(requests: socket.socket, count: int) -> list[int]:
    files: list[int] = []
    while len(files) < count:
        message, received, *_ = socket.recv_fds(requests, 1, min(count - len(files), _MOST_FILES))
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
