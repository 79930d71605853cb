"""What the processes of `hexpipe bench selfplay` do, slice by slice. Its generator side imports no torch.

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

from hexpipe.bench.slice_board import CACHED, FORWARD, STOP, Board
from hexpipe.config import Settings
from hexpipe.errors import InferenceError
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
    """Sends each batch through the cache or past it, as the phase is when it is submitted."""

    def __init__(self, plain: Evaluator, cached: Evaluator, board: Board) -> None:
        self._plain, self._cached, self._board = plain, cached, board
        self._under_way: dict[int, Evaluator] = {}

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Start the evaluation of codes int8 [L, C]."""
        evaluator = self._cached if self._board.phase == CACHED else self._plain
        evaluator.submit(group, codes)
        self._under_way[group] = evaluator

    def collect(self, group: int) -> Evaluation:
        """The answer, from wherever it was asked for."""
        return self._under_way.pop(group).collect(group)


def generator_main(settings: Settings, slots: InferenceSlots, board: Board, worker: int, process: int) -> None:
    """Self-play as in a run, but finished games go nowhere."""
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
    try:
        while (phase := board.phase) != STOP:
            board.write(process, phase_seen=phase)
            if phase == FORWARD:
                time.sleep(0.001)
                continue
            selfplay.step()
            stats = selfplay.stats
            board.write(
                process,
                cpu=time.process_time(),
                simulations=stats.simulations,
                looked_up=cached.evals,
                hits=cached.hits,
            )
    except InferenceError:
        if board.phase != STOP:  # at the end the servers may be gone first
            raise


def server_main(settings: Settings, slots: InferenceSlots, board: Board, server: int, device: str) -> None:
    """An inference server that runs bare forward passes instead while the phase is FORWARD.

    A ``server`` beyond the slots' own only does that: it stands for a core on which the generators run otherwise.
    """
    set_parent_death_signal()
    from hexpipe.bench.slices_torch import BareForward, bench_backend
    from hexpipe.inference.inference_server import Station
    from hexpipe.inference.overlapping_server import server_of_positions

    backend = bench_backend(settings, slots, board, server, device)
    bare = BareForward(backend, slots.shapes)
    serving = server < slots.servers
    station = Station(slots, server, max_batch=settings.inference.max_batch)
    inference = server_of_positions(station, backend) if serving else None
    seen = evals = -1

    def between_batches() -> bool:
        nonlocal seen, evals
        if inference is not None and inference.evals != evals:
            evals = inference.evals
            board.write(server, evals=evals, batches=inference.batches, counted_at=time.monotonic())
            board.write(server, forward_cpu=inference.forward_cpu_seconds, cpu=time.process_time())
        if board.phase != seen:
            seen = board.phase
            cpu = time.process_time() if inference is not None else 0.0
            board.write(server, counted_at=time.monotonic(), cpu=cpu)
            board.write(server, phase_seen=seen)
        while seen == board.phase == FORWARD:
            bare.run_batch(board.bare_batch)
            board.write(server, bare_evals=bare.evals, counted_at=time.monotonic())
            if inference is not None:
                slots.beat(server)
        return board.phase == STOP

    board.write(server, pid=os.getpid())
    if inference is not None:
        inference.run(between_batches)
    else:
        while not between_batches():
            time.sleep(0.01)
