"""Chains of stones in a row: their profile at the end of a game, what places it gives, and threats.

A chain is a run of one seat's stones along a row, a column or a diagonal that can be made no longer; a stone with no
neighbour of its own along a direction is a chain of one there, so each stone is in four chains. A seat's *profile* is
how many chains it has of each length. Of two profiles that is higher which has more chains of the greatest length at
which they differ.
"""

from __future__ import annotations

from numba import njit

from hexpipe.games.game_env import (
    Float32Array,
    Int8Array,
    Int16Array,
    Int32Array,
    IntArray,
    States,
    UInt8Array,
)


@njit(cache=True, nogil=True, _nrt=False)
def chain_profiles(cells: Int8Array, row: int, n: int, counts: Int32Array) -> None:
    """Count the chains on cells[row] into ``counts`` int32 [S, M + 1]: [s, k] are those of seat s with k stones, and
    [s, M] those with M or more. Each stone is looked at twice a direction at the most."""
    counts[:, :] = 0
    longest = counts.shape[1] - 1
    for i in range(n):
        for j in range(n):
            stone = cells[row, i * n + j]
            if stone == 0:
                continue
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                k, m = i - down, j - right
                if k >= 0 and 0 <= m < n and cells[row, k * n + m] == stone:
                    continue  # not the first of its chain
                length = 1
                k, m = i + down, j + right
                while k < n and 0 <= m < n and cells[row, k * n + m] == stone:
                    length += 1
                    k, m = k + down, m + right
                counts[stone - 1, min(length, longest)] += 1


@njit(cache=True, nogil=True, _nrt=False)
def _compare(counts: Int32Array, seat: int, other: int, winner: int) -> int:
    """Above 0 where ``seat`` comes before ``other``, below 0 where after, 0 where they share their places."""
    if winner in (seat, other):
        return 1 if winner == seat else -1
    for length in range(counts.shape[1] - 1, 0, -1):
        more: int = counts[seat, length] - counts[other, length]
        if more != 0:
            return more
    return 0


@njit(cache=True, nogil=True, _nrt=False)
def terminal_values(
    states: States,
    rows: IntArray,
    n: int,
    rewards: Float32Array,
    ranked_draws: bool,
    counts: Int32Array,
    out: Float32Array,
) -> None:
    """out float32 [L, S]: the reward of each seat's place, ``rewards`` float32 [S]; 0 while a game goes on.

    The winner is first, the others follow by their profiles; seats of equal profiles each have the mean of the rewards
    of the places that they share. A draw is 0 for all, or with ``ranked_draws`` all places go by profile. ``counts``
    int32 [S, M + 1] is room for profiles, M no less than the longest chain without a win.
    """
    seats = rewards.shape[0]
    for k in range(rows.shape[0]):
        row = rows[k]
        winner = states.winner[row]
        drawn = winner == seats
        if winner < 0 or (drawn and not ranked_draws):
            for seat in range(seats):
                out[k, seat] = 0.0
            continue
        if drawn or seats > 2:
            chain_profiles(states.cells, row, n, counts)
        for seat in range(seats):
            place, sharing, total = 0, 0, 0.0
            for other in range(seats):
                order = 0 if other == seat else _compare(counts, other, seat, winner)
                place += order > 0
                sharing += order == 0
            for shared in range(place, place + sharing):
                total += rewards[shared]
            out[k, seat] = total / sharing


@njit(cache=True, nogil=True, _nrt=False)
def threat_levels(longest: Int16Array, rows: IntArray, win_length: int, out: UInt8Array) -> None:
    """How near each seat is to the end: ``out`` uint8 [L] from ``longest`` int16 [R, S] of ``rows`` [L], the longest
    chains. Two bits a seat, seat 0 lowest: of the lengths win_length - 3, - 2 and - 1, each 1 at the least, how many
    its longest chain reaches; whether that can still grow is not asked.
    """
    for k in range(rows.shape[0]):
        levels = 0
        for seat in range(longest.shape[1]):
            length = longest[rows[k], seat]
            level = 0
            for missing in range(1, 4):
                level += length >= max(1, win_length - missing)
            levels |= level << (2 * seat)
        out[k] = levels
