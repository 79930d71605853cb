"""Outboxes: the transport of finished games from the generators to the replay process, fixed slots in shared memory.

Reanalyzed games go the same way, from separate outboxes; they have a number in the archive, which a new game has not
got yet.

Game number ``s`` of a worker goes to slot ``s % slots`` of its ring buffer: its bytes first, then the slot's header (s
+ 1, length, number in the archive, crc32 of that number and the bytes), then one small message that wakes the replay
process. Replay takes games in order and acknowledges them by raising the worker's ``acked`` once they are committed to
archive and shared memory; only then is a slot reused. This is lock-free: a worker that is killed at any point leaves
either a whole game or a slot with an invalid header, which counts as no game. Only the sequence number of its
replacement must be recovered.

The replay process may be killed too. Its replacement takes again what was not acknowledged, except for games that the
archive has already: they are known there by session, worker and sequence.
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
    """One game in an outbox; ``number`` is its place in the archive, counted from 1, or 0 for a new game."""

    worker: int
    sequence: int
    record: GameRecord
    number: int = 0


def largest_record_bytes(shapes: Shapes, max_plies: int) -> int:
    """Return the most bytes of a game's `GameRecord.to_bytes`: a full policy at every ply."""
    per_ply = 2 + 1 + 1 + 4 * shapes.num_seats + 4 + mask_length(shapes.num_actions) + shapes.num_actions
    if shapes.view_size < shapes.board_size:
        per_ply += 4  # the view's origin
    return 256 + 4 * shapes.num_seats + max_plies * per_ply


class Outboxes:
    """The slots of every worker and the doorbell of the replay process; picklable while a child is spawned."""

    def __init__(self, segment: SharedSegment, bell: Doorbell) -> None:
        self.segment, self._bell = segment, bell

    @classmethod
    def create(cls, workers: int, slots: int, slot_bytes: int, private: bool = False) -> Outboxes:
        """Create empty outboxes. Raises SharedMemoryError if there is no room."""
        fields = cls.fields(workers, slots, slot_bytes)
        return cls(SharedSegment.create("outboxes", fields, private=private), Doorbell())

    @staticmethod
    def fields(workers: int, slots: int, slot_bytes: int) -> list[Field]:
        """Return the arrays of such outboxes."""
        return [
            Field("data", "uint8", (workers, slots, slot_bytes)),
            Field("header", "int64", (workers, slots, len(_HEADER))),
            Field("acked", "int64", (workers,)),
        ]

    @property
    def num_workers(self) -> int:
        """Number of workers with an outbox."""
        return int(self.segment.arrays["acked"].shape[0])

    @property
    def num_slots(self) -> int:
        """Number of slots of all outboxes."""
        return int(np.prod(self.segment.arrays["header"].shape[:2]))

    def sender(self, worker: int) -> OutboxSender:
        """Return a worker's sending end, which goes on after the whole games of a dead predecessor."""
        return OutboxSender(self.segment, self._bell, worker)

    def receiver(self) -> OutboxReceiver:
        """Return the receiving end of the replay process."""
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
        # wake replay for games whose message a dead predecessor did not send
        self._bell.ring()

    def in_flight(self) -> int:
        """Return the number of games in the outbox."""
        return self.next_sequence - int(self._acked[self._worker])

    def send(self, record: GameRecord, keep_waiting: Callable[[], bool], number: int = 0) -> bool:
        """Put a game into the outbox, waiting for a free slot while ``keep_waiting()`` (back-pressure); False if it
        gave up.

        ``number`` is an old game's in the archive, 0 for a new one.
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
        """Wait until some worker has sent a game, ``timeout`` seconds at most; return whether one has."""
        return self._bell.wait(timeout)

    def half_full(self) -> bool:
        """Return whether games wait in half of some worker's slots, or more."""
        slots = self._header.shape[1]
        half = (slots + 1) // 2
        return any(
            int(self._header[worker, (taken + half - 1) % slots, 0]) == taken + half
            for worker, taken in enumerate(self._taken)
        )

    def take(self, limit: int = 1000) -> list[Arrival]:
        """Return the whole games that wait, oldest first for each worker; they keep their slots until `acknowledge`."""
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
    """Return number and bytes of the game ``sequence`` if it is there, whole."""
    slot = sequence % len(header)
    found, length, number, crc = (int(value) for value in header[slot])
    if found != sequence + 1 or not 0 < length <= data.shape[1]:
        return None
    content = data[slot, :length].tobytes()
    return (number, content) if _checksum(number, content) == crc else None


def _checksum(number: int, data: bytes) -> int:
    """Return the crc32 of a game with its number: a half-written header must not give it another's number."""
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
