"""The body of an inference server."""

from __future__ import annotations

import logging

from hexpipe.games.factory import make_game
from hexpipe.inference.inference_server import InferenceServer
from hexpipe.inference.slots import InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from hexpipe.nets.choose_backend import choose_backend
from hexpipe.pipeline.messages import ChildContext
from hexpipe.pipeline.stats import Waiting

log = logging.getLogger(__name__)


def server_main(context: ChildContext, slots: InferenceSlots, weights: WeightsBoard, device: str) -> None:
    """Choose the fastest backend on ``device`` and serve until asked to stop."""
    row, settings = context.row, context.settings
    slots.announce_server(context.number)
    row.beat(Waiting.STARTING)
    shapes = make_game(settings.game).shapes
    sizes = batch_sizes(slots, settings.inference.max_batch)
    backend, _, table = choose_backend(settings.net, shapes, settings.inference, device, sizes)
    row.note = f"{backend.name} {backend.dtype} on {device}"
    for found in table:
        log.info("%s %s: %.0f evals/s at batch %d", found.backend, found.dtype, found.evals_per_s, found.batch)
    log.info("serves with %s", row.note)

    def export(server: InferenceServer) -> None:
        row["evals"] = server.evals
        row["batches"] = server.batches
        row["forward_seconds"] = server.forward_seconds
        row["version"] = server.weights_version
        row.beat(Waiting.WORKING if server.evals > last[0] else Waiting.REQUESTS)
        last[0] = server.evals

    def should_stop() -> bool:
        if not row["version"]:
            if weights.latest_version:
                row["version"] = weights.latest_version
                row.set_ready()
            else:
                row.beat(Waiting.WEIGHTS)
        return context.stopping()

    last = [0]
    server = InferenceServer(
        slots, context.number, backend, weights, max_batch=settings.inference.max_batch, on_progress=export
    )
    server.run(should_stop)


def batch_sizes(slots: InferenceSlots, max_batch: int) -> list[int]:
    """Batches that this server will meet: one region's leaves, half of them, and those of all its regions."""
    regions = max(1, -(-slots.workers * slots.groups // slots.servers))
    sizes = {max(1, slots.max_leaves // 2), slots.max_leaves, slots.max_leaves * regions}
    return sorted({min(size, max_batch) for size in sizes})
