"""The process that rates the run's checkpoints. It loads no net, and no torch, before there is one.

A scale begins with the weights of step 0, which its first checkpoint plays, and whose rating is 0. Where they cannot be
had any more (a run of an older hexpipe; the checkpoint that it was started from is gone), it begins with the oldest
checkpoint instead. A scale that has its 0 keeps it.
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
from hexpipe.roles.pace import Pace
from hexpipe.run_folder import RATINGS_NAME

if TYPE_CHECKING:  # some bring torch, and a child needs no more than its body does
    from hexpipe.nets.factory import Weights
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.rating_games import Corners
    from hexpipe.roles.segments import Segments

log = logging.getLogger(__name__)

_NICENESS = 10
_POLL_SECONDS = 1.0
_REST_SECONDS = 0.1  # between two looks at whether to stop


class _StoppedError(Exception):
    """The supervisor has asked this process to end: raised wherever it rests, which is after every batch."""


class CheckpointRatings:
    """Rates the newest checkpoint of ``run_dir``, one call of `rate_newest` after another, on the board of ``rules``.

    ``on_rating`` hears each rating with its checkpoint's step; ``on_match`` who plays whom. ``pace`` is kept.
    """

    def __init__(
        self,
        settings: Settings,
        rules: GameSettings,
        run_dir: Path,
        device: str,
        results: Results,
        pace: Pace,
        on_rating: Callable[[int, Rating], None],
        on_match: Callable[[str], None],
    ) -> None:
        self._settings, self._rules, self._run_dir, self._device = settings, rules, run_dir, device
        self._results, self._pace = results, pace
        self._on_rating, self._on_match = on_rating, on_match
        self._corners: Corners | None = None
        self._first: Weights | None = None  # of step 0, where this process has had to read them
        self._done = -1
        known = rated_steps(results, rules.title, settings.rating.simulations)
        if known:
            self._tell(known[-1])

    def rate_newest(self) -> bool:
        """Rate the newest checkpoint if that was not done and it has somebody to play; whether it had."""
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
        if self._corners is not None and self._done in self._corners.steps:
            there.add(self._done)  # it may be deleted, and is the first to be played
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
            if self._corners is None:
                from hexpipe.roles.rating_games import Corners

                self._corners = Corners(self._settings, make_game(self._rules), self._device, self._pace)
            self._on_match(f"step {step} against step {opponent}")
            if opponent == 0 and not rated_steps(self._results, rules, rating.simulations):
                self._on_rating(0, Rating(0.0, 0.0))
            try:
                self._corners.load(partial(self._weights, step, folders), step, keep=opponent)
                self._corners.load(partial(self._weights, opponent, folders), opponent, keep=step)
            except CheckpointError as error:  # most likely it was deleted just now
                log.warning("step %d does not play step %d: %s", step, opponent, error)
                return
            self._results.add_units(rules, self._corners.play(step, opponent, played))
        self._tell(step)

    def _read_first(self, folder: Path) -> Weights | None:
        """The weights of step 0, of which the checkpoint in ``folder`` knows; None where they cannot be had."""
        from hexpipe.roles.first_weights import weights_of_step_0

        try:
            meta = load_checkpoint(folder, groups=()).meta
            return weights_of_step_0(self._settings, make_game(self._rules).shapes, meta)
        except CheckpointError as error:
            log.info("the ratings begin with the first checkpoint: %s", error)
            return None

    def _weights(self, step: int, folders: dict[int, Path]) -> Weights:
        """Those of ``step``, read; CheckpointError where its checkpoint cannot be read, or was deleted."""
        if step == 0 and self._first is not None:
            return self._first
        if step not in folders:
            raise CheckpointError(f"the checkpoint of step {step} is gone", kind="missing")
        return load_checkpoint(folders[step], groups=("model", "ema")).play_weights

    def _tell(self, step: int) -> None:
        rating = rate_checkpoints(self._results, self._rules.title, self._settings.rating.simulations, step)[step]
        log.info("step %d: rating %+.0f, standard error %.0f", step, rating.elo, rating.error)
        self._on_rating(step, rating)
        self._pace.keep()


def rating_main(context: ChildContext, device: str) -> None:
    """Rate each new checkpoint, or the newest where they come faster than they are rated, until asked to stop."""
    os.nice(_NICENESS)
    row, settings = context.row, context.settings
    # the time of a GPU cannot be read: there all time counts that is not rest
    working = time.process_time if device == "cpu" else time.monotonic
    pace = Pace(settings.rating.share, lambda seconds: _rest(context, seconds, Waiting.WORKING), working)
    context.set_ready()
    try:
        with Results(context.run_dir / RATINGS_NAME) as results:
            stage, ratings = -1, None
            while True:
                with pace.off():
                    now = _stage(context)
                if now != stage:
                    stage, ratings = now, _begin(context, settings.stages[now], device, results, pace)
                if ratings is None or not ratings.rate_newest():
                    with pace.off():
                        _rest(context, _POLL_SECONDS, Waiting.NEXT_CHECKPOINT)
    except _StoppedError:
        row.beat(Waiting.STOPPING)


def _begin(context: ChildContext, rules: GameSettings, device: str, results: Results, pace: Pace) -> CheckpointRatings:
    row = context.row
    row["rated"] = row["rating_step"] = 0  # that of another stage is none of this one

    def on_rating(step: int, rating: Rating) -> None:
        row["rating_elo"], row["rating_elo_error"], row["rating_step"] = rating.elo, rating.error, step
        row["rated"] = 1

    def on_match(words: str) -> None:
        row.note = f"{rules.title}: {words}" if len(context.settings.stages) > 1 else words
        log.info("%s: %s", rules.title, words)

    return CheckpointRatings(context.settings, rules, context.run_dir, device, results, pace, on_rating, on_match)


def _stage(context: ChildContext) -> int:
    """The number of the curriculum's stage, from 0; it is waited for until replay knows it."""
    while len(context.settings.stages) > 1 and not context.state.stage:
        _rest(context, _POLL_SECONDS, Waiting.REFILL)
    return max(0, context.state.stage - 1)


def _rest(context: ChildContext, seconds: float, waiting: Waiting) -> None:
    """Wait so long, or until _StoppedError is raised."""
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
    from hexpipe.roles.segments import served_memory_bytes

    return 260_000_000 + 2 * served_memory_bytes(settings, game)


RATING: Role[Plan, Segments] = Role(
    "rating",
    "hexpipe.roles.rating:rating_main",
    counters=(
        "rating_elo",
        "rating_elo_error",  # standard error
        "rating_step",  # of the checkpoint that is rated so
        "rated",  # 1 once one is
    ),
    count=lambda settings, plan: int(plan.rating_device is not None),
    parts=_parts,
    own_bytes=_own_bytes,
    needed=False,
)
"""Plays each new checkpoint against earlier ones. A run goes on without it."""
