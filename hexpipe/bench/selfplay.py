"""`hexpipe bench selfplay`: how much of the bare net's speed reaches self-play.

The whole self-play side (generators, slots, servers) and bare forward passes take turns in slices of one call, because
a virtual core drifts: only the ratio of neighbouring slices means anything. Only rows that went through the net count.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hexpipe.bench.bare_batch import BATCHES, TUNING_SECONDS, fastest_batch
from hexpipe.bench.median import median_interval
from hexpipe.bench.slice_board import CACHED, FORWARD, SELFPLAY, STOP, Board
from hexpipe.bench.slices import generator_main, server_main
from hexpipe.config import Settings, load_settings
from hexpipe.errors import HexpipeError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.inference.slots import InferenceSlots
from hexpipe.processes.machine import available_cores, exported, thread_environment, visible_gpus
from hexpipe.roles.plan import GROUPS, plan_processes
from hexpipe.shm import spawn_context

START_SECONDS = 300.0
SETTLE_SECONDS = 0.1

OPTIONS = {
    "workers": "generator processes",
    "servers": "server processes; unset: one a GPU, else one a core",
    "slices": "pairs of a self-play and a forward slice",
    "seconds": "length of each slice",
    "cache_seconds": "length of the slice with the cache on, and of its warm-up",
    "root": "puct or gumbel",
}

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Counters = dict[str, NDArray[np.float64]]


def run(
    *,
    workers: int = 2,
    servers: int | None = None,
    slices: int = 10,
    seconds: float = 1.25,
    cache_seconds: float = 3.0,
    size: int = 11,
    blocks: int = 6,
    channels: int = 64,
    simulations: int = 100,
    leaves: int = 4,
    games: int = 32,
    root: str = "puct",
    devices: int | None = None,
) -> dict[str, float | int | str]:
    """Random weights, cache and early stop off. ``games`` are a generator's, ``leaves`` a game's.

    Keys: evals_per_s (self-play, median slice), forward_evals_per_s, moves_per_s (simulations a second over those of a
    move: games move in waves longer than a slice), efficiency (median over the self-play slices of their evals_per_s
    over the mean of the two neighbouring forward slices) with efficiency_low and efficiency_high (a 95 % interval of
    the median, by order statistics), forward_cpu_share (CPU seconds in the forward pass over all CPU seconds of
    generators and servers, in the self-play slices), mean_batch, cache_hit_rate (rows answered from the generators'
    caches in a further slice), backend, dtype, batch.
    """
    if workers < 1:
        words = f"self-play is measured with one generator or more: --workers is {workers}"
        raise SettingsError(words, kind="range", setting="--workers", low=1)
    settings = load_settings(
        "standard",
        {
            "game.board_size": size,
            "net.blocks": blocks,
            "net.channels": channels,
            "search.num_simulations": simulations,
            "search.leaves_per_game": leaves,
            "search.root": root,
            "search.early_stop": False,
            "selfplay.workers": workers,
            "selfplay.games_per_worker": games,
            "devices": devices,
        },
    )
    plan = plan_processes(settings, available_cores(), visible_gpus())
    on_gpu = plan.server_devices[0] != "cpu"
    servers = servers or (len(plan.server_devices) if on_gpu else plan.cores)
    servers = min(servers, workers * GROUPS)
    # a core that the pipeline uses, but for generators, could run the bare net as well
    forwarders = servers if on_gpu else max(servers, min(plan.cores, servers + workers))
    server_devices = [plan.server_devices[server % len(plan.server_devices)] for server in range(forwarders)]
    with stage_of(settings, workers, servers, server_devices) as stage:
        stage.wait(lambda c: bool((c["simulations"][forwarders:] > 0).all() and (c["pid"] > 0).all()), "start")
        choice = stage.board.choice
        batch = stage.find_bare_batch([size for size in BATCHES if size <= settings.inference.max_batch])
        selfplay, forward = [], [stage.slice(FORWARD, seconds)]
        for _ in range(slices):
            selfplay.append(stage.slice(SELFPLAY, seconds))
            forward.append(stage.slice(FORWARD, seconds))
        stage.slice(CACHED, cache_seconds)
        cached = stage.slice(CACHED, cache_seconds)
    return {
        **_figures(selfplay, forward, cached, simulations),
        **{key: choice[key] for key in ("backend", "dtype")},
        "batch": batch,
        "servers": servers,
        "forward_processes": forwarders,
        "workers": workers,
    }


def _rate(gained: Counters, name: str) -> float:
    """Rows a second of all servers, each from its last batch before the slice to its last batch within."""
    times = gained["counted_at"]
    return float((gained[name][times > 0] / times[times > 0]).sum())


def _figures(
    selfplay: list[Counters], forward: list[Counters], cached: Counters, num_simulations: int
) -> dict[str, float | int | str]:
    rates = np.array([_rate(slice_, "evals") for slice_ in selfplay])
    bare = np.array([_rate(slice_, "bare_evals") for slice_ in forward])
    ratios = (rates / ((bare[:-1] + bare[1:]) / 2)).tolist()
    low, high = median_interval(ratios)

    def total(name: str) -> float:
        return float(sum(slice_[name].sum() for slice_ in selfplay))

    return {
        "evals_per_s": float(np.median(rates)),
        "forward_evals_per_s": float(np.median(bare)),
        "moves_per_s": total("simulations") / num_simulations / float(sum(slice_["seconds"][0] for slice_ in selfplay)),
        "efficiency": float(np.median(ratios)),
        "efficiency_low": low,
        "efficiency_high": high,
        "forward_cpu_share": total("forward_cpu") / total("cpu"),
        "mean_batch": total("evals") / max(1.0, total("batches")),
        "cache_hit_rate": float(cached["hits"].sum() / max(1.0, cached["looked_up"].sum())),
    }


class _Stage:
    """The processes of the benchmark, and the counters between two points in time."""

    def __init__(self, board: Board, forwarders: int) -> None:
        self.board = board
        self.processes: list[SpawnProcess] = []
        self._forwarders = forwarders

    def wait(self, condition: Callable[[Counters], bool], what: str) -> None:
        """Until ``condition(counters)``; HexpipeError if a process ends before, or after five minutes."""
        deadline = time.monotonic() + START_SECONDS
        while not condition(self.board.read()):
            for process in self.processes:
                if not process.is_alive():
                    raise HexpipeError(f"{process.name} ended with code {process.exitcode}: its own error is above")
            if time.monotonic() > deadline:
                raise HexpipeError(f"the processes did not {what} within {START_SECONDS:.0f} s")
            time.sleep(0.01)

    def find_bare_batch(self, batches: Sequence[int]) -> int:
        """Of ``batches`` the one at which bare passes are fastest, all processes busy with them; it is set then."""

        def rate(batch: int) -> float:
            self.board.bare_batch = batch
            return _rate(self.slice(FORWARD, TUNING_SECONDS), "bare_evals")

        self.board.bare_batch = fastest_batch(batches, rate)
        return self.board.bare_batch

    def slice(self, phase: int, seconds: float) -> Counters:
        """What every counter gained in ``seconds`` of ``phase``; "seconds" has the exact time."""
        self.board.phase = phase
        self.wait(lambda c: bool((c["phase_seen"][: self._forwarders] == phase).all()), f"turn to phase {phase}")
        time.sleep(SETTLE_SECONDS)
        began, before = time.perf_counter(), self.board.read()
        time.sleep(seconds)
        ended, after = time.perf_counter(), self.board.read()
        self.wait(lambda c: True, "")
        gained = {name: after[name] - before[name] for name in after}
        return {**gained, "seconds": np.array([ended - began])}


@contextlib.contextmanager
def stage_of(settings: Settings, workers: int, servers: int, server_devices: list[str]) -> Iterator[_Stage]:
    """Spawn servers and generators, and end them again."""
    forwarders = len(server_devices)
    game = make_game(settings.game)
    leaves = settings.selfplay.games_per_worker // GROUPS * settings.search.leaves_per_game
    slots = InferenceSlots.create(game.shapes, workers=workers, groups=GROUPS, max_leaves=leaves, servers=servers)
    stage = _Stage(Board.create(forwarders + workers), forwarders)
    context, board = spawn_context(), stage.board
    try:
        with exported(thread_environment(1)):
            for server, device in enumerate(server_devices):
                given = (settings, slots.for_server(server), board, server, device)
                stage.processes.append(context.Process(target=server_main, args=given, name=f"inference-{server}"))
            for worker in range(workers):
                part = (settings, slots.for_worker(worker), board, worker, forwarders + worker)
                stage.processes.append(context.Process(target=generator_main, args=part, name=f"generator-{worker}"))
            for process in stage.processes:
                process.start()
        yield stage
    finally:
        board.phase = STOP
        slots.request_stop()
        for process in stage.processes:
            if process.pid is not None:
                process.join(10.0)
                if process.is_alive():
                    process.kill()
                    process.join()
        slots.close()
        board.segment.close()
