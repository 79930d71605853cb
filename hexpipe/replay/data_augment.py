"""Board symmetries of a sampled batch, applied in place: no array is copied."""

from __future__ import annotations

import numpy as np

from hexpipe.games.game_env import Game
from hexpipe.replay.augment_kernels import permute_samples
from hexpipe.replay.targets import Batch


def apply_board_augment(batch: Batch, game: Game, rng: np.random.Generator) -> None:
    """Transform each sample of ``batch`` (see `targets`) by a random symmetry of ``game``, in place.

    Codes, those of later steps too, policies, actions and focus of one sample are transformed together, as its local
    view and its board; all else stays. A symmetry has the same number in every mover's frame, so the steps of an unroll
    stay one game.
    """
    codes = batch["codes"][:, None]
    choice = rng.integers(0, len(game.symmetries), len(codes))
    permute_samples(
        codes,
        batch.get("next_codes", codes[:, :0]),
        batch["policy"],
        batch["actions"],
        batch.get("focus", batch["actions"][:, :0]),
        choice,
        game.symmetries,
        np.argsort(game.symmetries, axis=1).astype(np.int16),
        game.code_symmetries,
        np.empty(game.shapes.code_length, np.int8),
        np.empty(game.num_actions, np.float32),
    )
