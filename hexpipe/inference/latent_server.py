"""The inference server for learned dynamics: the same loop, over `Latents`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.inference.inference_server import ServerLoop, Station
from hexpipe.inference.latents import LatentNet, Latents
from hexpipe.inference.slots import Request
from hexpipe.search.evaluator import Moves


class LatentServer(ServerLoop):
    """A server of roots and children; see `ServerLoop` for the counters."""

    def __init__(self, station: Station, net: LatentNet) -> None:
        super().__init__(station)
        slots = self._slots
        if slots.pool is None:
            raise ValueError("these slots were made without a pool of latents: give InferenceSlots.create one")
        regions = slots.workers * slots.groups
        own = [region for region in range(regions) if slots.server_of(region) == self._server]
        self._place = np.zeros(regions, np.int64)
        self._place[own] = np.arange(len(own))
        self._latents = Latents(net, len(own), slots.pool)
        self._releases = slots.arrays["releases"].copy()
        self._out = Answers.allocate(max(self._max_batch, slots.max_leaves), slots.shapes, learned=True, sent=True)

    def _serve(self, batch: list[Request], rows: int) -> Collection[int]:
        """Evaluate all roots first, then all children, as `Latents.evaluate` requires; answers go back to their
        regions."""
        arrays = self._slots.arrays
        roots = [(request.region, slice(0, request.roots)) for request in batch if request.roots]
        children = [
            (request.region, slice(request.roots, request.rows)) for request in batch if request.rows > request.roots
        ]
        parts = [*roots, *children]
        codes = np.concatenate([arrays["codes"][part] for part in roots] or [arrays["codes"][0, :0]])
        own = [(region, slice(0, part.stop - part.start)) for region, part in children]
        nothing = [np.zeros(0, np.int32)]
        moves = Moves(
            parents=np.concatenate([arrays["parents"][part] for part in own] or nothing),
            actions=np.concatenate([arrays["actions"][part] for part in own] or nothing),
            rows=np.concatenate([arrays["rows"][part] for part in parts]),
        )
        region = np.concatenate([np.full(part.stop - part.start, self._place[number]) for number, part in parts])
        with self._timed_forward(rows):
            known = self._latents.evaluate(region, codes, moves, self._out)
        start = 0
        for number, part in parts:
            end = start + part.stop - part.start
            self._regions[number].put(part, self._out.at(slice(start, end)))
            start = end
        if known.all():
            return ()
        numbers = np.concatenate([np.full(part.stop - part.start, number) for number, part in parts])
        return set(numbers[~known].tolist())

    def _load(self, version: int, tensors: dict[str, NDArray[np.float32]]) -> None:
        self._latents.load(version, tensors)

    def _can_load(self) -> bool:
        self._release_the_ended()
        return self._latents.can_load()

    def _release_the_ended(self) -> None:
        releases = self._slots.arrays["releases"].copy()  # copied once: it may change at any time
        if not np.array_equal(releases, self._releases):
            for region in np.flatnonzero(releases != self._releases).tolist():
                if self._slots.server_of(region) == self._server:
                    self._latents.release(int(self._place[region]))
            self._releases = releases
