"""`hexpipe train`: self-play, replay buffer and learner in turn in one process, reproducible bit for bit from the seed.

The parts are those of `hexpipe run`; the loop is synchronous (each step samples its batch, then trains on it), the net
runs eagerly in float32, torch has one thread and deterministic algorithms. New weights play from the next leaf on. Two
runs of the same settings on the same machine end in the same weights and archive, provided that they end by
``limits.steps`` or ``limits.games``: a limit of minutes, or a resume, depends on the clock.

With ``learner.checkpoint_steps`` a run that was stopped at such a checkpoint and resumed ends like one that was not:
running games are played to their ends before it, and all parts restart after it from disk, stopped or not.

With a league the opponents are checkpoints of the run folder too, but their choice does not depend on the clock
(`league_serial`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from hexpipe.config import Settings
from hexpipe.config.limits import limit_reached, share_done
from hexpipe.errors import DivergedError, GoneError, HexpipeError, NotFiniteError
from hexpipe.games.factory import make_games_of_net, make_stages
from hexpipe.games.game_env import Game
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator
from hexpipe.learner.batches import training_batch
from hexpipe.learner.paced import PacedLearner
from hexpipe.learner.prefetch import batch_rng
from hexpipe.nets.backend_latent import LatentBackend
from hexpipe.nets.backend_torch import EagerBackend
from hexpipe.nets.checkpoints import load_checkpoint, newest_whole
from hexpipe.nets.net_template import check_fit, net_template
from hexpipe.pipeline.league_serial import SerialLeague
from hexpipe.pipeline.preparation import check_games, check_stages, stage_of
from hexpipe.presence import Presence
from hexpipe.processes.machine import available_cores, visible_gpus
from hexpipe.random_streams import Stream, generator, stream
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.smaller_boards import smaller_games
from hexpipe.roles.plan import GROUPS, plan_processes
from hexpipe.roles.replay import GameKeeper
from hexpipe.roles.segments import pool_shape
from hexpipe.run_folder import ARCHIVE_NAME, RunFolder
from hexpipe.search.evaluator import Evaluator
from hexpipe.selfplay.old_games import OldGameSearch
from hexpipe.selfplay.self_play import SelfPlay
from hexpipe.watch.metrics import MetricsWriter
from hexpipe.watch.trackers import check_trackers

logger = logging.getLogger(__name__)

METRICS_SECONDS = 2.0


@dataclass(frozen=True)
class TrainProgress:
    """The state of training. ``losses`` are means over the steps since the last report, empty before the first step.

    ``league_share``: the newest net's mean win share in the last ``league_games`` games of the league. ``stage`` of the
    curriculum in words, empty without one.
    """

    elapsed: float
    games: int
    positions: int
    steps: int
    losses: dict[str, float]
    league_share: float = 0.0
    league_games: int = 0
    stage: str = ""


def train(
    settings: Settings,
    folder: RunFolder,
    init_from: Path | None = None,
    on_progress: Callable[[TrainProgress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = logger.info,
) -> TrainProgress:
    """Train in ``folder``, resuming the run in it, until a limit is reached or ``should_stop()``.

    ``init_from`` is a checkpoint, or a run, whose weights a new run starts from. ``on_progress`` is called every two
    seconds and at the end. The settings are written to the folder; a checkpoint is saved at the end, and every
    ``learner.checkpoint_minutes``. ``say`` gets messages: which checkpoint is resumed, and which are damaged. Raises
    SettingsError, CheckpointError or ArchiveError for mismatches, GoneError if the folder or the archive was moved
    away; a new run that cannot begin leaves nothing behind.
    """
    start, metrics = time.monotonic(), None
    with deterministic_torch(), ExitStack() as open_files:
        while True:
            try:
                trainer = _Trainer(settings, folder, init_from, start, say)
            except (HexpipeError, KeyboardInterrupt):
                folder.discard_if_empty()
                raise
            with closing(trainer):
                if metrics is None:
                    say, metrics = logger.info, open_files.enter_context(closing(MetricsWriter(folder.path, settings)))
                try:
                    ended = trainer.run(metrics, on_progress, should_stop)
                except NotFiniteError as error:  # caused by its own training, not by a file
                    raise DivergedError(str(error)) from error
            if ended is not None:
                return ended


@contextmanager
def deterministic_torch() -> Iterator[None]:
    """Set one thread and deterministic algorithms within the block."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    # cuBLAS is deterministic only with its own workspace
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)


def _evaluator(settings: Settings, game: Game, device: str) -> LocalEvaluator | LocalLatentEvaluator:
    """Return the evaluator of the net in this process, without the timing of backends."""
    pool = pool_shape(settings)
    if pool is None:
        backend = EagerBackend(settings.net, game.shapes, device=device)
        return LocalEvaluator(backend, game.shapes, max_batch=settings.inference.max_batch)
    net = LatentBackend(settings.net, game.shapes, GROUPS * pool.rows, "float32", device)
    return LocalLatentEvaluator(net, game.shapes, pool, groups=GROUPS)


class _Trainer:
    """The parts of a run and the loop over them."""

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder,
        init_from: Path | None,
        start: float,
        say: Callable[[str], None],
    ) -> None:
        whole, self.stage = settings, stage_of(settings, folder.path)
        settings = settings.at_stage(self.stage)
        self.settings, self.folder = settings, folder
        self.start = start  # monotonic seconds
        stages = make_games_of_net(settings)
        self.game = stages[-1]
        device = plan_processes(settings, available_cores(), visible_gpus()).learner_devices[0]
        self.buffer = ReplayBuffer.create(settings.replay, stages, private=True)
        checkpoint = newest_whole(folder.path, say)
        start_from = load_checkpoint(init_from, groups=("ema", "model")) if checkpoint is None and init_from else None
        wanted = dict(net_template(settings.net, self.game.shapes))
        for found in filter(None, (checkpoint, start_from)):  # before such a net is built: it may be of any size
            check_fit(wanted, found.play_weights, settings.net)
        self.paced = PacedLearner(
            settings, self.game.shapes, self.buffer, folder.path, device, resume=checkpoint, init_from=start_from
        )
        self.learner = self.paced.learner
        if checkpoint is not None:
            say(f"goes on from {checkpoint.path.name}")
        check_games(settings, folder.path)
        check_stages(settings)
        check_trackers(settings.tracking)
        # nothing is written before here: a failed start leaves no run behind
        self.archive = ReplayArchive(folder.path / ARCHIVE_NAME, make_stages(settings))
        try:
            self.presence = Presence(folder.path, self.archive.path)
            self.buffer.refill(self.archive, before=smaller_games(settings, self.archive))
            self.paced.restore_budget()
            folder.write_settings(whole)
            self.keeper = GameKeeper(settings, self.archive, self.buffer)
            self.evaluators: list[LocalEvaluator | LocalLatentEvaluator] = []
            self.finished: list[GameRecord] = []
            self.league: SerialLeague | None = None
            self.reanalysis: OldGameSearch | None = None
            self.refreshed_positions = 0
            self.selfplay = self._begin_play(stages, device) if settings.plays else None
        except BaseException:
            self.archive.close()
            raise
        self.first_step = self.learner.steps
        self.skipped_steps = 0.0

    def _begin_play(self, stages: Sequence[Game], device: str) -> SelfPlay:
        """Set up self-play, with the league and reanalysis."""
        settings = self.settings
        # old games have their own: their waiting searches must not keep play from new weights
        count = 1 + (settings.reanalyze.ratio > 0)
        self.evaluators += [_evaluator(settings, self.game, device) for _ in range(count)]
        self._load_weights()
        evaluator: Evaluator = self.evaluators[0]
        if settings.league.share:
            opponent = _evaluator(settings, self.game, device)
            self.league = SerialLeague(opponent, self.folder.path, settings.seed, self.buffer.total_games)
            self.league.draw(self.learner.ema_weights())
            evaluator = self.league.against(evaluator)
        if settings.reanalyze.ratio:
            self.reanalysis = self._search_old_games(self.evaluators[1])
        # a resumed run must not repeat the games of its first part
        seed = stream(Stream.TRAIN_SELFPLAY, settings.seed, self.buffer.total_games)
        return SelfPlay(
            stages, settings, evaluator, seed, self.finished.append, stage=lambda: self.keeper.curriculum.stage
        )

    def _search_old_games(self, evaluator: LocalEvaluator | LocalLatentEvaluator) -> OldGameSearch:
        settings, buffer = self.settings, self.buffer
        self.positions_before = buffer.total_positions

        def put_back(number: int, record: GameRecord) -> None:
            if buffer.refresh_game(number, record):
                self.refreshed_positions += record.num_positions

        rng = generator(Stream.TRAIN_REANALYZE, settings.seed, buffer.total_games)
        search = partial(OldGameSearch, settings, self.game, buffer, self.archive, evaluator, rng, put_back)
        # latents of ended searches hold no weights
        return search(on_idle=evaluator.release) if isinstance(evaluator, LocalLatentEvaluator) else search()

    def close(self) -> None:
        self.archive.close()

    def run(
        self,
        metrics: MetricsWriter,
        on_progress: Callable[[TrainProgress], None],
        should_stop: Callable[[], bool],
    ) -> TrainProgress | None:
        """Train to the end, or to a checkpoint by steps or at the end of a leg: then return None, and another trainer
        resumes from it.

        GoneError if the folder or the archive was moved away; after a checkpoint if the folder is there.
        """
        try:
            return self._run(metrics, on_progress, should_stop)
        except GoneError:
            self.folder.presence.check()  # a lost folder comes before a lost archive: no checkpoint then
            self._save()
            raise

    def _run(
        self,
        metrics: MetricsWriter,
        on_progress: Callable[[TrainProgress], None],
        should_stop: Callable[[], bool],
    ) -> TrainProgress | None:
        saved = reported = time.monotonic()
        while not (self._at_limit() or should_stop()):
            if self.selfplay is not None:
                self.selfplay.step()
                self._keep_games()
            if self.reanalysis is not None:
                new = self.buffer.total_positions - self.positions_before
                while self.reanalysis.step(new, self.learner.steps) and not should_stop():
                    pass
            self._train_allowed(should_stop)
            now = time.monotonic()
            if self.league is not None:
                self._change_opponent(self.league)
            elif now - saved >= 60.0 * self.settings.learner.checkpoint_minutes:
                saved = now
                self._save()
            if now - reported >= METRICS_SECONDS:
                reported = now
                self.presence.check()
                self._report(metrics, on_progress)
            if (self._checkpoint_due() or self._leg_over()) and self._drain(should_stop):
                self._save()
                self._report(metrics, on_progress)
                return None
        self.presence.check()
        self._save()
        return self._report(metrics, on_progress)

    def _checkpoint_due(self) -> bool:
        steps = self.settings.learner.checkpoint_steps
        due = steps > 0 and self.learner.steps // steps > self.first_step // steps
        return due and self.learner.healthy

    def _leg_over(self) -> bool:
        """Return whether the next stage, which has begun, is another game for the net."""
        return self.settings.plays_in_legs and self.keeper.curriculum.stage > self.stage

    def _drain(self, should_stop: Callable[[], bool]) -> bool:
        """Play the running games to their ends; return False if that was stopped."""
        if self.selfplay is None:
            return True
        self.selfplay.drain()
        while not (self.selfplay.done or should_stop()):
            self.selfplay.step()
            self._keep_games()
        return self.selfplay.done

    def _change_opponent(self, league: SerialLeague) -> None:
        if league.due(self.buffer.total_games):
            self._save()
            league.draw(self.learner.ema_weights())

    def _at_limit(self) -> bool:
        minutes = (time.monotonic() - self.start) / 60
        return bool(limit_reached(self.settings.limits, minutes, self.buffer.total_games, self.learner.steps))

    def _keep_games(self) -> None:
        if self.finished:
            self.keeper.keep(self.finished)
            self.keeper.look_at_stage()
            self.finished.clear()

    def _train_allowed(self, should_stop: Callable[[], bool]) -> None:
        """Do the steps that the games so far pay for, then load the new weights for play."""
        before, allowed = self.learner.steps, self.paced.steps_allowed()
        while self.learner.steps < before + allowed and not (self._at_limit() or should_stop()):
            rng = batch_rng(self.settings.seed, self.learner.steps)
            batch = training_batch(self.buffer, self.game, self.settings, self.settings.learner.batch_size, rng)
            self.paced.step(batch, self._progress())
        if self.learner.steps > before:
            self._load_weights()

    def _load_weights(self) -> None:
        for evaluator in self.evaluators:
            evaluator.load(self.learner.steps, self.learner.ema_weights())

    def _progress(self) -> float:
        """Return the share of the run that is over, by limits that do not depend on the clock."""
        return share_done(self.settings.limits, games=self.buffer.total_games, steps=self.learner.steps) or 0.0

    def _save(self) -> None:
        if self.paced.recovery.may_save():
            logger.info("checkpoint %s", self.learner.save(self.folder.path, self.paced.extra()))

    def _report(self, metrics: MetricsWriter, on_progress: Callable[[TrainProgress], None]) -> TrainProgress:
        losses = self.paced.drain_losses()
        if losses:
            self.skipped_steps += losses.pop("skipped_steps")
            for name, known in (("threat_loss", self.game.shapes.threats), ("focus_loss", self.game.shapes.thumbnail)):
                if not known:
                    losses.pop(name, None)
        buffer = self.buffer
        elapsed = time.monotonic() - self.start
        league = self.keeper.curriculum.shares
        progress = TrainProgress(
            elapsed, buffer.total_games, buffer.total_positions, self.learner.steps, losses, league.mean, league.games,
            self.keeper.stage_in_words,
        )  # fmt: skip
        metrics.write(
            {
                "time": time.time(),
                "elapsed": round(elapsed, 3),
                "games": progress.games,
                "positions": progress.positions,
                "steps": progress.steps,
                "replay_games": buffer.num_games,
                "replay_positions": buffer.num_positions,
                **({} if self.reanalysis is None else {"refreshed": self.refreshed_positions}),
                **({"learning_rate": self.learner.learning_rate} if losses else {}),
                **({"skipped_steps": self.skipped_steps} if self.skipped_steps else {}),
                **({"recoveries": self.paced.recovery.count} if self.paced.recovery.count else {}),
                **({"league_share": league.mean} if league.games else {}),
                **({"stage": self.keeper.curriculum.stage + 1} if self.settings.curriculum.stages else {}),
                **losses,
            }
        )
        on_progress(progress)
        return progress
