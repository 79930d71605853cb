"""Generators of `hexpipe bench selfplay`, slice by slice; their servers are in `slices_torch`.

The main process turns the phase; the servers look at it between two batches and either serve the generators or run
bare forward passes on random boards, with the very net, backend and memory that serve. While they do, generators wait
for their answers, asleep. Every process keeps its counters in shared memory, so that the main process reads them at the
edges of a slice and nobody is told to start or stop counting.
"""

from __future__ import annotations

import os
import time

import numpy as np
from numpy.typing import NDArray

from hexpipe.bench.stage import CACHED, FORWARD, Board
from hexpipe.config import Settings
from hexpipe.games.factory import make_game
from hexpipe.inference.client import CachedEvaluator, InferenceClient
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.inference.slots import InferenceSlots
from hexpipe.random_streams import Stream, stream
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.dry_play import compile_selfplay
from hexpipe.selfplay.self_play import SelfPlay
from hexpipe.shm import set_parent_death_signal


class SwitchEvaluator:
    """Send each batch through the cache or past it, as the phase is when it is submitted."""

    def __init__(self, plain: Evaluator, cached: Evaluator, board: Board) -> None:
        self._plain, self._cached, self._board = plain, cached, board
        self._under_way: dict[int, Evaluator] = {}

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Start the evaluation of codes int8 [L, C]."""
        evaluator = self._cached if self._board.phase == CACHED else self._plain
        evaluator.submit(group, codes)
        self._under_way[group] = evaluator

    def collect(self, group: int) -> Evaluation:
        """Return the answer, from wherever it was asked for."""
        return self._under_way.pop(group).collect(group)


def generator_main(settings: Settings, slots: InferenceSlots, board: Board, worker: int, process: int) -> None:
    """Play as in a run, but finished games go nowhere."""
    set_parent_death_signal()
    compile_selfplay()  # or read it from the cache: no slice should hold a compiler
    game = make_game(settings.game)
    client = InferenceClient(slots, worker)
    cache = LRUCache(max(1, settings.selfplay.cache_entries), game.shapes, half=True)
    cached = CachedEvaluator(client, cache, game.shapes)
    evaluator = SwitchEvaluator(client, cached, board)
    seed = stream(Stream.BENCHMARK, settings.seed, worker)
    selfplay = SelfPlay(game, settings, evaluator, seed, lambda record: None, slots.groups)
    board.write(process, pid=os.getpid())
    while True:
        phase = board.phase
        board.write(process, phase_seen=phase)
        if phase == FORWARD:
            time.sleep(0.001)
            continue
        selfplay.step()
        board.write(process, cpu=time.process_time(), simulations=selfplay.stats.simulations)
        board.write(process, looked_up=cached.evals, hits=cached.hits)
