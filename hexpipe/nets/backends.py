"""The interface of inference backends: codes in, answers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.errors import NotFiniteError


class Backend(Protocol):
    """Runs a net for inference. Not thread-safe."""

    @property
    def name(self) -> str:
        """Name, one of InferenceSettings.backend."""

    @property
    def dtype(self) -> str:
        """Arithmetic of the convolutions: "float32", "bfloat16" or "float16"."""

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Load new weights (of `factory.net_weights`). CheckpointError if they do not fit."""

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """Evaluate ``codes`` int8 [L, C] into the parts of ``out``, with floats of any dtype.

        L is 1 or more. InferenceError if an output is not finite, ValueError if the net lacks a part.
        """


class OverlappingBackend(Backend, Protocol):
    """A backend that takes a batch while it computes the one before, two at a time (double buffering)."""

    def start(self, codes: NDArray[np.int8]) -> int:
        """Begin to evaluate ``codes`` int8 [L, C], which may change afterwards; return the ticket for `finish`.

        L is at most the backend's maximum. InferenceError if two batches are in flight.
        """

    def finish(self, ticket: int, out: Answers) -> None:
        """Wait for the batch of ``ticket`` and write its outputs like `infer`. InferenceError if there is none."""


def overlaps(backend: Backend) -> TypeGuard[OverlappingBackend]:
    """Return whether ``backend`` is an `OverlappingBackend`."""
    return hasattr(backend, "start")


class BySize:
    """A net run by ``lone`` for single boards, by ``many`` otherwise: each is fastest at its own."""

    def __init__(self, lone: Backend, many: Backend) -> None:
        self.lone, self.many = lone, many

    @property
    def name(self) -> str:
        """Name of the backend for several boards."""
        return self.many.name

    @property
    def dtype(self) -> str:
        """Arithmetic of the backend for several boards."""
        return self.many.dtype

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Load the new weights into both."""
        self.many.load(weights)
        self.lone.load(weights)

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """Evaluate as `Backend.infer`."""
        (self.lone if len(codes) == 1 else self.many).infer(codes, out)


def write_outputs(answers: Answers, out: Answers, backend: str) -> None:
    """Copy one batch's answers to ``out``.

    NotFiniteError if any is not finite (the sum tells: all are bounded), ValueError if ``out`` has a part that
    ``answers`` lack.
    """
    if not np.isfinite(sum(part.sum(dtype=np.float64) for part in answers.parts())):
        raise NotFiniteError(
            f"the net gave a number that is not finite ({backend}): its weights are damaged or training diverged; "
            "go back to an earlier checkpoint or lower learner.learning_rate"
        )
    out.put(slice(None), answers)
