"""Access to the private parts of multiprocessing's queues: the only place for it.

A `SimpleQueue` has a lock for each end, which its reader and its writer take in every get and put. Each end has one
user here, so these locks are never contended; but a process that is killed while it holds one leaves it locked, and its
replacement would deadlock. No public call can release it. A reader that must wait on many queues at once needs their
file descriptors, for which there is no public call either.

The queues are those of the spawn context, which torch.multiprocessing re-exports unchanged.
"""

from __future__ import annotations

from multiprocessing.queues import SimpleQueue
from typing import Any


def reading_end(queue: SimpleQueue[Any]) -> int:
    """Return the file descriptor that a selector can wait on."""
    reader: Any = queue._reader  # type: ignore[attr-defined]
    return int(reader.fileno())


def free_reader(queue: SimpleQueue[Any]) -> None:
    """Release the lock of a dead reader; only call once it is dead."""
    _let_go(queue._rlock)  # type: ignore[attr-defined]


def free_writer(queue: SimpleQueue[Any]) -> None:
    """Release the lock of a dead writer; only call once it is dead."""
    _let_go(queue._wlock)  # type: ignore[attr-defined]


def _let_go(lock: Any) -> None:
    lock.acquire(False)  # held forever if its owner died in get() or put(); free otherwise
    lock.release()
