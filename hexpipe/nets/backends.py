"""The seam behind which a net runs: codes in, priors and values out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import InferenceError

FloatArray = NDArray[np.floating]  # float16 or float32


class Backend(Protocol):
    """Runs a net for inference. One thread uses it at a time."""

    name: str  # one of InferenceSettings.backend
    dtype: str  # "float32", "bfloat16" or "float16": the arithmetic of the convolutions

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take new weights (as `factory.net_weights` gives them). CheckpointError if they do not fit."""

    def infer(self, codes: NDArray[np.int8], priors_out: FloatArray, values_out: FloatArray) -> None:
        """Evaluate ``codes`` int8 [L, C] into priors [L, A] (softmax over legal actions) and values [L, S].

        The outputs may be float16 or float32; values are relative to the mover. Any L from 1 up is fine. InferenceError
        if an output is not finite.
        """


def write_outputs(
    priors: FloatArray, values: FloatArray, priors_out: FloatArray, values_out: FloatArray, backend: str
) -> None:
    """Copy one batch's results out; InferenceError if any is not finite (a sum shows it: both are bounded)."""
    if not np.isfinite(priors.sum(dtype=np.float64) + values.sum(dtype=np.float64)):
        raise InferenceError(
            f"the net gave a number that is not finite ({backend}): its weights are damaged or training diverged; "
            "go back to an earlier checkpoint or lower learner.learning_rate"
        )
    priors_out[...] = priors
    values_out[...] = values
