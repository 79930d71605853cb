"""`hexpipe bench selfplay`: how much of the bare net's speed reaches self-play.

The whole self-play side (generators, slots, servers) and bare forward passes take turns in slices of one call, because
a virtual core drifts: only the ratio of neighbouring slices means anything. Only rows that went through the net count.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Annotated

import numpy as np

from hexpipe.bench.measuring import BATCHES, TUNING_SECONDS, fastest_batch, interleaved_ratio
from hexpipe.bench.options import Figures, settings_of
from hexpipe.bench.slices import generator_main
from hexpipe.bench.slices_torch import server_main
from hexpipe.bench.stage import CACHED, FORWARD, SELFPLAY, Board, Counters, Part, Stage, stage_of
from hexpipe.config import Settings
from hexpipe.errors import SettingsError
from hexpipe.games.factory import make_game
from hexpipe.inference.slots import InferenceSlots
from hexpipe.processes.machine import available_cores, visible_gpus
from hexpipe.roles.plan import GROUPS, plan_processes

SETTLE_SECONDS = 0.1


def run(
    *,
    workers: Annotated[int, "generator processes"] = 2,
    servers: Annotated[int | None, "server processes; unset: one a GPU, else one a core"] = None,
    slices: Annotated[int, "pairs of a self-play and a forward slice"] = 10,
    seconds: Annotated[float, "length of each slice"] = 1.25,
    cache_seconds: Annotated[float, "length of the slice with the cache on, and of its warm-up"] = 3.0,
    size: int = 11,
    blocks: int = 6,
    channels: int = 64,
    simulations: int = 100,
    leaves: int = 4,
    games: int = 32,
    root: Annotated[str, "puct or gumbel"] = "puct",
    devices: int | None = None,
) -> Figures:
    """Measure with random weights, cache and early stop off. ``games`` are a generator's, ``leaves`` a game's.

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
    search = {"simulations": simulations, "leaves": leaves, "root": root, "early_stop": False}
    machine = {"workers": workers, "games": games, "devices": devices}
    settings = settings_of("standard", size=size, blocks=blocks, channels=channels, **search, **machine)
    plan = plan_processes(settings, available_cores(), visible_gpus())
    on_gpu = plan.server_devices[0] != "cpu"
    servers = servers or (len(plan.server_devices) if on_gpu else plan.cores)
    servers = min(servers, workers * GROUPS)
    # a core that the pipeline uses, but for generators, could run the bare net as well
    forwarders = servers if on_gpu else max(servers, min(plan.cores, servers + workers))
    server_devices = [plan.server_devices[server % len(plan.server_devices)] for server in range(forwarders)]
    with stage_of_play(settings, workers, servers, server_devices) as stage:
        stage.wait(lambda c: (c["simulations"][forwarders:] > 0).all() and (c["pid"] > 0).all(), "start")
        choice, measured = stage.board.choice, _Slices(stage, forwarders)
        batch = measured.find_bare_batch([size for size in BATCHES if size <= settings.inference.max_batch])
        selfplay, forward = [], [measured.take(FORWARD, seconds)]
        for _ in range(slices):
            selfplay.append(measured.take(SELFPLAY, seconds))
            forward.append(measured.take(FORWARD, seconds))
        measured.take(CACHED, cache_seconds)
        cached = measured.take(CACHED, cache_seconds)
    return {
        **_figures(selfplay, forward, cached, simulations),
        "backend": choice["backend"],
        "dtype": choice["dtype"],
        "batch": batch,
        "servers": servers,
        "forward_processes": forwarders,
        "workers": workers,
    }


def _rate(gained: Counters, name: str) -> float:
    """Return rows a second of all servers, each from its last batch before the slice to its last batch within."""
    times = gained["counted_at"]
    return float((gained[name][times > 0] / times[times > 0]).sum())


def _figures(selfplay: list[Counters], forward: list[Counters], cached: Counters, num_simulations: int) -> Figures:
    rates = np.array([_rate(slice_, "evals") for slice_ in selfplay])
    bare = np.array([_rate(slice_, "bare_evals") for slice_ in forward])

    def total(name: str) -> float:
        return float(sum(slice_[name].sum() for slice_ in selfplay))

    return {
        "evals_per_s": float(np.median(rates)),
        "forward_evals_per_s": float(np.median(bare)),
        "moves_per_s": total("simulations") / num_simulations / float(sum(slice_["seconds"][0] for slice_ in selfplay)),
        **interleaved_ratio("efficiency", rates.tolist(), bare.tolist()),
        "forward_cpu_share": total("forward_cpu") / total("cpu"),
        "mean_batch": total("evals") / max(1.0, total("batches")),
        "cache_hit_rate": float(cached["hits"].sum() / max(1.0, cached["looked_up"].sum())),
    }


class _Slices:
    """Slices of self-play and of bare forward passes, by the first ``forwarders`` of the processes on ``stage``."""

    def __init__(self, stage: Stage, forwarders: int) -> None:
        self._stage, self._forwarders = stage, forwarders

    def find_bare_batch(self, batches: Sequence[int]) -> int:
        """Return the one of ``batches`` at which bare passes are fastest, all processes busy with them; set it too."""
        board = self._stage.board

        def rate(batch: int) -> float:
            board.bare_batch = batch
            return _rate(self.take(FORWARD, TUNING_SECONDS), "bare_evals")

        board.bare_batch = fastest_batch(batches, rate)
        return board.bare_batch

    def take(self, phase: int, seconds: float) -> Counters:
        """Return what every counter gained in ``seconds`` of ``phase``; "seconds" has the exact time."""
        stage = self._stage
        stage.board.phase = phase
        stage.wait(lambda c: (c["phase_seen"][: self._forwarders] == phase).all(), f"turn to phase {phase}")
        time.sleep(SETTLE_SECONDS)
        began, before = time.perf_counter(), stage.board.read()
        time.sleep(seconds)
        ended, after = time.perf_counter(), stage.board.read()
        stage.check()
        gained = {name: after[name] - before[name] for name in after}
        return {**gained, "seconds": np.array([ended - began])}


def stage_of_play(
    settings: Settings, workers: int, servers: int, server_devices: Sequence[str]
) -> AbstractContextManager[Stage]:
    """Spawn servers, of which those beyond ``servers`` only run bare forward passes, and generators."""
    forwarders = len(server_devices)
    game = make_game(settings.game)
    leaves = settings.selfplay.games_per_worker // GROUPS * settings.search.leaves_per_game
    slots = InferenceSlots.create(game.shapes, workers=workers, groups=GROUPS, max_leaves=leaves, servers=servers)
    board = Board.create(forwarders + workers)
    parts: list[Part] = []
    for server, device in enumerate(server_devices):
        given = (settings, slots.for_server(server), board, server, device)
        parts.append((f"inference-{server}", server_main, given))
    for worker in range(workers):
        share = (settings, slots.for_worker(worker), board, worker, forwarders + worker)
        parts.append((f"generator-{worker}", generator_main, share))
    return stage_of(board, slots, parts)
