"""The inference servers: of the newest net, and of past checkpoints for a league."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hexpipe.config import Settings
from hexpipe.games.game_env import Game
from hexpipe.inference.inference_server import ServerLoop, Station
from hexpipe.inference.latent_server import LatentServer
from hexpipe.inference.overlapping_server import server_of_positions
from hexpipe.inference.slots import InferenceSlots
from hexpipe.inference.weights import WeightsBoard, WeightsSource
from hexpipe.nets.net_template import memory_bytes
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Ending, Role
from hexpipe.processes.stats import Waiting
from hexpipe.random_streams import Stream, generator
from hexpipe.roles.opponents import Opponents

if TYPE_CHECKING:  # a child needs no more than its body does
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import PlayingSegments

log = logging.getLogger(__name__)


_COUNTERS = ("evals", "batches", "forward_seconds")
_RECHECK_SECONDS = 60.0  # between two comparisons of a fast dtype with float32; new weights come more often


def league_main(context: ChildContext, slots: InferenceSlots, weights: WeightsBoard, device: str) -> None:
    """Serve past checkpoints of the run as the opponents of a league; otherwise as `server_main`."""
    settings = context.settings

    def announce(name: str) -> None:
        context.row.note = f"plays {name}"
        log.info("plays %s", name)

    restarts = context.me.restarts
    rng = generator(Stream.LEAGUE, settings.seed, context.session, context.number, restarts)
    opponents = Opponents(context.run_dir, weights, settings.league.minutes, rng, announce, restarts)
    server_main(context, slots, opponents, device)


def server_main(context: ChildContext, slots: InferenceSlots, weights: WeightsSource, device: str) -> None:
    """Choose the fastest backend on ``device`` and serve until asked to stop."""
    row, settings = context.row, context.settings
    slots.announce_server(context.number)
    row.beat(Waiting.STARTING)

    # versions go on from those of a dead predecessor
    base = {name: row[name] for name in _COUNTERS}
    row["version"] = 0

    def export(server: ServerLoop) -> None:
        for name in _COUNTERS:
            row[name] = base[name] + getattr(server, name)
        row["version"] = server.weights_version
        row.beat(Waiting.WORKING if server.evals > last[0] else Waiting.REQUESTS)
        last[0] = server.evals

    def should_stop() -> bool:
        if not row["version"]:
            if weights.latest_version:
                row["version"] = weights.latest_version
                context.set_ready()
            else:
                row.beat(Waiting.WEIGHTS)
        return context.stopping()

    last = [0]
    make = _latent_server if settings.algorithm == "muzero" else _state_server
    station = Station(slots, context.number, weights, settings.inference.max_batch, export)
    make(context, station, device).run(should_stop)


def _state_server(context: ChildContext, station: Station, device: str) -> ServerLoop:
    from hexpipe.nets.choose_backend import choose_backend

    settings, slots = context.settings, station.slots
    sizes = batch_sizes(slots, station.max_batch)
    backend, _, table = choose_backend(
        settings.net, slots.shapes, settings.inference, device, sizes, recheck_seconds=_RECHECK_SECONDS, apart=True
    )
    dtype = ""

    def export_all(server: ServerLoop) -> None:
        nonlocal dtype
        if backend.dtype != dtype:  # for new weights another may be close enough to float32
            dtype = backend.dtype
            context.row.note = f"{backend.name} {dtype} on {device}{_memory_note(context, slots)}"
        station.on_progress(server)

    context.row.note = f"{backend.name} {backend.dtype} on {device}{_memory_note(context, slots)}"
    for found in table:
        log.info("%s %s: %.0f evals/s at batch %d", found.backend, found.dtype, found.evals_per_s, found.batch)
    log.info("serves with %s", context.row.note)
    return server_of_positions(replace(station, on_progress=export_all), backend)


def _latent_server(context: ChildContext, station: Station, device: str) -> ServerLoop:
    from hexpipe.nets.backend_latent import LatentBackend
    from hexpipe.nets.backend_latent_graphs import LatentGraphsBackend

    settings, slots = context.settings, station.slots
    assert slots.pool is not None
    rows = slots.regions_per_server * slots.pool.rows
    net: LatentBackend | LatentGraphsBackend
    eager = settings.inference.backend == "eager"
    if eager or device == "cpu":
        net = LatentBackend(settings.net, slots.shapes, rows, device=device, eager=eager)
    else:
        net = LatentGraphsBackend(settings.net, slots.shapes, rows, device=device, max_batch=station.max_batch)
    context.row.note = f"{net.name} {net.dtype} on {device}, {net.pool_bytes / 1e6:.0f} MB of latents"
    context.row.note += _memory_note(context, slots)
    log.info("serves with %s", context.row.note)
    return LatentServer(station, net)


def _memory_note(context: ChildContext, slots: InferenceSlots) -> str:
    size = memory_bytes(context.settings.net, slots.shapes)
    return f", {size / 1e6:.1f} MB of engram" if size else ""


def batch_sizes(slots: InferenceSlots, max_batch: int) -> list[int]:
    """Return the batch sizes to expect: one region's leaves, half of them, and those of all its regions."""
    sizes = {max(1, slots.max_leaves // 2), slots.max_leaves, slots.max_leaves * slots.regions_per_server}
    return sorted({min(size, max_batch) for size in sizes})


def _parts(shared: PlayingSegments, number: int) -> dict[str, Any]:
    device = shared.plan.server_devices[number]
    return {"slots": shared.slots.for_server(number), "weights": shared.weights, "device": device}


def _league_parts(shared: PlayingSegments, number: int) -> dict[str, Any]:
    assert shared.league is not None
    device = shared.plan.league_devices[number]
    return {"slots": shared.league.for_server(number), "weights": shared.weights, "device": device}


def _own_bytes(settings: Settings, game: Game, plan: Plan, role: str = "inference") -> int:
    from hexpipe.roles.segments import latent_pool_bytes, net_process_bytes, served_memory_bytes

    devices = plan.league_devices if role == "league" else plan.server_devices
    own = net_process_bytes(settings, devices[0]) if devices else 0
    return own + latent_pool_bytes(settings, game, plan, role) + served_memory_bytes(settings, game)


INFERENCE: Role[Plan, PlayingSegments] = Role(
    "inference",
    "hexpipe.roles.server:server_main",
    counters=("version", *_COUNTERS),
    progress=("evals",),
    count=lambda settings, plan: len(plan.server_devices),
    parts=_parts,
    own_bytes=_own_bytes,
    ending=Ending(1, 2.0),
)
"""The role that serves the newest net."""

LEAGUE: Role[Plan, PlayingSegments] = replace(
    INFERENCE,
    name="league",
    body="hexpipe.roles.server:league_main",
    count=lambda settings, plan: len(plan.league_devices),
    parts=_league_parts,
    own_bytes=lambda settings, game, plan: _own_bytes(settings, game, plan, "league"),
)
"""The role that serves past checkpoints, the opponents of the newest net."""
