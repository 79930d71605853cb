"""Progress of a run towards its limits; the only place that computes it.

``minutes`` are those of this part of the run, ``games`` and ``steps`` those of all its parts. An omitted one counts as
0: a caller that must not depend on the clock omits the minutes.
"""

from __future__ import annotations

from hexpipe.config.sections import LimitSettings


def limits_in_words(limits: LimitSettings) -> list[str]:
    """Return the limits in words: "10 minutes", "500 games", "1000 training steps"."""
    return [words for words, _ in _shares(limits)]


def limit_reached(limits: LimitSettings, minutes: float = 0.0, games: float = 0, steps: float = 0) -> str:
    """Return which limit is reached, as in "the limit of 10 minutes is reached"; empty if none is."""
    reached = (words for words, share in _shares(limits, minutes, games, steps) if share >= 1)
    return next((f"the limit of {words} is reached" for words in reached), "")


def share_done(limits: LimitSettings, minutes: float = 0.0, games: float = 0, steps: float = 0) -> float | None:
    """Return the share of the run that is over, 0 to 1, by its nearest limit; None without limits."""
    shares = [share for _, share in _shares(limits, minutes, games, steps)]
    return min(1.0, max(shares)) if shares else None


def _shares(limits: LimitSettings, minutes: float = 0.0, games: float = 0, steps: float = 0) -> list[tuple[str, float]]:
    """Return the limits in words, each with the share of it that is done."""
    all_limits = (
        (f"{limits.minutes:g} minutes", limits.minutes, minutes),
        (f"{limits.games} games", limits.games, games),
        (f"{limits.steps} training steps", limits.steps, steps),
    )
    return [(words, done / limit) for words, limit, done in all_limits if limit]
