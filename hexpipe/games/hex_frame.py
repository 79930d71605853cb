"""A game of Hex on a small board as one on a larger board, which is the same to the players.

The cells around the small board are stones of the opening: Black's above and below, White's to the left and right, so
that an edge of the small board is joined to the large board's edge of the same colour. The rest is the small game, move
by move. So games of smaller boards can be learned from on a larger one.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord, pack_policies, unpack_policies


class Frame(NamedTuple):
    """A small board within a large one: ``opening`` int16 [K], K even, the stones around it, Black's and White's in
    turn; ``cells`` int16 [n * n], the large board's cell of each of the small one's."""

    opening: NDArray[np.int16]
    cells: NDArray[np.int16]


@cache
def make_frame(small: int, large: int) -> Frame:
    """Return the frame of a board of ``small`` cells a side in one of ``large``."""
    first = before = (large - small + 1) // 2
    size, rounds = small, []
    while size < large:
        if (size - small) % 2 == 0:  # a row above and a column to the left, else below and to the right
            before -= 1
            line, start = before, before + 1
        else:
            line, start = before + size, before
        # the new corner touches no cell of the board within: it stays empty
        along = np.arange(start, start + size)
        rounds.append(np.stack((line * large + along, along * large + line), axis=1).ravel())
        size += 1
    inside = np.arange(first, first + small)
    opening = np.concatenate(rounds) if rounds else np.zeros(0)
    return Frame(opening.astype(np.int16), (inside[:, None] * large + inside).ravel().astype(np.int16))


def framed(record: GameRecord, large: int) -> GameRecord:
    """Return a ``record`` of Hex without swap as a game on a board of ``large`` cells a side: its opening is longer.

    ValueError where the game is another, has the swap rule, or a larger board.
    """
    if record.game != Hex.name or record.swap or record.board_size > large:
        raise ValueError(f"only games of Hex up to {large}x{large} without swap can be framed")
    frame, num_actions = make_frame(record.board_size, large), large * large
    count, plies = len(frame.opening), record.num_plies
    policies, actions = np.zeros((count + plies, num_actions), np.float32), frame.cells[record.actions]
    policies[np.arange(count), frame.opening] = 1
    policies[count:, frame.cells] = unpack_policies(record.policy_offsets, record.policy_bytes, record.num_actions)
    known: NDArray[np.bool_] = policies.sum(axis=1) > 0
    policies[count:][~known[count:], actions[~known[count:]]] = 1
    offsets, packed = pack_policies(policies, known)
    turns = np.arange(count, dtype=np.int8) % 2
    return dataclasses.replace(
        record,
        board_size=large,
        num_actions=num_actions,
        actions=np.concatenate((frame.opening, actions)),
        seats=np.concatenate((turns, record.seats)),
        views=np.concatenate((turns, record.views)),
        root_values=np.concatenate((np.zeros((count, 2), np.float32), record.root_values)),
        policy_offsets=offsets,
        policy_bytes=packed,
        opening_plies=count + record.opening_plies,
    )
