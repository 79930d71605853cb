"""What a search asks its evaluator: priors and values for a batch of states, in two steps."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Evaluation(NamedTuple):
    """The answer for one submitted batch of L leaves; its arrays are valid until the group's next submit.

    priors: float32 [L, A], net frame, softmax over the legal actions (illegal ones are 0).
    values: float32 [L, S] in [-1, 1]; values[:, k] is for seat (to_move + k) % S.
    version: the weights version of the oldest forward pass in the batch.
    """

    priors: NDArray[np.float32]
    values: NDArray[np.float32]
    version: int


class Evaluator(Protocol):
    """Evaluates batches of int8 codes [L, C]; each group has at most one batch under way.

    The two steps let one group's search run while another group's batch is with the device.
    """

    def submit(self, group: int, codes: NDArray[np.int8]) -> None:
        """Starts the evaluation of ``codes`` [L, C] for ``group``; the codes are copied before it returns."""

    def collect(self, group: int) -> Evaluation:
        """Waits for the group's answer; raises InferenceError when it cannot come."""
