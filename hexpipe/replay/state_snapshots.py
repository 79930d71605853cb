"""Snapshots of states of games that do more than place stones: arrays that the game names, in bits that it says.

Elements of 1, 2 or 4 bits are packed, several a byte and lowest bits first; wider ones are little-endian. Each array
begins at a byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.game_env import Game, States, snapshot_bits


def state_bytes(game: Game) -> int:
    """Return the bytes of a snapshot of ``game``; 0 where it is played anew from its start."""
    states = game.new_states(1)
    return sum(-(-getattr(states, name)[0].size * bits // 8) for name, bits in snapshot_bits(game).items())


def pack_states(game: Game, states: States, rows: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the snapshots of ``rows`` [L], uint8 [L, `state_bytes`]."""
    parts = [np.empty((len(rows), 0), np.uint8)]
    for name, bits in snapshot_bits(game).items():
        elements = getattr(states, name)[rows].reshape(len(rows), -1)
        if bits < 8:
            parts.append(_packed(elements.astype(np.uint8), bits))
        else:
            wide = np.ascontiguousarray(elements.astype(f"<i{bits // 8}"))
            parts.append(wide.view(np.uint8).reshape(len(rows), -1))
    return np.concatenate(parts, axis=1)


def unpack_states(game: Game, snapshots: NDArray[np.uint8], states: States, rows: NDArray[np.integer]) -> None:
    """Write the arrays of ``snapshots`` uint8 [L, `state_bytes` or more] into ``rows`` [L]; ply, seat and view are not
    in them."""
    at = 0
    for name, bits in snapshot_bits(game).items():
        array = getattr(states, name)
        shape = (len(rows), *array.shape[1:])
        size = array[0].size
        end = at + -(-size * bits // 8)
        part = np.ascontiguousarray(snapshots[:, at:end])
        array[rows] = (_unpacked(part, bits, size) if bits < 8 else part.view(f"<i{bits // 8}")).reshape(shape)
        at = end


def _packed(elements: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    each = 8 // bits
    padded = np.zeros((len(elements), -(-elements.shape[1] // each), each), np.uint8)
    padded.reshape(len(elements), -1)[:, : elements.shape[1]] = elements
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(padded << (bits * np.arange(each, dtype=np.uint8)), axis=2)
    return packed


def _unpacked(packed: NDArray[np.uint8], bits: int, size: int) -> NDArray[np.uint8]:
    shifts = bits * np.arange(8 // bits, dtype=np.uint8)
    elements: NDArray[np.uint8] = (packed[:, :, None] >> shifts) & np.uint8(2**bits - 1)
    return elements.reshape(len(packed), packed.shape[1] * len(shifts))[:, :size]  # -1 knows no size of no rows
