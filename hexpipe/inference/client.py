"""The clients of inference servers: evaluators for a search. No torch here."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Shapes
from hexpipe.errors import InferenceError, SearchesLostError
from hexpipe.inference import lru_kernels
from hexpipe.inference.lru_cache import LRUCache, copy_answers
from hexpipe.inference.slots import LOST, STARTING, InferenceSlots, Request
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves

LIVENESS_SECONDS = 0.5  # how often a waiting client checks that its server lives


class InferenceClient:
    """Evaluator of one worker over the inference slots.

    ``answer_timeout``: seconds without a heartbeat from a serving server, ``start_timeout``: seconds until a server
    must be serving (a backend may take long to compile), ``replace_timeout``: seconds for the replacement of a dead
    one; all raise InferenceError naming the server, as does, within a second, a server that ended. ``requests``,
    ``evals`` rows, ``roots`` among them and ``wait_seconds`` count since the client was made.
    """

    def __init__(
        self,
        slots: InferenceSlots,
        worker: int,
        *,
        answer_timeout: float = 60.0,
        start_timeout: float = 600.0,
        replace_timeout: float = 0.0,
    ) -> None:
        self._slots = slots
        self._answer_timeout, self._start_timeout = answer_timeout, start_timeout
        self._replace_timeout = replace_timeout
        self._regions = [slots.region(worker, group) for group in range(slots.groups)]
        # a dead predecessor may have requests in flight: ids go on from its last
        self._ids = [int(slots.arrays["request_id"][region]) for region in self._regions]
        self._rows = [0] * slots.groups
        self._priors = np.zeros((slots.groups, slots.max_leaves, slots.shapes.num_actions), np.float32)
        self._codes = [slots.arrays["codes"][region] for region in self._regions]
        self._answers = [slots.answers_of(region) for region in self._regions]
        self._moves = [tuple(slots.arrays[name][region] for name in Moves._fields) for region in self._regions]
        self.requests = 0
        self.evals = 0
        self.roots = 0
        self.wait_seconds = 0.0

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Send codes int8 [L, C] for evaluation, or roots and children (see `Evaluator`); 1 <= L <= max_leaves."""
        roots = len(codes)
        rows = roots if moves is None else len(moves.rows)
        if not 1 <= rows <= self._slots.max_leaves:
            words = f"a request has 1 to {self._slots.max_leaves} leaves, not {rows}"
            raise InferenceError(words, kind="range", low=1, high=self._slots.max_leaves)
        if self._rows[group]:
            raise InferenceError(f"group {group} has a request under way: collect it first", kind="busy")
        self._codes[group][:roots] = codes
        if moves is not None:
            for shared, own in zip(self._moves[group], moves, strict=True):
                shared[: len(own)] = own
        self._ids[group] += 1
        self._rows[group] = rows
        self._slots.send(Request(self._regions[group], self._ids[group], rows, roots))
        self.requests += 1
        self.evals += rows
        self.roots += roots

    def collect(self, group: int) -> Evaluation:
        """Wait for the group's answer; arrays are valid until its next submit.

        SearchesLostError if the searches of the request must restart.
        """
        rows = self._rows[group]
        if not rows:
            raise InferenceError(f"group {group} has no request under way: submit first", kind="missing")
        self._wait(group)
        self._rows[group] = 0
        sent, priors = self._answers[group].at(slice(rows)), self._priors[group, :rows]
        lru_kernels.half_to_float(sent.priors.view(np.uint16), priors)
        version = int(self._slots.arrays["version"][self._regions[group]])
        if version == LOST:
            raise SearchesLostError("an inference server was replaced, and the latents it held are gone: search again")
        return Evaluation(sent._replace(priors=priors), version)

    def release(self, group: int) -> None:
        """Announce that ``group`` has no running search, so that none of them holds weights any more.

        With learned dynamics a server keeps the weights of the searches in a group's last request; call this when the
        next one may take long.
        """
        self._slots.arrays["releases"][self._regions[group]] += 1

    def _wait(self, group: int) -> None:
        slots, region, request_id = self._slots, self._regions[group], self._ids[group]
        responses, states = slots.arrays["response_id"], slots.arrays["server_state"]
        began = time.perf_counter()
        while True:
            # a wake-up may be for a dead predecessor's request: the id decides; after a timeout the server is checked
            news = slots.wait_answer(region, LIVENESS_SECONDS)
            if responses[region] == request_id:
                break
            slots.check_server(region, self._answer_timeout, self._replace_timeout)
            server = slots.server_of(region)
            waited = time.perf_counter() - began
            if not news and states[server] == STARTING and waited > self._start_timeout:
                raise InferenceError(
                    f"{slots.server_name(server)} has not started serving within {waited:.0f} s", kind="missing"
                )
        self.wait_seconds += time.perf_counter() - began


class _Pending(NamedTuple):
    answers: Answers
    source: NDArray[np.int32]
    misses: NDArray[np.int8]
    tags: NDArray[np.uint64]


class _Buffers:
    """One group's arrays between submit and collect, for up to ``rows`` leaves."""

    def __init__(self, rows: int, shapes: Shapes) -> None:
        self.rows = rows
        self.answers = Answers.allocate(rows, shapes)
        self.misses = np.zeros((rows, shapes.code_length), np.int8)
        self.tags = np.zeros(rows, np.uint64)
        self.source = np.zeros(rows, np.int32)
        self.table = np.zeros(1 << (2 * rows - 1).bit_length(), np.int32)


class CachedEvaluator:
    """An evaluator that answers known positions from an LRUCache, asks another for the rest, and caches its answers.

    Equal positions of one batch are asked for once. An answer from newer weights than the cached ones empties the cache
    first, so it never mixes versions; an answer of older weights (a second server that lags) is used but not cached. A
    search that is running while weights change sees old and new evaluations, as it does without a cache. ``hits``
    counts rows answered from the cache, ``repeats`` rows that equalled another of their batch.
    """

    def __init__(self, evaluator: Evaluator, cache: LRUCache, shapes: Shapes) -> None:
        self._evaluator = evaluator
        self._cache = cache
        self._shapes = shapes
        self._buffers: dict[int, _Buffers] = {}
        self._pending: dict[int, _Pending] = {}
        self._version = -1
        self.evals = 0
        self.hits = 0
        self.repeats = 0

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Look codes int8 [L, C] up and send the distinct missing ones on."""
        rows = len(codes)
        buffers = self._buffers.get(group)
        if buffers is None or buffers.rows < rows:
            buffers = self._buffers[group] = _Buffers(rows, self._shapes)
        answers, tags, source = buffers.answers.at(slice(rows)), buffers.tags[:rows], buffers.source[:rows]
        lru_kernels.hash_codes(codes, tags)
        hits = self._cache.fill(codes, tags, source, answers)
        count = lru_kernels.gather_misses(codes, tags, source, buffers.table, buffers.misses)
        misses = buffers.misses[:count]
        self.evals += rows
        self.hits += hits
        self.repeats += rows - hits - count
        if count:
            self._evaluator.submit(group, misses)
        self._pending[group] = _Pending(answers, source, misses, tags[:count])

    def collect(self, group: int) -> Evaluation:
        """Return the answer to the group's last submit; ``version`` is that of the newest weights seen."""
        answers, source, misses, tags = self._pending.pop(group)
        if len(misses):
            missing, version = self._evaluator.collect(group)
            if version > self._version:
                self._cache.clear()
                self._version = version
            if version == self._version:
                self._cache.keep(misses, tags, missing)
            copy_answers(missing, source, answers)
        return Evaluation(answers, self._version)
