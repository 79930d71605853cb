"""The ratings of one run's checkpoints: how they are called in a file of results, their scale, and whom one plays.

The scale's 0 is the oldest checkpoint that games connect with the one that is asked for: of a new run the weights that
it began with, as step 0. Results stay when a checkpoint is deleted, so that the scale goes on through those that have
played both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

from hexpipe.arena.ratings import Rating, rate
from hexpipe.arena.results import Results

REACH_ELO = 400.0
"""Who is further below the best is no opponent: its games are won before they begin, and say little."""

_NAME = re.compile(r"step-(\d{8,})@(\d+)")


def player_name(step: int, simulations: int) -> str:
    """Return what the checkpoint of ``step`` is called when it searches ``simulations`` a move: "step-00001234@32".

    The run's folder is no part of it: it may be renamed between two parts of a run.
    """
    return f"step-{step:08d}@{simulations}"


def rated_steps(results: Results, rules: str, simulations: int) -> list[int]:
    """Return steps of the checkpoints that have played by ``rules`` with ``simulations`` a move, rising."""
    matches = [_NAME.fullmatch(name) for name in results.players(rules)]
    return sorted(int(match[1]) for match in matches if match and int(match[2]) == simulations)


def rate_checkpoints(results: Results, rules: str, simulations: int, step: int) -> dict[int, Rating]:
    """Return ratings by step of the checkpoint of ``step`` and of all that games connect with it, the oldest of which
    has 0; empty where it has not played."""
    steps = rated_steps(results, rules, simulations)
    if step not in steps:
        return {}
    units = results.units(rules, [player_name(known, simulations) for known in steps])
    connected = rate(units, len(steps), steps.index(step))
    anchor = next(number for number, rating in enumerate(connected) if not math.isnan(rating.elo))
    ratings = rate(units, len(steps), anchor)
    return {known: rating for known, rating in zip(steps, ratings, strict=True) if not math.isnan(rating.elo)}


def opponents_met(results: Results, rules: str, simulations: int, step: int) -> list[int]:
    """Return steps of the checkpoints that the one of ``step`` has played, rising."""
    steps = rated_steps(results, rules, simulations)
    if step not in steps:
        return []
    own = steps.index(step)
    units = results.units(rules, [player_name(known, simulations) for known in steps])
    return sorted({steps[unit.a + unit.b - own] for unit in units if own in (unit.a, unit.b)})


def choose_opponents(
    step: int, there: Collection[int], ratings: Mapping[int, float], met: Collection[int], count: int
) -> list[int]:
    """Return at most ``count`` opponents for the checkpoint of ``step``, of the steps that are ``there`` to be loaded.

    Those it has ``met`` come first, so that what was interrupted goes on; then the last that has one of ``ratings``
    (Elo by step), which is most like it; then others of them, spread evenly over the ratings within REACH_ELO of the
    best. Where nobody has a rating the oldest older one is its opponent, if there is one: the 0 of a new scale.
    """
    rated = sorted(known for known in there if known in ratings and known != step)
    if not rated:
        return [known for known in sorted(there) if known < step][:1]
    begun = [known for known in rated if known in met]
    best = max(ratings[known] for known in rated)
    others = [known for known in rated if known not in met and known != rated[-1] and ratings[known] > best - REACH_ELO]
    others.sort(key=lambda known: ratings[known])
    chosen = begun if rated[-1] in begun else [*begun, rated[-1]]
    return [*chosen, *_spread(others, count - len(chosen))][:count]


def _spread(items: Sequence[int], count: int) -> list[int]:
    """``count`` of ``items`` at even distances, from the first to the last; the middle one where one is asked for."""
    if count >= len(items):
        return list(items)
    if count <= 1:
        return [items[len(items) // 2]] * max(0, count)
    return [items[round(number * (len(items) - 1) / (count - 1))] for number in range(count)]
