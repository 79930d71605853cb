"""The league of `hexpipe train`: its opponent in the same process, without a clock.

A checkpoint is written and another opponent drawn after every `OPPONENT_GAMES` games, regardless of
``learner.checkpoint_minutes`` and ``league.minutes``, so that a run is reproducible bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator
from hexpipe.random_streams import Stream, generator
from hexpipe.roles.opponents import draw_checkpoint
from hexpipe.search.evaluator import Evaluator
from hexpipe.selfplay.league import LeagueEvaluator

OPPONENT_GAMES = 100


class SerialLeague:
    """The opponent of the net in training: one of the run's checkpoints, or its initial weights.

    ``games`` are those of the run so far.
    """

    def __init__(self, opponent: LocalEvaluator | LocalLatentEvaluator, run_dir: Path, seed: int, games: int) -> None:
        self._opponent = opponent
        self._run_dir = run_dir
        self._rng = generator(Stream.TRAIN_LEAGUE, seed, games)
        self._drawn = 0
        self._next = games + OPPONENT_GAMES

    def against(self, newest: Evaluator) -> LeagueEvaluator:
        """Return the evaluator of the opponent's and the ``newest`` net."""
        if isinstance(self._opponent, LocalLatentEvaluator):
            return LeagueEvaluator(newest, self._opponent, self._opponent.release)
        return LeagueEvaluator(newest, self._opponent)

    def due(self, games: int) -> bool:
        """Return whether another opponent is due after ``games`` games; then not again for a while."""
        if games < self._next:
            return False
        self._next = games + OPPONENT_GAMES
        return True

    def draw(self, first: Mapping[str, NDArray[np.float32]]) -> None:
        """Load one of the checkpoints, or ``first`` if there is none."""
        drawn = draw_checkpoint(self._run_dir, self._rng)
        self._drawn += 1
        self._opponent.load(self._drawn, first if drawn is None else drawn[1])
