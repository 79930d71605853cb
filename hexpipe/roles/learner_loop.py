"""The body of a learner process: training within its step budget, publishing of weights, checkpoints.

Several of them train together (`learner.distributed`): before each step they agree that all may do it, and only the
first publishes, checkpoints and reports.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hexpipe.config.limits import share_done
from hexpipe.errors import DiskFullError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.inference.weights import WeightsBoard
from hexpipe.learner.batches import training_batch
from hexpipe.learner.checkpoint_writer import CheckpointWriter
from hexpipe.learner.distributed import agree, ddp_wrap, rank_batch_size, rank_seed
from hexpipe.learner.paced import PacedLearner
from hexpipe.learner.prefetch import Prefetcher, default_threads
from hexpipe.nets.checkpoints import load_checkpoint, step_of
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.stats import Waiting
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.store import EmptyBufferError
from hexpipe.roles.first_weights import first_weights
from hexpipe.roles.segments import Start
from hexpipe.roles.solver_check import SolverCheck

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_EXPORT_SECONDS = 1.0
_BATCH_SECONDS = 1.0
_ROOM_SECONDS = 10.0
_PROGRESS_PARTS = 2**30


class LearnerLoop:
    """The work of one learner process from start to end."""

    def __init__(
        self, context: ChildContext, buffer: ReplayBuffer, weights: WeightsBoard, device: str, start: Start
    ) -> None:
        self.context, self.buffer, self.weights = context, buffer, weights
        self.settings, self.row = context.settings, context.row
        self.game: Game = make_game(self.settings.game)
        steps, first = first_weights(self.settings, self.game.shapes, start)
        self.row["steps"] = steps  # before the weights are published: from then on the run's figures are shown
        # a learner that died may have published newer weights than its last checkpoint's: they go on playing
        if context.number == 0 and steps + 1 > weights.latest_version:
            weights.publish(steps + 1, first)
            context.state.published = steps + 1
        self.row.beat(Waiting.STARTING)
        self.ranks = self.settings.learner.ranks
        wrap = ddp_wrap(torch.device(device)) if self.ranks > 1 else None
        resume = None if start.resume is None else load_checkpoint(start.resume)
        init_from = load_checkpoint(start.init_from) if resume is None and start.init_from is not None else None
        self.paced = PacedLearner(
            self.settings, self.game.shapes, buffer, context.run_dir, device, wrap, resume=resume, init_from=init_from
        )
        self.learner = self.paced.learner
        self._batch: dict[str, torch.Tensor] | None = None
        self._saved_step = self.learner.steps if start.resume is not None else -1
        self._writer = CheckpointWriter(context.run_dir, self.settings)
        self._next_export = 0.0
        self._next_checkpoint = time.monotonic() + self.settings.learner.checkpoint_minutes * 60
        self._retry_at = 0.0
        self._last_publish = time.monotonic()
        self._solver: SolverCheck | None = None

    def run(self) -> None:
        """Train until asked to stop, then write a checkpoint."""
        with self._writer:
            self._train()
            self.save()
            self.row.beat(Waiting.CHECKPOINT)
            self._note_written(self._writer.finish())

    def _train(self) -> None:
        # the step budget counts from the archive's totals
        if self.context.wait_until(lambda: self.context.state.of("replay-0").ready > 0, Waiting.REFILL):
            self.paced.restore_budget()
            # only now: the start of a run needs all cores
            if self.context.number == 0:
                self._solver = SolverCheck.create(self.game, self.settings.seed)
            with self._prefetcher() as prefetcher:
                # all learners of the run step together, or none does
                while (allowed := agree(self._allowed(prefetcher))) >= 0:
                    self._turn(prefetcher, allowed)
        else:
            agree(-1)

    def _allowed(self, prefetcher: Prefetcher) -> int:
        """Return the steps allowed now, with a batch ready for the first of them; -1 to end."""
        if self.context.stopping():
            return -1
        steps = self.paced.steps_allowed()
        if steps and self._batch is None:
            self.row.beat(Waiting.BATCH)
            if not prefetcher.ready(_BATCH_SECONDS):  # the buffer may be refilling, which can take minutes
                return 0
            try:
                self._batch = prefetcher.next()
            except EmptyBufferError:  # the run is to end before the refill is done
                return -1
            self.row.beat()
        return steps

    def _turn(self, prefetcher: Prefetcher, allowed: int) -> None:
        if not allowed or self._batch is None:
            self.row.beat(self._what_is_missing())
            time.sleep(_POLL_SECONDS)
        else:
            batch, self._batch = self._batch, None
            progress = agree(int(self._progress() * _PROGRESS_PARTS)) / _PROGRESS_PARTS  # one learning rate for all
            rolled_back = self.paced.step(batch, progress)
            self.row["steps"] = self.learner.steps
            if not self.context.me.ready:  # only now: a failure at the first step means that it has not worked yet
                self.context.set_ready()
            if rolled_back:
                self.row.add("recoveries", 1)
            self.row["wait_seconds"] = prefetcher.wait_seconds
        now = time.monotonic()
        if now >= self._next_export:
            self._next_export = now + _EXPORT_SECONDS
            self._export()
        if now - self._last_publish >= self.settings.learner.publish_seconds:
            self.publish()
        interval = self.settings.learner.checkpoint_steps
        due = interval > 0 and self.learner.steps // interval > max(0, self._saved_step) // interval
        if (due or now >= self._next_checkpoint) and now >= self._retry_at:
            self._next_checkpoint = now + self.settings.learner.checkpoint_minutes * 60
            self.save()
        self._tell(self._writer.written)

    def _what_is_missing(self) -> Waiting:
        if not self.context.state.of("replay-0").ready:
            return Waiting.REFILL
        return Waiting.MIN_GAMES if self.buffer.num_games < self.settings.replay.min_games else Waiting.POSITIONS

    def _prefetcher(self) -> Prefetcher:
        batch_size = rank_batch_size(self.settings.learner.batch_size, self.ranks)

        def sample(rng: np.random.Generator) -> Mapping[str, Any]:
            while True:
                state = rng.bit_generator.state
                try:
                    return training_batch(self.buffer, self.game, self.settings, batch_size, rng)
                except EmptyBufferError:  # a new replay process refills it
                    if self.context.stopping():
                        raise
                    rng.bit_generator.state = state
                    time.sleep(_POLL_SECONDS)

        return Prefetcher(
            sample,
            self.settings.learner.prefetch_threads or default_threads(self.learner.device),
            self.learner.device,
            rank_seed(self.settings.seed, self.context.number),
            first_index=self.learner.steps,
            timeout_seconds=self.settings.limits.stall_seconds,
        )

    def _progress(self) -> float:
        """Return the share of the run that is over, by the nearest limit; 0 without limits."""
        minutes = (time.monotonic() - self.context.run_started) / 60
        return share_done(self.settings.limits, minutes, self.buffer.total_games, self.learner.steps) or 0.0

    def _export(self) -> None:
        means = self.paced.drain_losses()
        if not means:
            return
        self.row.add("skipped_steps", means.pop("skipped_steps"))
        for name, mean in means.items():
            self.row[name] = mean
        self.row["learning_rate"] = self.learner.learning_rate

    def publish(self) -> None:
        """Publish the averaged weights for play if there was a step since the last time; versions are steps + 1."""
        if self.context.number > 0:
            return
        version = self.learner.steps + 1
        if version <= self.weights.latest_version:
            return
        self.weights.publish(version, self.learner.ema_weights())
        self._last_publish = time.monotonic()
        self.context.state.published = version
        if self._solver is not None and self.learner.steps:
            score = self._solver.score(self.learner.net, self.learner.device)
            if score is not None:
                self.row["solver_score"], self.row["solver_policy"] = score
                self.context.state.solved = sum(score) / 2

    def save(self) -> None:
        """Begin to write a checkpoint, unless this step has one or training is broken just now."""
        if self.context.number > 0 or self._saved_step == self.learner.steps:
            return
        if not self.paced.recovery.may_save():
            return
        self.row.beat(Waiting.CHECKPOINT)
        self._tell(self._writer.finish)
        self._writer.begin(self.learner.snapshot(self.paced.extra()))
        self._saved_step = self.learner.steps
        self.row.beat()

    def _tell(self, written: Callable[[], Path | None]) -> None:
        """Record what was written; if there was no room for it, report that and retry soon."""
        try:
            self._note_written(written())
        except DiskFullError as error:
            log.warning("%s", error)
            self.row.note = "no room for a checkpoint"
            self._saved_step = -1
            self._next_checkpoint = self._retry_at = time.monotonic() + _ROOM_SECONDS

    def _note_written(self, path: Path | None) -> None:
        if path is not None:
            self.row.note = ""
            self.row["checkpoint_step"] = step_of(path)
            log.info("wrote %s", path)
