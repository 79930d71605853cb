"""The batch of one training step: sampled and augmented."""

from __future__ import annotations

import numpy as np

from hexpipe.config import Settings
from hexpipe.games.game_env import Game
from hexpipe.replay.data_augment import apply_board_augment
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.targets import Batch


def training_batch(
    buffer: ReplayBuffer, game: Game, settings: Settings, batch_size: int, rng: np.random.Generator
) -> Batch:
    """Sample ``batch_size`` positions as ``settings`` ask: unrolled for learned dynamics, augmented by a symmetry."""
    learner = settings.learner
    unroll = learner.unroll_steps if settings.algorithm == "muzero" else 0
    batch = buffer.sample_batch(batch_size, rng, unroll, observations=unroll > 0 and learner.consistency_weight > 0)
    if learner.augment:
        apply_board_augment(batch, game, rng)
    return batch
