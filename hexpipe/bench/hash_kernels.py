"""Priors and values from a hash of the position: an evaluator that costs almost nothing and still grows real trees."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _mixed(state):
    state = (state ^ (state >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return state ^ (state >> np.uint64(32))


@njit(cache=True, nogil=True)
def _number(codes, i):
    """A hash of row ``i``: one sum, so that the loop is vectorised, with an odd factor for each place."""
    lanes = np.uint32(0)
    for c in range(codes.shape[1]):
        factor = np.uint32(np.uint32(c) * np.uint32(0x9E3779B2)) + np.uint32(0x85EBCA6B)
        lanes += np.uint32(np.uint32(codes[i, c] + 1) * np.uint32(factor))
    return np.uint64(lanes) * np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True, inline="always")
def _write_values(values, i, state):
    # 4096 steps to a value; the two seats' values add up to 0
    value = np.float32(state >> np.uint64(52)) / np.float32(4095) - np.float32(0.5)
    for seat in range(values.shape[1]):
        values[i, seat] = value if seat % 2 == 0 else -value


@njit(cache=True, nogil=True)
def hash_roots(codes, rows, pool):
    """Put a number for each of codes int8[R, C] into ``pool`` uint64[rows]: latents that cost nothing."""
    for i in range(codes.shape[0]):
        pool[rows[i]] = _mixed(_number(codes, i))


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def hash_children(parents, actions, rows, pool, priors, values):
    """Put a number for each child into ``pool`` and fill ``priors`` float32[K, A] (over all actions) and ``values``
    float32[K, S] (zero-sum for two seats, within 0.5 of 0) from it."""
    num_actions = priors.shape[1]
    for i in range(rows.shape[0]):
        state = _mixed(pool[parents[i]] + np.uint64(actions[i] + 1) * np.uint64(0x9E3779B97F4A7C15))
        pool[rows[i]] = state
        _write_values(values, i, state)
        seed = np.uint32(state >> np.uint64(16))
        total = np.float32(0)
        for action in range(num_actions):
            weight = _weight(seed, action)
            priors[i, action] = weight
            total += weight
        scale = np.float32(1) / total
        for action in range(num_actions):
            priors[i, action] *= scale


@njit(cache=True, nogil=True, inline="always")
def _weight(seed, action):
    # 32-bit arithmetic (numba widens each result), so that loops over it are vectorised; the upper 20 bits become a
    # weight in [0, 1)
    mixed = np.uint32((seed + np.uint32(action)) * np.uint32(0x9E3779B1))
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x85EBCA77))
    weight = np.float32(np.int32(mixed >> np.uint32(12))) * np.float32(1.0 / 1048576.0)
    return weight * weight * weight + np.float32(0.001)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def hash_evaluate(codes, priors, values):
    """Fill ``priors`` float32[L, A] (uneven, over the actions whose code is 0; no swap) and ``values`` float32[L, S]
    (zero-sum for two seats, within 0.5 of 0) from a hash of ``codes`` int8[L, C]."""
    num_actions = priors.shape[1]
    for i in range(codes.shape[0]):
        state = _mixed(_number(codes, i))
        _write_values(values, i, state)
        seed = np.uint32(state >> np.uint64(16))
        total = np.float32(0)
        for action in range(num_actions):
            weight = _weight(seed, action)
            weight = weight if codes[i, action] == 0 else np.float32(0)
            priors[i, action] = weight
            total += weight
        scale = np.float32(1) / total
        for action in range(num_actions):
            priors[i, action] *= scale
