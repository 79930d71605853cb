"""The body of a worker of bulk self-play: the net and the games in one process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from multiprocessing.connection import Connection

import numpy as np

from hexpipe.arena.engine import checkpoint_evaluator
from hexpipe.bulk.bulk_request import Counts, Report, Work
from hexpipe.bulk.game_files import FinishedGame
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.latents import PoolShape
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.processes.messages import ChildContext
from hexpipe.random_streams import Stream, generator, stream
from hexpipe.records import GameRecord
from hexpipe.replay.game_list import moves_of_record
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import nodes_per_game
from hexpipe.selfplay.openings import Opening, balanced_openings, random_openings
from hexpipe.selfplay.self_play import SelfPlay

_REPORT_SECONDS = 0.25
_POLL_SECONDS = 0.05
_GROUPS = 2
_OPENINGS_GROUP = 1  # of the evaluator; the searches are its first


def bulk_worker_main(context: ChildContext, work: Work, sender: Connection) -> None:
    """Play the games of ``work``, tell of them as they end, and wait to be stopped."""
    row, settings, request = context.row, context.settings, work.request
    game = make_game(settings.game)
    at_once = min(settings.selfplay.games_per_worker, len(work.numbers))
    learned = settings.algorithm == "muzero"
    pool = PoolShape(at_once, nodes_per_game(settings.search, learned))
    checkpoint = load_checkpoint(request.checkpoint, ("ema", "model"))
    local = checkpoint_evaluator(checkpoint, game, pool, request.device, groups=_GROUPS)
    evaluator: Evaluator = local
    cached: CachedEvaluator | None = None
    if request.cache_entries:
        evaluator = cached = CachedEvaluator(local, LRUCache(request.cache_entries, game.shapes), game.shapes)
    finished: list[FinishedGame] = []
    context.set_ready()
    play = SelfPlay(
        game,
        settings.model_copy(update={"selfplay": settings.selfplay.model_copy(update={"games_per_worker": at_once})}),
        evaluator,
        stream(Stream.BULK_GAMES, *work.stream),
        lambda record: finished.append(_finished_game(game, record)),
        groups=1,
        # unseen positions nearly all: they would only fill the cache
        openings=_openings(work, game, local, generator(Stream.BULK_OPENINGS, *work.stream), at_once),
    )

    def report() -> None:
        boards = play.stats.evaluations
        hits, repeats = (cached.hits, cached.repeats) if cached is not None else (0, 0)
        sender.send(Report(Counts(boards, hits, repeats, local.evals - (boards - hits - repeats)), finished))
        finished.clear()

    next_report = 0.0
    while not (play.done or context.stopping()):
        play.step()
        row.beat()
        if finished or time.monotonic() >= next_report:
            report()
            next_report = time.monotonic() + _REPORT_SECONDS
    report()
    while not context.stopping():
        row.beat()
        time.sleep(_POLL_SECONDS)


def _openings(
    work: Work, game: Game, evaluator: Evaluator, rng: np.random.Generator, at_once: int
) -> Iterator[Opening]:
    """Return an opening for each of the worker's games."""
    if work.listed:
        return (work.listed[number % len(work.listed)] for number in work.numbers)
    if work.request.openings == "random":
        endless = random_openings(game, work.request.opening_plies, rng, at_once)
    else:
        endless = balanced_openings(game, work.request.opening_plies, rng, evaluator, _OPENINGS_GROUP, at_once)
    return islice(endless, len(work.numbers))


def _finished_game(game: Game, record: GameRecord) -> FinishedGame:
    moves = tuple(moves_of_record([game], record))
    return FinishedGame(moves, tuple(record.outcome.tolist()), record.opening_plies)
