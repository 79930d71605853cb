"""Agreement of a net in another arithmetic with float32, measured at each load of weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Shapes
from hexpipe.errors import InferenceError
from hexpipe.nets.backends import Backend, BySize, OverlappingBackend, overlaps

log = logging.getLogger(__name__)

POSITIONS = 256
VALUE_MEAN, VALUE_MOST, POLICY_MEAN = 0.02, 0.1, 0.02
"""Limits of the differences: of values in [-1, 1] on average and at most, of policies in mean total variation."""


class Agreement(NamedTuple):
    """The difference of ``dtype`` from float32 on `POSITIONS` boards, with the weights that were loaded last."""

    dtype: str
    value_mean: float
    value_most: float
    policy_mean: float

    @property
    def holds(self) -> bool:
        """Whether it is small enough to use ``dtype`` instead."""
        near = self.value_mean <= VALUE_MEAN and self.value_most <= VALUE_MOST
        return near and self.policy_mean <= POLICY_MEAN

    def __str__(self) -> str:
        return (
            f"{self.dtype} is {'taken' if self.holds else 'refused, float32 taken'}: on {POSITIONS} positions values "
            f"differ from float32 by {self.value_mean:.4f} on average, {self.value_most:.3f} at most, policies by "
            f"{self.policy_mean:.4f}"
        )


def measure(backend: Backend, exact: Backend, codes: NDArray[np.int8], shapes: Shapes) -> Agreement:
    """Measure the difference of ``backend`` from ``exact``, both with weights, on codes int8 [B, C].

    A non-finite answer has an infinite difference. InferenceError if that of ``exact`` is not finite.
    """
    wanted = _answers(exact, codes, shapes)
    try:
        found = _answers(backend, codes, shapes)
    except InferenceError:  # of a dtype whose range is too small for these weights
        return Agreement(backend.dtype, float("inf"), float("inf"), float("inf"))
    off = np.abs(found.values - wanted.values)
    variation = 0.5 * np.abs(found.priors - wanted.priors).sum(axis=1)
    return Agreement(backend.dtype, float(off.mean()), float(off.max()), float(variation.mean()))


def agreement_of(backend: Backend) -> Agreement | None:
    """Return the last measurement of ``backend``; None if it is not compared with float32."""
    if isinstance(backend, BySize):
        backend = backend.many
    return backend.agreement if isinstance(backend, AgreedBackend) else None


class AgreedBackend:
    """A net run by ``fast`` while that agrees with ``exact``, which computes in float32, else by ``fallback()``.

    Agreement is measured when weights are loaded, but not again within ``recheck_seconds``, nor while there is no room
    for another batch. ``codes`` int8 [B, C] are the boards of the measurement.
    """

    def __init__(
        self,
        fast: Backend,
        exact: Backend,
        fallback: Callable[[], Backend],
        codes: NDArray[np.int8],
        shapes: Shapes,
        recheck_seconds: float = 0.0,
    ) -> None:
        self._fast, self._exact, self._make_fallback = fast, exact, fallback
        self._fallback: Backend | None = None
        self._codes, self._shapes = codes, shapes
        self._recheck_seconds, self._checked = recheck_seconds, -float("inf")
        self._current = fast
        self._under_way = 0  # batches that were started and not finished
        self.agreement: Agreement | None = None

    @property
    def name(self) -> str:
        """Name of the present backend."""
        return self._current.name

    @property
    def dtype(self) -> str:
        """Arithmetic of the present backend."""
        return self._current.dtype

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Load weights as `Backend.load`, then choose the backend."""
        now = time.monotonic()
        if now - self._checked < self._recheck_seconds or self._under_way > 1:
            self._current.load(weights)
            return
        self._fast.load(weights)
        self._exact.load(weights)
        self._checked = now
        before, self.agreement = self.agreement, measure(self._fast, self._exact, self._codes, self._shapes)
        changed = before is None or before.holds != self.agreement.holds
        log.log(logging.INFO if changed else logging.DEBUG, "%s", self.agreement)
        if self.agreement.holds:
            self._current = self._fast
            return
        if self._fallback is None:
            self._fallback = self._make_fallback()
        if self._fallback is not self._exact:
            self._fallback.load(weights)
        self._current = self._fallback

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """Evaluate as `Backend.infer`."""
        self._current.infer(codes, out)


class AgreedOverlappingBackend(AgreedBackend):
    """An `AgreedBackend` of an `OverlappingBackend`, with a fallback that is one too."""

    def start(self, codes: NDArray[np.int8]) -> int:
        """Begin a batch as `OverlappingBackend.start`; an odd ticket is the fallback's."""
        assert overlaps(self._current)
        ticket = 2 * self._current.start(codes) + (self._current is not self._fast)
        self._under_way += 1
        return ticket

    def finish(self, ticket: int, out: Answers) -> None:
        """Finish a batch as `OverlappingBackend.finish`, even after a change of backend."""
        backend: OverlappingBackend = self._fallback if ticket % 2 else self._fast  # type: ignore[assignment]
        self._under_way -= 1
        backend.finish(ticket // 2, out)


def _answers(backend: Backend, codes: NDArray[np.int8], shapes: Shapes) -> Answers:
    out = Answers.allocate(len(codes), shapes)
    backend.infer(codes, out)
    return out
