"""The seam behind which a net runs: codes in, priors and values out, and on large boards where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import NotFiniteError

FloatArray = NDArray[np.floating]  # float16 or float32
FocusArray = NDArray[np.int16]


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

    def infer(
        self,
        codes: NDArray[np.int8],
        priors_out: FloatArray,
        values_out: FloatArray,
        focus_out: FocusArray | None = None,
    ) -> None:
        """Evaluate ``codes`` int8 [L, C] into priors [L, A] (softmax over legal actions) and values [L, S], and the
        bucket where the net looks into ``focus_out`` int16 [L].

        The last is for games with a thumbnail; left out, all is as if there were none. Priors and values may be float16
        or float32; values are relative to the mover. Any L from 1 up is fine. InferenceError if an output is not
        finite, ValueError if a net that looks nowhere is asked for its focus.
        """


class OverlappingBackend(Backend, Protocol):
    """One that takes a batch while it computes the one before it, two at a time."""

    def start(self, codes: NDArray[np.int8]) -> int:
        """Begin to evaluate ``codes`` int8 [L, C], which may change afterwards; the ticket to `finish` it with.

        L is at most what the backend was made for. InferenceError if two batches are under way.
        """

    def finish(
        self, ticket: int, priors_out: FloatArray, values_out: FloatArray, focus_out: FocusArray | None = None
    ) -> None:
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

    def infer(
        self,
        codes: NDArray[np.int8],
        priors_out: FloatArray,
        values_out: FloatArray,
        focus_out: FocusArray | None = None,
    ) -> None:
        """As `Backend.infer`."""
        (self.lone if len(codes) == 1 else self.many).infer(codes, priors_out, values_out, focus_out)


def write_outputs(
    priors: FloatArray,
    values: FloatArray,
    priors_out: FloatArray,
    values_out: FloatArray,
    backend: str,
    focus: Sequence[NDArray[np.integer]] = (),
    focus_out: FocusArray | None = None,
) -> None:
    """Copy one batch's results out; NotFiniteError if any is not finite (a sum shows it: both are bounded).

    ``focus`` holds the net's focus [L], or nothing; it is copied where it is wanted.
    """
    if not np.isfinite(priors.sum(dtype=np.float64) + values.sum(dtype=np.float64)):
        raise NotFiniteError(
            f"the net gave a number that is not finite ({backend}): its weights are damaged or training diverged; "
            "go back to an earlier checkpoint or lower learner.learning_rate"
        )
    priors_out[...] = priors
    values_out[...] = values
    if focus_out is not None:
        if not focus:
            raise ValueError(f"a net without a thumbnail looks nowhere ({backend}): ask it for no focus")
        focus_out[...] = focus[0]
