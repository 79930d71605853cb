"""Positions that self-play misjudged, for later games to begin with.

A game tells where the search was wrong: its value of a position against the game's outcome, the *regret*. Games that
begin there go on where there is something to learn, which games from the empty board reach seldom (Trudeau and Bowling,
"Targeted search control in AlphaZero for effective policy improvement", AAMAS 2023, arXiv:2302.12359; regret as what
chooses: arXiv:2602.20809).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hexpipe.records import GameRecord
from hexpipe.selfplay.openings import Opening

LEAST_REGRET = 0.3
"""Regret below which a position is not remembered; that of a loss that looked like a win is 2."""
KEPT = 1000
"""Number of positions that are remembered: those of the last games."""
FIRST = 50
"""Number of positions to draw from at the least."""


class Revisits:
    """The last misjudged positions of one board, at most one a game, as the moves that led there."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._starts: deque[tuple[float, Opening]] = deque(maxlen=KEPT)

    def __len__(self) -> int:
        return len(self._starts)

    def note(self, moves: Opening, regrets: NDArray[np.float32]) -> None:
        """Remember one position of a finished game, drawn by the squares of ``regrets`` float32 [T], unless its regret
        is small. ``moves`` are the game's; a position's regret is at the number of moves before it."""
        weights = np.square(regrets.astype(np.float64))
        weights[:1] = 0  # games begin at the start anyway
        total = float(weights.sum())
        if total <= 0:
            return
        ply = int(self._rng.choice(len(weights), p=weights / total))
        if regrets[ply] >= LEAST_REGRET:
            self._starts.append((float(weights[ply]), moves[:ply]))

    def draw(self, count: int, share: float) -> list[Opening | None]:
        """Return the opening of each of ``count`` games: with probability ``share`` a remembered position, drawn by
        the square of its regret, else None, as for all while few are remembered."""
        if share == 0 or len(self._starts) < FIRST:
            return [None] * count
        chosen = self._rng.random(count) < share
        if not chosen.any():  # as at most calls: each is about a game or two
            return [None] * count
        weights = np.array([weight for weight, _ in self._starts])
        drawn = self._rng.choice(len(weights), count, p=weights / weights.sum())
        return [self._starts[i][1] if again else None for i, again in zip(drawn.tolist(), chosen.tolist(), strict=True)]


def regrets_of(record: GameRecord, known: Sequence[bool]) -> NDArray[np.float32]:
    """Return how far the values of the seats to move were from the outcome, float32 [T]: 0 in the opening, and where
    not ``known`` [T], for the search there was fast."""
    errors = np.abs(record.root_values - record.outcome)[np.arange(record.num_plies), record.seats]
    regrets: NDArray[np.float32] = np.where(known, errors, np.float32(0))
    regrets[: record.opening_plies] = 0
    return regrets
