"""The interface between a search and its evaluator: answers about a batch of states, in two steps."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers


class Evaluation(NamedTuple):
    """The answers about one submitted batch of L leaves; their arrays are valid until the group's next submit.

    An evaluator of states gives no rewards, because the rules give the result, and without a thumbnail there is no
    focus. version: the weights version of the oldest forward pass in the batch.
    """

    answers: Answers
    version: int


class Moves(NamedTuple):
    """The part of a request for learned dynamics: R roots, whose codes come beside this, and K children.

    parents: int32 [K], latent rows. actions: int32 [K], in the frame of the parent's mover. rows: int32 [R + K], where
    the latents of the roots and then of the children go. Rows are numbered from 0 in each group.
    """

    parents: NDArray[np.int32]
    actions: NDArray[np.int32]
    rows: NDArray[np.int32]


class Evaluator(Protocol):
    """Evaluates batches of int8 codes [L, C]; each group has at most one batch in flight.

    The two steps let one group's search run while another group's batch is on the device.
    """

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Start the evaluation of ``codes`` [L, C] for ``group``, or with ``moves`` of roots and latent children.

        Then ``codes`` [R, C] describe the roots. All is copied before it returns.
        """

    def collect(self, group: int) -> Evaluation:
        """Wait for the group's answer; raises InferenceError when it cannot come."""
