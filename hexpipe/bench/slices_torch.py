"""The torch side of `hexpipe bench selfplay`'s servers: the backend that all of them share, and bare passes of it."""

from __future__ import annotations

import numpy as np
import torch

from hexpipe.bench.slices import Board
from hexpipe.config import Settings, Shapes
from hexpipe.inference.slots import InferenceSlots
from hexpipe.nets.backends import Backend
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import build_net, net_weights
from hexpipe.pipeline.server_main import batch_sizes

START_SECONDS = 240.0
BARE_BATCHES = (16, 32, 64, 128)


class BareForward:
    """Forward passes on random boards, as `hexpipe bench forward` runs them; ``evals`` counts rows."""

    def __init__(self, backend: Backend, shapes: Shapes, batch: int) -> None:
        self._backend = backend
        self._codes = random_codes(shapes, batch)
        self._priors = np.zeros((batch, shapes.num_actions), np.float16)
        self._values = np.zeros((batch, shapes.num_seats), np.float32)
        self.evals = 0

    def run_batch(self) -> None:
        """One forward pass."""
        self._backend.infer(self._codes, self._priors, self._values)
        self.evals += len(self._codes)


def bench_backend(
    settings: Settings, slots: InferenceSlots, board: Board, server: int, device: str
) -> tuple[Backend, int]:
    """The backend and the batch that the first server finds fastest, with random weights; the same for every server.

    The candidates are those of a run, and the batches that a bare net would be given.
    """
    shapes = slots.shapes
    if server == 0:
        sizes = sorted({*batch_sizes(slots, settings.inference.max_batch), *BARE_BATCHES})
        backend, batch, _ = choose_backend(settings.net, shapes, settings.inference, device, sizes)
        board.publish_choice({"backend": backend.name, "dtype": backend.dtype, "batch": batch})
    else:
        choice = board.wait_choice(START_SECONDS)
        batch = int(choice["batch"])
        named = settings.inference.model_copy(update={"backend": choice["backend"], "dtype": choice["dtype"]})
        backend, _, _ = choose_backend(settings.net, shapes, named, device, [batch])
    torch.manual_seed(settings.seed)
    backend.load(net_weights(build_net(settings.net, shapes)))
    return backend, batch
