"""What a sampled batch is made of, and the buffers it is decoded into.

A batch of B samples with U unroll steps is a dict of arrays:

    codes    int8    [B, C]          the start positions, as their movers see them
    policy   float32 [B, U + 1, A]   search policies of the start and the U plies after it, each in its mover's frame
    values   float32 [B, U + 1, S]   value targets in [-1, 1]; entry k is for the seat k after the step's mover
    actions  int16   [B, U]          what was played at each step, in the frame of that step's mover
    mask     float32 [B, U + 1]      1 where the step is a position of the game; after its end all else is 0

The value target of a ply is the game's outcome, or with td_steps = n > 0 the search's root value n plies later
(outcome where the game is over by then): the n-step return of the MuZero paper (arXiv:1911.08265, appendix G) in games
without rewards and discount, by seat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Shapes
from hexpipe.records import MAX_CODE, STEPS_PER_OCTAVE
from hexpipe.replay.kernels import Samples

Batch = dict[str, NDArray[Any]]


def batch_shapes(shapes: Shapes, batch_size: int, unroll_steps: int) -> dict[str, tuple[type[Any], tuple[int, ...]]]:
    """Dtype and shape of every array of a batch."""
    steps = unroll_steps + 1
    return {
        "codes": (np.int8, (batch_size, shapes.code_length)),
        "policy": (np.float32, (batch_size, steps, shapes.num_actions)),
        "values": (np.float32, (batch_size, steps, shapes.num_seats)),
        "actions": (np.int16, (batch_size, unroll_steps)),
        "mask": (np.float32, (batch_size, steps)),
    }


def allocate_batch(shapes: Shapes, batch_size: int, unroll_steps: int = 0) -> Batch:
    """Arrays for a batch, contents undefined; give them to ``sample_batch(out=...)`` again and again."""
    return {
        name: np.empty(shape, dtype) for name, (dtype, shape) in batch_shapes(shapes, batch_size, unroll_steps).items()
    }


def check_batch(batch: Batch, shapes: Shapes, batch_size: int, unroll_steps: int) -> None:
    """Raises ValueError unless ``batch`` holds the arrays of `allocate_batch`."""
    for name, (dtype, shape) in batch_shapes(shapes, batch_size, unroll_steps).items():
        array = batch[name]
        if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
            raise ValueError(
                f"out[{name!r}] must be C-contiguous {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}"
            )


def samples_into(batch: Batch, board_cells: int) -> Samples:
    """The kernels' view of ``batch``, with scratch arrays for absolute cells, views, plies and game numbers."""
    count = len(batch["codes"])
    return Samples(
        cells=np.empty((count, board_cells), np.int8),
        views=np.empty(count, np.int8),
        plies=np.empty(count, np.int32),
        policy=batch["policy"],
        values=batch["values"],
        actions=batch["actions"],
        mask=batch["mask"],
        games=np.empty(count, np.int64),
        intact=np.empty(count, np.bool_),
    )


def code_weights() -> NDArray[np.float32]:
    """What each policy code stands for, 2 ** (-code / 16): float32 [256]."""
    return np.exp2(np.arange(MAX_CODE + 1, dtype=np.float32) / -STEPS_PER_OCTAVE)
