"""A server's reading of requests, also of those that its dead predecessor had read."""

from __future__ import annotations

import os
import selectors

import numpy as np

from hexpipe.inference.queue_repair import reading_end
from hexpipe.inference.slots import InferenceSlots, Request

_READ_BYTES = 65536


class RequestReader:
    """A reader of all queues of a server at once, without spinning.

    It is multiprocessing.connection.wait with the selector kept between calls: the original builds a selector for each
    call (20 us and more with many workers), which costs as much as the rest of a small request.
    """

    def __init__(self, slots: InferenceSlots, server: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._request_ids = slots.arrays["request_id"]
        self.stale = 0
        for queue in slots.queues.values():
            self._selector.register(reading_end(queue), selectors.EVENT_READ, queue)
        # messages only announce what is in the arrays; a dead server may have left half of one
        while ready := self._selector.select(0):
            for key, _events in ready:
                os.read(key.fd, _READ_BYTES)
        self._taken = slots.arrays["response_id"].copy()
        self._left = [request for request in _unanswered(slots) if slots.server_of(request.region) == server]

    def take(self, timeout: float) -> list[Request]:
        """Take at most one request of each queue that has any, waiting up to ``timeout`` seconds for the first.

        Requests that their region has already superseded (its worker died and was replaced) are dropped and counted.
        The first call of a replacement also returns what its dead predecessor left unanswered.
        """
        taken, self._left = self._left, []
        for request in taken:
            self._taken[request.region] = request.request_id
        if taken:
            return taken
        for key, _events in self._selector.select(timeout):
            request = Request(*key.data.get())
            if self._taken[request.region] >= request.request_id:
                continue  # announces what was found in the arrays
            if self._request_ids[request.region] == request.request_id:
                self._taken[request.region] = request.request_id
                taken.append(request)
            else:
                self.stale += 1
        return taken

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


def _unanswered(slots: InferenceSlots) -> list[Request]:
    """Return the requests without an answer."""
    arrays = slots.arrays
    ids, rows, roots = arrays["request_id"], arrays["request_rows"], arrays["request_roots"]
    waiting = np.flatnonzero(ids > arrays["response_id"])
    return [Request(region, int(ids[region]), int(rows[region]), int(roots[region])) for region in waiting.tolist()]
