"""Choice of self-play's moves from a search's results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_rows(weights: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a column index int32[k] for each row of ``weights`` float[k, A], with probability ~ weight.

    Weights are nonnegative and every row has a positive one.
    """
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    points = rng.random((len(weights), 1)) * cumulative[:, -1:]
    # the first column whose cumulative weight is above the point; rounding may leave none, then the last with weight
    chosen = (cumulative <= points).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
    drawn: NDArray[np.int32] = np.minimum(chosen, last).astype(np.int32)
    return drawn


def choose_moves(
    policy: NDArray[np.float32],
    best: NDArray[np.int32],
    temperatures: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Return a move int32[k] for each game: drawn ~ policy ** (1 / temperature), or ``best`` where that is 0.

    ``temperatures`` is float32[k].
    """
    moves = best.copy()
    drawn = temperatures > 0
    if drawn.any():
        chosen = policy[drawn]
        shares = chosen / chosen.max(axis=1, keepdims=True)
        moves[drawn] = sample_rows(shares ** (1 / temperatures[drawn, None]), rng)
    return moves
