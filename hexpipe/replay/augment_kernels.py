"""The compiled loop of augmentation: each sample of a batch turned by one symmetry, in place."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _turn_codes(
    codes: NDArray[np.int8], row: int, step: int, symmetry: NDArray[np.int16], scratch: NDArray[np.int8]
) -> None:
    for i in range(codes.shape[2]):
        scratch[i] = codes[row, step, i]
    for i in range(codes.shape[2]):
        codes[row, step, i] = scratch[symmetry[i]]


@njit(cache=True, nogil=True)
def permute_samples(
    codes: NDArray[np.int8],
    next_codes: NDArray[np.int8],
    policy: NDArray[np.float32],
    actions: NDArray[np.int16],
    focus: NDArray[np.int16],
    choice: NDArray[np.int64],
    symmetries: NDArray[np.int16],
    inverses: NDArray[np.int16],
    code_symmetries: NDArray[np.int16],
    code_scratch: NDArray[np.int8],
    policy_scratch: NDArray[np.float32],
) -> None:
    """Row b turned by symmetry choice[b], in place: codes int8 [B, 1, C], next_codes int8 [B, U or 0, C], policy
    float32 [B, U + 1, A], actions int16 [B, U], focus int16 [B, U + 1 or 0], whose buckets are turned as cells are.

    ``inverses`` holds the inverse permutations of ``symmetries``; the scratch arrays have one row's length, C and A.
    """
    for b in range(len(choice)):
        k = choice[b]
        if k == 0:
            continue
        _turn_codes(codes, b, 0, code_symmetries[k], code_scratch)
        for u in range(next_codes.shape[1]):
            _turn_codes(next_codes, b, u, code_symmetries[k], code_scratch)
        for u in range(policy.shape[1]):
            for a in range(policy.shape[2]):
                policy_scratch[a] = policy[b, u, a]
            for a in range(policy.shape[2]):
                policy[b, u, a] = policy_scratch[symmetries[k, a]]
        for u in range(actions.shape[1]):
            actions[b, u] = inverses[k, actions[b, u]]
        for u in range(focus.shape[1]):
            if focus[b, u] >= 0:
                focus[b, u] = inverses[k, focus[b, u]]
