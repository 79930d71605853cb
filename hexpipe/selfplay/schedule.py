"""Search and move settings of a game, ply by ply, read once when self-play begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Settings


class Schedule:
    """Simulations and temperatures of each ply. ``most_simulations`` is the maximum of a move.

    Early, middle and late in a game a search may have different numbers of simulations; moves are drawn with one
    temperature up to a ply and with another from there on. A Gumbel root uses none: its noise explores already.

    With ``selfplay.fast_share`` most moves are searched fast, without noise, and their policies are not learned from:
    more games, and more values to learn from, for the same evaluations (Wu, "Accelerating self-play learning in Go",
    2019, section 3.1, playout cap randomization).
    """

    def __init__(self, settings: Settings) -> None:
        search, selfplay = settings.search, settings.selfplay
        phases = search.phase_simulations
        self._phases = None if phases is None else np.array(phases, np.int32)
        self._phase_plies = np.array(search.phase_plies, np.int32)
        self.most_simulations = search.num_simulations if phases is None else max(phases)
        gumbel = search.root == "gumbel"
        self._temperature = np.float32(0 if gumbel else selfplay.temperature)
        self._late = np.float32(0 if gumbel else selfplay.temperature_late)
        self._temperature_plies = selfplay.temperature_plies
        self._exponent = np.float32(1 / selfplay.policy_temperature)
        self._fast_share = selfplay.fast_share
        self._fast = np.int32(min(selfplay.fast_simulations, self.most_simulations))

    def fast(self, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw which of ``count`` searches are fast, bool[count]."""
        if not self._fast_share:
            return np.zeros(count, np.bool_)
        return rng.random(count) < self._fast_share

    def simulations(self, plies: NDArray[np.int32], fast: NDArray[np.bool_]) -> NDArray[np.int32] | None:
        """Return simulations int32[k] of searches at ``plies`` int32[k], ``fast`` bool[k] or not; None where all have
        ``search.num_simulations``."""
        if self._phases is None:
            return np.where(fast, self._fast, self.most_simulations).astype(np.int32) if fast.any() else None
        chosen: NDArray[np.int32] = self._phases[np.searchsorted(self._phase_plies, plies, side="right")]
        return np.where(fast, np.minimum(self._fast, chosen), chosen)

    def temperatures(self, plies: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the temperature float32[k] of moves at ``plies`` int32[k]; 0: the best move is taken."""
        return np.where(plies < self._temperature_plies, self._temperature, self._late)

    def may_stop(self, plies: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return whether bool[k] searches at ``plies`` int32[k] may end once their best move, which is taken, is
        known."""
        late: NDArray[np.bool_] = plies >= self._temperature_plies
        return late if self._late == 0 else np.zeros_like(late)

    def targets(self, policy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the targets for the searches' ``policy`` float32[k, A]: policy ** (1 / temperature), rows summing to
        1."""
        if self._exponent == 1:
            return policy
        shares: NDArray[np.float32] = (policy / policy.max(axis=1, keepdims=True)) ** self._exponent
        shares /= shares.sum(axis=1, keepdims=True)
        return shares
