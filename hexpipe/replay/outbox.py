"""The way of finished games from the generators to the replay process: fixed slots in shared memory.

Old games that were searched anew go the same way, from an outbox of their own; what tells them from new ones is the
number that they have in the archive, which a new game has not got yet.

Game number ``s`` of a worker goes to slot ``s % slots``: its bytes first, then the slot's header (s + 1, length, number
in the archive, crc32 of that number and the bytes), then one small message that wakes the replay process. Replay takes
games in order and acknowledges them by raising the worker's ``acked`` once they are committed to archive and shared
memory; only then is a slot used again.
A worker that is killed at any point leaves either a whole game or a slot whose header does not fit, which is no game;
no lock is held at any time, so nothing is left to repair but the number that its replacement goes on from.

The replay process may be killed too. Its replacement takes anew what was not acknowledged, and of that it leaves out
what the archive has already: games are known there by session, worker and sequence.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hexpipe.config import Shapes
from hexpipe.errors import HexpipeError
from hexpipe.records import GameRecord, mask_length
from hexpipe.shm import Doorbell, Field, SharedSegment

_HEADER = ("sequence + 1", "length", "number", "crc32")
_POLL_SECONDS = 0.005


class Arrival(NamedTuple):
    """One game that lies in an outbox; ``number`` is its place in the archive, counted from 1, or 0 of a new game."""

    worker: int
    sequence: int
    record: GameRecord
    number: int = 0


def largest_record_bytes(shapes: Shapes, max_plies: int) -> int:
    """Most bytes that a game's `GameRecord.to_bytes` can take: every ply's policy full."""
    per_ply = 2 + 1 + 1 + 4 * shapes.num_seats + 4 + mask_length(shapes.num_actions) + shapes.num_actions
    if shapes.view_size < shapes.board_size:
        per_ply += 4  # the view's origin
    return 256 + 4 * shapes.num_seats + max_plies * per_ply


class Outboxes:
    """The slots of every worker and the bell that wakes the replay process; picklable while a child is spawned."""

    def __init__(self, segment: SharedSegment, bell: Doorbell) -> None:
        self.segment, self._bell = segment, bell

    @classmethod
    def create(cls, workers: int, slots: int, slot_bytes: int, private: bool = False) -> Outboxes:
        """Empty outboxes. Raises SharedMemoryError if there is no room."""
        fields = cls.fields(workers, slots, slot_bytes)
        return cls(SharedSegment.create("outboxes", fields, private=private), Doorbell())

    @staticmethod
    def fields(workers: int, slots: int, slot_bytes: int) -> list[Field]:
        """Name the arrays of such outboxes."""
        return [
            Field("data", "uint8", (workers, slots, slot_bytes)),
            Field("header", "int64", (workers, slots, len(_HEADER))),
            Field("acked", "int64", (workers,)),
        ]

    @property
    def num_workers(self) -> int:
        """Workers that have an outbox."""
        return int(self.segment.arrays["acked"].shape[0])

    @property
    def num_slots(self) -> int:
        """Games that all outboxes hold together."""
        return int(np.prod(self.segment.arrays["header"].shape[:2]))

    def sender(self, worker: int) -> OutboxSender:
        """The writing end of a worker, going on after what a dead predecessor has left whole."""
        return OutboxSender(self.segment, self._bell, worker)

    def receiver(self) -> OutboxReceiver:
        """The replay process's end."""
        return OutboxReceiver(self.segment, self._bell)


class OutboxSender:
    """A worker's end of its outbox."""

    def __init__(self, segment: SharedSegment, bell: Doorbell, worker: int) -> None:
        self._data = segment.arrays["data"][worker]
        self._header = segment.arrays["header"][worker]
        self._acked = segment.arrays["acked"]
        self._bell = bell
        self._worker = worker
        self.next_sequence = _first_free(self._data, self._header, int(self._acked[worker]))
        # wake replay for games that a dead predecessor left without their message
        self._bell.ring()

    def in_flight(self) -> int:
        """Games that lie in the outbox."""
        return self.next_sequence - int(self._acked[self._worker])

    def send(self, record: GameRecord, keep_waiting: Callable[[], bool], number: int = 0) -> bool:
        """Put a game into the outbox, waiting for a free slot while ``keep_waiting()``; False if it was not put.

        ``number`` is that of an old game in the archive, 0 for a new one.
        """
        data = record.to_bytes()
        slots, slot_bytes = self._data.shape
        if len(data) > slot_bytes:
            raise HexpipeError(f"a game of {len(data)} bytes is over the outbox's {slot_bytes}: report this as a bug")
        while self.in_flight() >= slots:
            if not keep_waiting():
                return False
            time.sleep(_POLL_SECONDS)
        slot = self.next_sequence % slots
        self._data[slot, : len(data)] = np.frombuffer(data, np.uint8)
        self._header[slot] = (self.next_sequence + 1, len(data), number, _checksum(number, data))
        self.next_sequence += 1
        self._bell.ring()
        return True


class OutboxReceiver:
    """The replay process's end of every outbox."""

    def __init__(self, segment: SharedSegment, bell: Doorbell) -> None:
        self._data = segment.arrays["data"]
        self._header = segment.arrays["header"]
        self._acked = segment.arrays["acked"]
        self._bell = bell
        self._taken = [int(number) for number in self._acked]

    def wait(self, timeout: float) -> bool:
        """Wait until some worker has sent a game, ``timeout`` seconds at most."""
        return self._bell.wait(timeout)

    def take(self, limit: int = 1000) -> list[Arrival]:
        """Whole games that wait, oldest first for each worker; they keep their slots until `acknowledge`."""
        arrivals: list[Arrival] = []
        for worker in range(len(self._taken)):
            while len(arrivals) < limit:
                whole = _whole_game(self._data[worker], self._header[worker], self._taken[worker])
                if whole is None:
                    break
                number, data = whole
                arrivals.append(Arrival(worker, self._taken[worker], GameRecord.from_bytes(data), number))
                self._taken[worker] += 1
        return arrivals

    def acknowledge(self, arrivals: list[Arrival]) -> None:
        """Free the slots of games that are committed."""
        for arrival in arrivals:
            self._acked[arrival.worker] = arrival.sequence + 1


def _whole_game(
    data: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    header: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    sequence: int,
) -> tuple[int, bytes] | None:
    """Number and bytes of the game ``sequence`` if it is there."""
    slot = sequence % len(header)
    found, length, number, crc = (int(value) for value in header[slot])
    if found != sequence + 1 or not 0 < length <= data.shape[1]:
        return None
    content = data[slot, :length].tobytes()
    return (number, content) if _checksum(number, content) == crc else None


def _checksum(number: int, data: bytes) -> int:
    """The number counts too: a slot whose header was half written must not give a game's number to another."""
    return zlib.crc32(data, zlib.crc32(number.to_bytes(8, "little", signed=True)))


def _first_free(
    data: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    header: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    acked: int,
) -> int:
    sequence = acked
    while sequence < acked + len(header) and _whole_game(data, header, sequence) is not None:
        sequence += 1
    return sequence
