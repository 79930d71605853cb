"""Game records for tests, made without a search."""

from __future__ import annotations

import numpy as np

from hexpipe.records import GameRecord, pack_policies


def make_record(seed: int, board_size: int = 3) -> GameRecord:
    rng = np.random.default_rng(seed)
    actions = board_size * board_size
    plies = int(rng.integers(2 * board_size - 1, actions + 1))
    offsets, packed = pack_policies(rng.random((plies, actions), np.float32) + 0.01)
    outcome = np.array([1, -1], np.float32) * (1 if plies % 2 else -1)
    return GameRecord(
        game="hex",
        board_size=board_size,
        swap=False,
        num_seats=2,
        num_actions=actions,
        actions=rng.permutation(actions)[:plies].astype(np.int16),
        seats=(np.arange(plies) % 2).astype(np.int8),
        views=(np.arange(plies) % 2).astype(np.int8),
        root_values=np.zeros((plies, 2), np.float32),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=outcome,
        weights_version=seed,
        simulations=8,
    )
