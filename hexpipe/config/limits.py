"""How near a run is to its limits; the one place that says so.

``minutes`` are those of this part of the run, ``games`` and ``steps`` those of all its parts. What a caller leaves out
has not begun for it: who must not go by the clock says no minutes.
"""

from __future__ import annotations

from hexpipe.config.sections import LimitSettings


def limits_in_words(limits: LimitSettings) -> list[str]:
    """Name the limits that there are: "10 minutes", "500 games", "1000 training steps"."""
    return [words for words, _ in _shares(limits)]


def limit_reached(limits: LimitSettings, minutes: float = 0.0, games: float = 0, steps: float = 0) -> str:
    """Say which limit is reached, as in "the limit of 10 minutes is reached"; empty where none is."""
    reached = (words for words, share in _shares(limits, minutes, games, steps) if share >= 1)
    return next((f"the limit of {words} is reached" for words in reached), "")


def share_done(limits: LimitSettings, minutes: float = 0.0, games: float = 0, steps: float = 0) -> float | None:
    """Give the share of the run that is over, 0 to 1, by its nearest limit; None where there is no limit."""
    shares = [share for _, share in _shares(limits, minutes, games, steps)]
    return min(1.0, max(shares)) if shares else None


def _shares(limits: LimitSettings, minutes: float = 0.0, games: float = 0, steps: float = 0) -> list[tuple[str, float]]:
    """The limits that there are in words, each with the share of it that is done."""
    all_limits = (
        (f"{limits.minutes:g} minutes", limits.minutes, minutes),
        (f"{limits.games} games", limits.games, games),
        (f"{limits.steps} training steps", limits.steps, steps),
    )
    return [(words, done / limit) for words, limit, done in all_limits if limit]
