"""Compiled steps of the store's writer: move the tail, write a game, publish.

All but `publish` work on a copy of the header (`layout.Header`) and never touch a byte or a slot of a game that readers
may still be in: one between the tail and the head that were published last.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hexpipe.replay.eviction import DEAD_SHARE
from hexpipe.replay.layout import HEADER_LENGTH, STAGE_COUNTERS, Header


class Index(NamedTuple):
    """The store's arrays of G slots, one a game, as `layout` describes them; ``stages`` uint8 of the curriculum."""

    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    plies: NDArray[np.int32]
    openings: NDArray[np.int32]
    sizes: NDArray[np.int32]
    numbers: NDArray[np.int64]
    stages: NDArray[np.uint8]
    dead: NDArray[np.uint8]


@njit(cache=True, nogil=True)
def find_number(numbers: NDArray[np.int64], count: int, number: int) -> int:
    """Where ``number`` is in numbers[:count], which rise; -1 where it is not."""
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low if low < count and numbers[low] == number else -1


@njit(cache=True, nogil=True)
def find_place(start: int, end: int, size: int, ring_bytes: int) -> int:
    """Where in the ring ``size`` bytes fit, -1 where they do not; pieces lie from ``start`` on and up to ``end``.

    With end > start they are in one run; else they go on from the ring's beginning.
    """
    if end <= start:
        return end if start - end >= size else -1
    if ring_bytes - end >= size:
        return end
    return 0 if start >= size else -1


@njit(cache=True, nogil=True)
def _pass_tail(index: Index, header: NDArray[np.int64]) -> None:
    """Moves the tail over one game; its bytes stay counted."""
    slot = header[Header.TAIL_GAME] % len(index.dead)
    header[Header.TAIL_GAME] += 1
    header[Header.TAIL_POSITION] += index.plies[slot] - index.openings[slot]


@njit(cache=True, nogil=True)
def _copy_bytes(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Seven times as fast as by indices into a whole array, which may be negative for all that the compiler knows."""
    for i in range(len(source)):
        target[i] = source[i]


@njit(cache=True, nogil=True)
def _count_live(index: Index, header: NDArray[np.int64], slot: int, sign: int, snapshot_interval: int) -> None:
    """Adds the game in ``slot`` to the live counters, its stage's too, or with ``sign`` -1 takes it off."""
    plies = np.int64(index.plies[slot])
    header[Header.LIVE_GAMES] += sign
    header[Header.LIVE_POSITIONS] += sign * (plies - index.openings[slot])
    header[Header.LIVE_BYTES] += sign * np.int64(index.sizes[slot])
    held = HEADER_LENGTH + STAGE_COUNTERS * np.int64(index.stages[slot])
    header[held] += sign
    header[held + 1] += sign * plies
    header[held + 2] += sign * ((plies - 1) // snapshot_interval)


@njit(cache=True, nogil=True)
def publish(
    index: Index,
    published: NDArray[np.int64],
    header: NDArray[np.int64],
    leaving: NDArray[np.int64],
    snapshot_interval: int,
) -> None:
    """Makes ``header`` what readers see and the games in the slots ``leaving`` dead, and passes the dead at the tail.

    The caller holds the lock.
    """
    for slot in leaving:
        index.dead[slot] = 1
        _count_live(index, header, slot, -1, snapshot_interval)
    published[:] = header
    _pass_dead(index, published)


@njit(cache=True, nogil=True)
def write_game(
    index: Index,
    data: NDArray[np.uint8],
    header: NDArray[np.int64],
    piece: NDArray[np.uint8],
    plies: int,
    openings: int,
    number: int,
    stage: int,
    snapshot_interval: int,
) -> None:
    """Writes ``piece`` at the head, where there is room for it, and its slot; counts it in ``header``."""
    slots = len(index.dead)
    tail, head = header[Header.TAIL_GAME], header[Header.HEAD_GAME]
    place = np.int64(0)
    if head > tail:
        place = find_place(index.offsets[tail % slots], header[Header.HEAD_BYTE], len(piece), header[Header.RING_BYTES])
    _copy_bytes(data[place : place + len(piece)], piece)
    slot = head % slots
    index.starts[slot] = header[Header.HEAD_POSITION]
    index.offsets[slot] = place
    index.plies[slot] = plies
    index.openings[slot] = openings
    index.sizes[slot] = len(piece)
    index.numbers[slot] = number
    index.stages[slot] = stage
    index.dead[slot] = 0
    header[Header.HEAD_GAME] += 1
    header[Header.HEAD_POSITION] += plies - openings
    header[Header.HEAD_BYTE] = place + len(piece)
    header[Header.USED_BYTES] += len(piece)
    _count_live(index, header, slot, 1, snapshot_interval)


@njit(cache=True, nogil=True)
def _pass_dead(index: Index, header: NDArray[np.int64]) -> None:
    """Moves the tail over the dead games before the oldest live one, whose bytes come free."""
    slots = len(index.dead)
    while header[Header.TAIL_GAME] < header[Header.HEAD_GAME]:
        slot = header[Header.TAIL_GAME] % slots
        if not index.dead[slot]:
            return
        header[Header.USED_BYTES] -= index.sizes[slot]
        _pass_tail(index, header)


@njit(cache=True, nogil=True)
def is_crowded(header: NDArray[np.int64], size: int, usable_bytes: int, slots: int) -> bool:
    """Whether the tail has to move on before a piece of ``size`` bytes may come in.

    Its bytes must be there, a slot beside one that a copy needs, and not too many dead positions.
    """
    dead = header[Header.HEAD_POSITION] - header[Header.TAIL_POSITION] - header[Header.LIVE_POSITIONS]
    crowded: bool = (
        header[Header.USED_BYTES] + size > usable_bytes
        or header[Header.HEAD_GAME] - header[Header.TAIL_GAME] > slots - 2
        or dead > DEAD_SHARE * header[Header.LIVE_POSITIONS]
    )
    return crowded


@njit(cache=True, nogil=True)
def move_tail(
    index: Index,
    data: NDArray[np.uint8],
    numbers: NDArray[np.int64],
    rings: NDArray[np.int64],
    count: int,
    header: NDArray[np.int64],
    size: int,
    usable_bytes: int,
) -> None:
    """Moves the tail on in ``header`` until it `is_crowded` no more: over dead games, and over live ones by copying
    them to the head under the next ring number, which ``rings`` int64 [count] then has for their number in ``numbers``.

    It ends before that where the next copy would need a byte or a slot of a game from the tail on as it was before the
    call: publish ``header`` then, and call again. The first game is always passed.
    """
    slots = len(index.dead)
    first = header[Header.TAIL_GAME]
    start = index.offsets[first % slots]
    while is_crowded(header, size, usable_bytes, slots):
        slot = header[Header.TAIL_GAME] % slots
        if index.dead[slot]:
            header[Header.USED_BYTES] -= index.sizes[slot]
            _pass_tail(index, header)
            continue
        piece_bytes = np.int64(index.sizes[slot])
        place = find_place(start, header[Header.HEAD_BYTE], piece_bytes, header[Header.RING_BYTES])
        if place < 0 or header[Header.HEAD_GAME] - first >= slots:
            return
        old = index.offsets[slot]
        _copy_bytes(data[place : place + piece_bytes], data[old : old + piece_bytes])
        new = header[Header.HEAD_GAME] % slots
        index.starts[new] = header[Header.HEAD_POSITION]
        index.offsets[new] = place
        index.plies[new] = index.plies[slot]
        index.openings[new] = index.openings[slot]
        index.sizes[new] = index.sizes[slot]
        index.numbers[new] = index.numbers[slot]
        index.stages[new] = index.stages[slot]
        index.dead[new] = 0
        rings[find_number(numbers, count, index.numbers[slot])] = header[Header.HEAD_GAME]
        header[Header.HEAD_GAME] += 1
        header[Header.HEAD_POSITION] += index.plies[slot] - index.openings[slot]
        header[Header.HEAD_BYTE] = place + piece_bytes
        _pass_tail(index, header)
