"""The torch side of `hexpipe bench selfplay`'s servers: the backend that all of them share, and bare passes of it."""

from __future__ import annotations

import torch

from hexpipe.answers import Answers
from hexpipe.bench.bare_batch import BATCHES
from hexpipe.bench.slice_board import Board
from hexpipe.config import Settings, Shapes
from hexpipe.inference.slots import InferenceSlots
from hexpipe.nets.backends import Backend
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import build_net, net_weights
from hexpipe.roles.server import batch_sizes

START_SECONDS = 240.0


class BareForward:
    """Forward passes on random boards, as `hexpipe bench forward` runs them; ``evals`` counts rows."""

    def __init__(self, backend: Backend, shapes: Shapes) -> None:
        most = max(BATCHES)
        self._backend = backend
        self._codes = random_codes(shapes, most)
        self._answers = Answers.allocate(most, shapes, sent=True)
        self.evals = 0

    def run_batch(self, rows: int) -> None:
        """One forward pass of ``rows`` boards."""
        self._backend.infer(self._codes[:rows], self._answers.at(slice(rows)))
        self.evals += rows


def bench_backend(settings: Settings, slots: InferenceSlots, board: Board, server: int, device: str) -> Backend:
    """The backend that the first server finds fastest, as in a run, with random weights; the same for every server."""
    shapes = slots.shapes
    if server == 0:
        sizes = batch_sizes(slots, settings.inference.max_batch)
        backend = choose_backend(settings.net, shapes, settings.inference, device, sizes).backend
        board.publish_choice({"backend": backend.name, "dtype": backend.dtype})
    else:
        choice = board.wait_choice(START_SECONDS)
        named = settings.inference.model_copy(update={"backend": choice["backend"], "dtype": choice["dtype"]})
        backend = choose_backend(settings.net, shapes, named, device, BATCHES[:1]).backend
    torch.manual_seed(settings.seed)
    backend.load(net_weights(build_net(settings.net, shapes)))
    return backend
