"""The number of training steps that the positions so far allow: the replay ratio couples training to play.

    steps = anchor_steps + (total_positions - anchor_positions) * replay_ratio / batch_size

Each new position pays for ``replay_ratio`` samples, a step costs ``batch_size`` of them. Nothing is allowed until
``min_games`` games are there; then the positions of those games count too, so the ratio is exact over a whole run. The
anchor is (0, 0) in a new run. A checkpoint keeps it, so a resumed run goes on from it even when the ratio or the batch
size was changed; positions played after the checkpoint still count: the steps lost with a crash are done again.

Where nothing is played there is nothing to keep up with: steps are allowed one by one, without end. They are no debt to
later play, whose positions count from the steps that were done.
"""

from __future__ import annotations

from collections.abc import Mapping

from hexpipe.config import Settings
from hexpipe.errors import CheckpointError

_MOST = 2**53  # steps or positions


class StepBudget:
    """The budget of training steps that a run's positions pay for, over all its resumes."""

    def __init__(
        self,
        replay_ratio: float,
        batch_size: int,
        min_games: int,
        *,
        plays: bool = True,
        anchor_positions: int = 0,
        anchor_steps: float = 0.0,
    ) -> None:
        self.steps_per_position = replay_ratio / batch_size
        self.min_games = min_games
        self.plays = plays
        self.anchor_positions = anchor_positions
        self.anchor_steps = anchor_steps

    @classmethod
    def from_settings(cls, settings: Settings) -> StepBudget:
        """Make the budget of a new run."""
        learner = settings.learner
        return cls(learner.replay_ratio, learner.batch_size, settings.replay.min_games, plays=settings.plays)

    def steps_paid(self, total_positions: int) -> float:
        """Return the steps that ``total_positions`` (ever added in this run) pay for, from the run's start."""
        return self.anchor_steps + max(0, total_positions - self.anchor_positions) * self.steps_per_position

    def steps_allowed(self, num_games: int, total_positions: int, steps_done: int) -> int:
        """Return the steps allowed now, after ``steps_done`` in all, with ``num_games`` games in the buffer."""
        if not self.plays:
            return int(num_games > 0)
        if num_games < self.min_games:
            return 0
        return max(0, int(self.steps_paid(total_positions) - steps_done))

    def state(self, total_positions: int, steps_done: int) -> dict[str, float]:
        """Return the state for a checkpoint: a new anchor at ``total_positions``, never below the steps that were
        done."""
        return {"positions": total_positions, "steps": max(self.steps_paid(total_positions), steps_done)}

    def restore(self, state: Mapping[str, float], total_positions: int) -> None:
        """Restore a checkpoint's `state`. ``total_positions``: the counter's present value.

        If that is below the checkpoint's (the archive was thinned or is gone) counting restarts from it.
        CheckpointError if ``state`` is malformed.
        """
        try:
            steps, positions = float(state["steps"]), int(state["positions"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                "the checkpoint's state of the pacing is damaged; take an older one", kind="damaged"
            ) from error
        if not (0 <= steps < _MOST and 0 <= positions < _MOST):
            raise CheckpointError("the checkpoint's state of the pacing cannot be; take an older one", kind="damaged")
        self.anchor_steps = steps
        self.anchor_positions = min(positions, total_positions)
