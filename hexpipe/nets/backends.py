"""The seam behind which a net runs: codes in, answers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.errors import NotFiniteError


class Backend(Protocol):
    """Runs a net for inference. One thread uses it at a time."""

    @property
    def name(self) -> str:
        """One of InferenceSettings.backend."""

    @property
    def dtype(self) -> str:
        """The arithmetic of the convolutions: "float32", "bfloat16" or "float16"."""

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take new weights (as `factory.net_weights` gives them). CheckpointError if they do not fit."""

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """Evaluate ``codes`` int8 [L, C] into the parts that ``out`` has, whatever its floats' dtype.

        Any L from 1 up is fine. InferenceError if an output is not finite, ValueError if the net has no such part.
        """


class OverlappingBackend(Backend, Protocol):
    """One that takes a batch while it computes the one before it, two at a time."""

    def start(self, codes: NDArray[np.int8]) -> int:
        """Begin to evaluate ``codes`` int8 [L, C], which may change afterwards; the ticket to `finish` it with.

        L is at most what the backend was made for. InferenceError if two batches are under way.
        """

    def finish(self, ticket: int, out: Answers) -> None:
        """Wait for the batch of ``ticket``; its outputs as those of `infer`. InferenceError if there is none."""


def overlaps(backend: Backend) -> TypeGuard[OverlappingBackend]:
    """Whether ``backend`` is an `OverlappingBackend`."""
    return hasattr(backend, "start")


class BySize:
    """Runs a net by ``lone`` where it is asked about one board, by ``many`` otherwise: each is fastest at its own."""

    def __init__(self, lone: Backend, many: Backend) -> None:
        self.lone, self.many = lone, many

    @property
    def name(self) -> str:
        """Of what runs several boards."""
        return self.many.name

    @property
    def dtype(self) -> str:
        """Of what runs several boards."""
        return self.many.dtype

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Both take the new weights."""
        self.many.load(weights)
        self.lone.load(weights)

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """As `Backend.infer`."""
        (self.lone if len(codes) == 1 else self.many).infer(codes, out)


def write_outputs(answers: Answers, out: Answers, backend: str) -> None:
    """Copy one batch's answers out; NotFiniteError if any is not finite (a sum shows it: all are bounded), ValueError
    if ``out`` has a part that ``answers`` lack."""
    if not np.isfinite(sum(part.sum(dtype=np.float64) for part in answers.parts())):
        raise NotFiniteError(
            f"the net gave a number that is not finite ({backend}): its weights are damaged or training diverged; "
            "go back to an earlier checkpoint or lower learner.learning_rate"
        )
    out.put(slice(None), answers)
