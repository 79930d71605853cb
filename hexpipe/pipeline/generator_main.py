"""The body of a self-play generator. It must never import torch, neither here nor in anything it imports."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.factory import make_game
from hexpipe.inference.client import CachedEvaluator, InferenceClient
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.inference.slots import InferenceSlots
from hexpipe.pipeline.messages import ChildContext
from hexpipe.pipeline.outbox import Outboxes
from hexpipe.pipeline.stats import ProcessRow, Waiting
from hexpipe.records import GameRecord
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.self_play import SelfPlay

_EXPORT_SECONDS = 0.25


class WatchedEvaluator:
    """Notes on the stats board while its process waits for the inference server, and the newest version it saw."""

    def __init__(self, evaluator: Evaluator, row: ProcessRow) -> None:
        self._evaluator = evaluator
        self._row = row

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        self._evaluator.submit(group, codes, moves)

    def collect(self, group: int) -> Evaluation:
        self._row.beat(Waiting.INFERENCE)
        answer = self._evaluator.collect(group)
        self._row.beat()
        self._row["version"] = answer.version
        return answer


def generator_main(context: ChildContext, outboxes: Outboxes, slots: InferenceSlots) -> None:
    """Play games until asked to stop; each finished one goes to the outbox."""
    row, settings = context.row, context.settings
    game = make_game(settings.game)
    client = InferenceClient(slots, context.number, start_timeout=settings.limits.stall_seconds)
    watched = WatchedEvaluator(client, row)
    cached = None
    if settings.selfplay.cache_entries and settings.algorithm == "alphazero":  # latents are no answer to keep
        cached = CachedEvaluator(watched, LRUCache(settings.selfplay.cache_entries, game.shapes), game.shapes)
    sender = outboxes.sender(context.number)

    def on_game(record: GameRecord) -> None:
        row.beat(Waiting.OUTBOX)
        sender.send(record, lambda: _wait_on(context))
        row.beat()
        if not row["first_game"]:
            row["first_game"] = time.monotonic()
        row.add("games", 1)

    # a replacement, and the same worker of a resumed run, must not play its predecessor's games again
    seed = np.random.SeedSequence([settings.seed, context.session, context.number, int(row["restarts"])])
    play = SelfPlay(game, settings, cached or watched, seed, on_game, groups=slots.groups)
    base = {name: row[name] for name in ("positions", "simulations", "leaves", "cache_hits", "wait_seconds")}
    row.set_ready()
    next_export = 0.0
    while not context.stopping():
        play.step()
        now = time.monotonic()
        if now >= next_export:
            next_export = now + _EXPORT_SECONDS
            row["positions"] = base["positions"] + play.stats.moves
            row["simulations"] = base["simulations"] + play.stats.simulations
            row["leaves"] = base["leaves"] + (cached.evals if cached else client.evals)
            row["cache_hits"] = base["cache_hits"] + (cached.hits + cached.repeats if cached else 0)
            row["wait_seconds"] = base["wait_seconds"] + client.wait_seconds


def _wait_on(context: ChildContext) -> bool:
    context.row.beat(Waiting.OUTBOX)
    return not context.stopping()
