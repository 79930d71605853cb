"""Servers of `hexpipe bench selfplay`: the backend that all of them share, in service and in bare passes of it."""

from __future__ import annotations

import os
import time

import torch

from hexpipe.answers import Answers
from hexpipe.bench.measuring import BATCHES
from hexpipe.bench.stage import FORWARD, START_SECONDS, Board
from hexpipe.config import Settings
from hexpipe.inference.inference_server import Station
from hexpipe.inference.overlapping_server import server_of_positions
from hexpipe.inference.slots import InferenceSlots
from hexpipe.nets.backends import Backend
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import build_net, net_weights
from hexpipe.roles.server import batch_sizes
from hexpipe.shm import set_parent_death_signal


def server_main(settings: Settings, slots: InferenceSlots, board: Board, server: int, device: str) -> None:
    """Serve as in a run, and run forward passes on random boards instead while the phase is FORWARD.

    A ``server`` beyond the slots' own only does that: it stands for a core on which the generators run otherwise.
    """
    set_parent_death_signal()
    backend = _shared_backend(settings, slots, board, server, device)
    codes = random_codes(slots.shapes, max(BATCHES))
    answers = Answers.allocate(max(BATCHES), slots.shapes, sent=True)
    station = Station(slots, server, max_batch=settings.inference.max_batch)
    inference = server_of_positions(station, backend) if server < slots.servers else None
    seen = evals = -1
    bare_evals = 0

    def between_batches() -> bool:
        nonlocal seen, evals, bare_evals
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
            rows = board.bare_batch
            backend.infer(codes[:rows], answers.at(slice(rows)))
            bare_evals += rows
            board.write(server, bare_evals=bare_evals, counted_at=time.monotonic())
            if inference is not None:
                slots.beat(server)
        return False

    board.write(server, pid=os.getpid())
    if inference is not None:
        inference.run(between_batches)
    while True:
        between_batches()
        time.sleep(0.01)


def _shared_backend(settings: Settings, slots: InferenceSlots, board: Board, server: int, device: str) -> Backend:
    """Return the backend that the first server finds fastest, as in a run, with the same random weights everywhere."""
    shapes, inference = slots.shapes, settings.inference
    if server == 0:
        sizes = batch_sizes(slots, inference.max_batch)
        backend = choose_backend(settings.net, shapes, inference, device, sizes).backend
        board.publish_choice({"backend": backend.name, "dtype": backend.dtype})
    else:
        named = inference.model_copy(update=board.wait_choice(START_SECONDS))
        backend = choose_backend(settings.net, shapes, named, device, BATCHES[:1]).backend
    torch.manual_seed(settings.seed)
    backend.load(net_weights(build_net(settings.net, shapes)))
    return backend
