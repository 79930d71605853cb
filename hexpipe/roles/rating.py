"""The process that rates the run's checkpoints. It loads no net before there is a checkpoint.

The scale's zero is the rating of step 0's weights, which the first checkpoint plays. Where these are unavailable (a run
of an older hexpipe; the checkpoint that it was started from is gone), the scale begins with the oldest checkpoint. Once
set, the zero stays.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexpipe.arena.checkpoint_ratings import (
    choose_opponents,
    opponents_met,
    player_name,
    rate_checkpoints,
    rated_steps,
)
from hexpipe.arena.ratings import Rating
from hexpipe.arena.results import Results
from hexpipe.config import GameSettings, Settings
from hexpipe.errors import CheckpointError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint, step_of
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Role
from hexpipe.processes.stats import Waiting
from hexpipe.roles.throttle import Throttle
from hexpipe.run_folder import RATINGS_NAME

if TYPE_CHECKING:  # at run time a child imports only what its body needs
    from hexpipe.nets.plain_net import Weights
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.rating_games import NetPair
    from hexpipe.roles.segments import Segments

log = logging.getLogger(__name__)

_NICENESS = 10
_POLL_SECONDS = 1.0
_REST_SECONDS = 0.1  # between two checks for the request to stop


class _StoppedError(Exception):
    """The supervisor has asked this process to end: raised at each rest, which is after every batch."""


class CheckpointRatings:
    """Ratings of the newest checkpoint of ``run_dir``, one by each call of `rate_newest`, on the board of ``rules``.

    ``on_rating`` gets each rating with its checkpoint's step; ``on_match`` the pairing in words. ``throttle`` limits
    the work.
    """

    def __init__(
        self,
        settings: Settings,
        rules: GameSettings,
        run_dir: Path,
        device: str,
        results: Results,
        throttle: Throttle,
        on_rating: Callable[[int, Rating], None],
        on_match: Callable[[str], None],
    ) -> None:
        self._settings, self._rules, self._run_dir, self._device = settings, rules, run_dir, device
        self._results, self._throttle = results, throttle
        self._on_rating, self._on_match = on_rating, on_match
        self._nets: NetPair | None = None
        self._first: Weights | None = None  # of step 0, if this process had to read them
        self._done = -1
        known = rated_steps(results, rules.title, settings.rating.simulations)
        if known:
            self._tell(known[-1])

    def rate_newest(self) -> bool:
        """Rate the newest checkpoint unless that is done or it has no opponent; return whether it was rated."""
        folders = {step_of(folder): folder for folder in list_checkpoints(self._run_dir)}
        step = max(folders, default=-1)
        if step == self._done:
            return False
        opponents = self._opponents(step, folders)
        if not opponents:
            return False
        self._done = step
        for opponent in opponents:
            self._play(step, opponent, folders)
        return True

    def _opponents(self, step: int, folders: dict[int, Path]) -> list[int]:
        rules, rating = self._rules.title, self._settings.rating
        there = set(folders)
        if self._nets is not None and self._done in self._nets.steps:
            there.add(self._done)  # it may be deleted, and is the first opponent
        known = rated_steps(self._results, rules, rating.simulations)
        if not known and step > 0 and self._first is None:
            self._first = self._read_first(folders[step])
        if self._first is not None and (0 in known or not known):
            there.add(0)
        found = rate_checkpoints(self._results, rules, rating.simulations, known[-1]) if known else {}
        met = opponents_met(self._results, rules, rating.simulations, step)
        ratings = {rated: entry.elo for rated, entry in found.items()}
        return choose_opponents(step, there, ratings, met, rating.opponents)

    def _play(self, step: int, opponent: int, folders: dict[int, Path]) -> None:
        rules, rating = self._rules.title, self._settings.rating
        names = [player_name(each, rating.simulations) for each in (step, opponent)]
        played = self._results.units(rules, names)
        if len(played) < rating.pairs:
            if self._nets is None:
                from hexpipe.roles.rating_games import NetPair

                self._nets = NetPair(self._settings, make_game(self._rules), self._device, self._throttle)
            self._on_match(f"step {step} against step {opponent}")
            if opponent == 0 and not rated_steps(self._results, rules, rating.simulations):
                self._on_rating(0, Rating(0.0, 0.0))
            try:
                self._nets.load(partial(self._weights, step, folders), step, keep=opponent)
                self._nets.load(partial(self._weights, opponent, folders), opponent, keep=step)
            except CheckpointError as error:  # most likely just deleted
                log.warning("step %d does not play step %d: %s", step, opponent, error)
                return
            self._results.add_units(rules, self._nets.play(step, opponent, played))
        self._tell(step)

    def _read_first(self, folder: Path) -> Weights | None:
        """Return the weights of step 0, according to the checkpoint in ``folder``; None where they are unavailable."""
        from hexpipe.roles.first_weights import weights_of_step_0

        try:
            meta = load_checkpoint(folder, groups=()).meta
            shapes = make_game(self._rules).shapes
            return weights_of_step_0(self._settings, shapes, meta, self._throttle.wait)
        except CheckpointError as error:
            log.info("the ratings begin with the first checkpoint: %s", error)
            return None

    def _weights(self, step: int, folders: dict[int, Path]) -> Weights:
        """Read the weights of ``step``; CheckpointError where its checkpoint is unreadable or deleted."""
        if step == 0 and self._first is not None:
            return self._first
        if step not in folders:
            raise CheckpointError(f"the checkpoint of step {step} is gone", kind="missing")
        return load_checkpoint(folders[step], groups=("model", "ema")).play_weights

    def _tell(self, step: int) -> None:
        rating = rate_checkpoints(self._results, self._rules.title, self._settings.rating.simulations, step)[step]
        log.info("step %d: rating %+.0f, standard error %.0f", step, rating.elo, rating.error)
        self._on_rating(step, rating)
        self._throttle.wait()


def rating_main(context: ChildContext, device: str) -> None:
    """Rate each new checkpoint, or the newest where they come faster than they are rated, until asked to stop."""
    os.nice(_NICENESS)
    row, settings = context.row, context.settings
    # a GPU's busy time cannot be read: there all time outside rests counts
    working = time.process_time if device == "cpu" else time.monotonic
    throttle = Throttle(settings.rating.share, lambda seconds: _rest(context, seconds, Waiting.WORKING), working)
    context.set_ready()
    try:
        with Results(context.run_dir / RATINGS_NAME) as results:
            stage, ratings = -1, None
            while True:
                with throttle.paused():
                    now = _stage(context)
                if now != stage:
                    stage, ratings = now, _begin(context, settings.stages[now], device, results, throttle)
                if ratings is None or not ratings.rate_newest():
                    with throttle.paused():
                        _rest(context, _POLL_SECONDS, Waiting.NEXT_CHECKPOINT)
    except _StoppedError:
        row.beat(Waiting.STOPPING)


def _begin(
    context: ChildContext, rules: GameSettings, device: str, results: Results, throttle: Throttle
) -> CheckpointRatings:
    row = context.row
    row["rated"] = row["rating_step"] = 0  # another stage's rating is not this one's

    def on_rating(step: int, rating: Rating) -> None:
        row["rating_elo"], row["rating_elo_error"], row["rating_step"] = rating.elo, rating.error, step
        row["rated"] = 1

    def on_match(words: str) -> None:
        row.note = f"{rules.title}: {words}" if len(context.settings.stages) > 1 else words
        log.info("%s: %s", rules.title, words)

    return CheckpointRatings(context.settings, rules, context.run_dir, device, results, throttle, on_rating, on_match)


def _stage(context: ChildContext) -> int:
    """Wait until replay knows the curriculum's stage; return its number, from 0."""
    while len(context.settings.stages) > 1 and not context.state.stage:
        _rest(context, _POLL_SECONDS, Waiting.REFILL)
    return max(0, context.state.stage - 1)


def _rest(context: ChildContext, seconds: float, waiting: Waiting) -> None:
    """Wait for ``seconds`` with heartbeats; raises _StoppedError when asked to stop."""
    end = time.monotonic() + seconds
    while True:
        context.row.beat(waiting)
        if context.stopping():
            raise _StoppedError
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _REST_SECONDS))


def _parts(shared: Segments, number: int) -> dict[str, Any]:
    return {"device": shared.plan.rating_device}


def _own_bytes(settings: Settings, game: Game, plan: Plan) -> int:
    from hexpipe.roles.segments import net_process_bytes, served_memory_bytes

    return net_process_bytes(settings, plan.rating_device or "cpu") + 2 * served_memory_bytes(settings, game)


RATING: Role[Plan, Segments] = Role(
    "rating",
    "hexpipe.roles.rating:rating_main",
    counters=(
        "rating_elo",
        "rating_elo_error",  # standard error
        "rating_step",  # step of the rated checkpoint
        "rated",  # 1 once there is a rating
    ),
    count=lambda settings, plan: int(plan.rating_device is not None),
    parts=_parts,
    own_bytes=_own_bytes,
    needed=False,
)
"""The role that plays each new checkpoint against earlier ones. A run goes on without it."""
