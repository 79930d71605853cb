"""The arrays of a sampled batch.

A batch of B samples with U unroll steps is a dict of arrays:

    codes       int8    [B, C]          the start positions, as their movers see them
    policy      float32 [B, U + 1, A]   search policies of the start and the U plies after it, each in its mover's frame
                                        and all in the start's local view
    values      float32 [B, U + 1, S]   value targets in [-1, 1]; entry k is for the seat k after the step's mover
    rewards     float32 [B, U, S]       the game's outcome where the step's action ended it, else 0; in the frame of the
                                        next step's mover: entry k is for the seat 1 + k after the step's mover
    actions     int16   [B, U]          what was played at each step, in the frame of that step's mover; after the
                                        game's end drawn uniformly from all actions
    mask        float32 [B, U + 1]      1 where the step is a position of the game, 0 after its end or where the unroll
                                        was cut off before
    unrolled    float32 [B, U]          1 where the step that the action leads to has targets, be it a position or past
                                        the end; 0 where the unroll is cut off: nothing of that step counts
    threats     uint8   [B, U + 1]      only where a game has them: `LocalViewGame.threat_levels` of the position,
                                        two bits a seat from the mover on, lowest first
    focus       int16   [B, U + 1]      only where there is a thumbnail: its bucket (row * V + column) in which the move
                                        of the step was played; -1 where mask is 0, where the view does not move, of a
                                        seat that did not come first in its game, and of a start that is seen in the
                                        view of its own move, which gives it away
    weights     float32 [B]             importance weights, mean 1 (see `sampler`); all 1 where sampling is uniform
    games       int64   [B]             each start's game, by its number among all that the run ever played, from 1
    next_codes  int8    [B, U, C]       only with ``observations``: the positions after each action, as their movers see
                                        them (for a consistency loss: arXiv:2111.00210, section 4.1)

Where the local view moves, the share `LOOKING` of the samples is seen in the view of the move before them, as the next
seat sees the board when it is asked where to look (`Mcts.focus_after`) and as a search sees positions below its root.
Policies are cut to that view like those of an unroll, see below.

A terminal position is not learned from: the step after the last ply is past the end, and there policy, values, rewards,
mask, threats and next_codes are 0. An absorbing state has no further value, whatever is played in it (arXiv:1911.08265,
appendix G), hence the random actions.

Where the local view moves, an unroll is seen through the view of its start, because learned dynamics start from a
latent of that view. A later policy is the part of the search's within the view, normalized to the sum of 1; where that
is empty the row is 0, which has no cross-entropy. A move outside the view cannot be played in the latent, so the unroll
is cut off there: its action and those after it are drawn at random, ``unrolled`` is 0 from that action on, and the
later steps are 0 as past the end, but are not learned from.

The value target of a ply is the game's outcome, or with td_steps = n > 0 the TD(n) target: it bootstraps from the
search's root value n plies later (the outcome if the game is over by then). That is the n-step return of the MuZero
paper (arXiv:1911.08265, appendix G) in games without discount whose only reward is the outcome, by seat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Shapes
from hexpipe.records import MAX_CODE, STEPS_PER_OCTAVE, GameRecord
from hexpipe.replay.layout import PieceLayout
from hexpipe.replay.sample_kernels import Samples

Batch = dict[str, NDArray[Any]]

LOOKING = 0.25
"""Share of samples from which a net learns where to look, see above."""


def batch_shapes(
    shapes: Shapes, batch_size: int, unroll_steps: int, observations: bool = False
) -> dict[str, tuple[type[Any], tuple[int, ...]]]:
    """Return dtype and shape of every array of a batch."""
    steps = unroll_steps + 1
    arrays: dict[str, tuple[type[Any], tuple[int, ...]]] = {
        "codes": (np.int8, (batch_size, shapes.code_length)),
        "policy": (np.float32, (batch_size, steps, shapes.num_actions)),
        "values": (np.float32, (batch_size, steps, shapes.num_seats)),
        "rewards": (np.float32, (batch_size, unroll_steps, shapes.num_seats)),
        "actions": (np.int16, (batch_size, unroll_steps)),
        "mask": (np.float32, (batch_size, steps)),
        "unrolled": (np.float32, (batch_size, unroll_steps)),
        "weights": (np.float32, (batch_size,)),
        "games": (np.int64, (batch_size,)),
    }
    if shapes.threats:
        arrays["threats"] = (np.uint8, (batch_size, steps))
    if shapes.thumbnail:
        arrays["focus"] = (np.int16, (batch_size, steps))
    if observations:
        arrays["next_codes"] = (np.int8, (batch_size, unroll_steps, shapes.code_length))
    return arrays


def allocate_batch(shapes: Shapes, batch_size: int, unroll_steps: int = 0, observations: bool = False) -> Batch:
    """Allocate arrays for a batch, contents undefined; they can be reused as ``sample_batch(out=...)``."""
    arrays = batch_shapes(shapes, batch_size, unroll_steps, observations)
    return {name: np.empty(shape, dtype) for name, (dtype, shape) in arrays.items()}


def check_batch(batch: Batch, shapes: Shapes, batch_size: int, unroll_steps: int, observations: bool = False) -> None:
    """Raise ValueError unless ``batch`` holds the arrays of `allocate_batch`."""
    for name, (dtype, shape) in batch_shapes(shapes, batch_size, unroll_steps, observations).items():
        array = batch.get(name)
        if array is None:
            raise ValueError(f"out has no array {name!r}: make it with allocate_batch of the same arguments")
        if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
            raise ValueError(
                f"out[{name!r}] must be C-contiguous {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}"
            )


def samples_into(batch: Batch, layouts: Sequence[PieceLayout]) -> Samples:
    """Return the kernels' view of ``batch``, with further scratch arrays, for pieces of ``layouts``."""
    board_cells, snapshot_bytes, interval = (
        max(getattr(row, name) for row in layouts) for name in ("board_cells", "snapshot_bytes", "snapshot_interval")
    )
    if layouts[0].places_stones:
        snapshot_bytes = interval = 0
    count, unroll_steps = batch["actions"].shape
    nothing = np.empty((count, 0), np.uint8)
    return Samples(
        stages=np.empty(count, np.uint8),
        cells=np.empty((count, board_cells), np.int8),
        plies=np.empty(count, np.int32),
        origins=np.empty((count, 2), np.int16),
        views=np.empty((unroll_steps + 1, count), np.int8),
        moves=np.empty((unroll_steps, count), np.int32),
        policy=batch["policy"],
        values=batch["values"],
        rewards=batch["rewards"],
        actions=batch["actions"],
        mask=batch["mask"],
        unrolled=batch["unrolled"],
        threats=batch.get("threats", nothing),
        focus=batch.get("focus", nothing.astype(np.int16)),
        games=batch["games"],
        looking=np.zeros(count, np.bool_),
        rings=np.empty(count, np.int64),
        intact=np.empty(count, np.bool_),
        snapshots=np.empty((count, snapshot_bytes), np.uint8),
        beginnings=np.empty(count, np.int32),
        turns=np.empty(count, np.uint8),
        replayed=np.empty((count, interval), np.int16),
    )


def value_priorities(record: GameRecord, td_steps: int) -> NDArray[np.uint8]:
    """Return the priority of each ply as a code, uint8 [T]: a position's priority is (1 + code) / 256.

    It is |root value - value target| of the mover (arXiv:1911.08265, appendix G), halved to [0, 1] and rounded up to
    the next 1/256: it is never 0, so every position can be drawn.
    """
    errors = record.root_values - record.outcome
    searched = record.num_plies - td_steps if td_steps else 0  # plies whose target is a bootstrap value
    if searched > 0:
        errors[:searched] = record.root_values[:searched] - record.root_values[td_steps:]
    mine = np.abs(errors[np.arange(record.num_plies), record.seats])
    codes: NDArray[np.uint8] = np.minimum(mine * 128, 255).astype(np.uint8)
    return codes


def code_weights() -> NDArray[np.float32]:
    """Return the weight of each policy code, 2 ** (-code / 16): float32 [256]."""
    return np.exp2(np.arange(MAX_CODE + 1, dtype=np.float32) / -STEPS_PER_OCTAVE)
