"""Ratings of players from the games between them, with standard errors, and the test that ends a match in time.

The model is that of Bradley and Terry (1952): player a takes a point from player b with probability
1 / (1 + 10 ** ((r_b - r_a) / 400)), a draw being half a point to each. Ratings are its maximum-likelihood estimate
after one virtual drawn game between every two players that have met, without which a player who won everything would
be infinitely strong (Coulom's BayesElo has such a prior; Hunter 2004, "MM algorithms for generalized Bradley-Terry
models", section 5, on why there must be one).

Games come in units: the two games of a pair share their opening with colours swapped, so that their results hang
together. Standard errors are of units, not of games: the sandwich H^-1 (sum of g g') H^-1 of the Hessian H of the log
likelihood and the gradients g of the units (Huber 1967; White 1982, theorem 3.2). There a virtual game counts as one
that was decided: a few pairs that all ended alike do not show that chance has no part in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

ELO = 400.0 / math.log(10.0)
"""Elo points of one unit of log-odds."""
_NEWTON_STEPS = 100
_CLOSE_ENOUGH = 1e-10


class Unit(NamedTuple):
    """``games`` games between players ``a`` and ``b`` with one opening, of which a took ``score`` points."""

    a: int
    b: int
    score: float
    games: int


class Rating(NamedTuple):
    """Elo and its standard error against the anchor (0 of itself); both nan where no games lead there."""

    elo: float
    error: float


def rate(units: Iterable[Unit], players: int, anchor: int = 0, anchor_elo: float = 0.0) -> list[Rating]:
    """Return the rating of each of ``players`` players, that of ``anchor`` being ``anchor_elo``.

    ValueError where a unit names no player, or more points than games.
    """
    given = list(units)
    for unit in given:
        if not (0 <= unit.a < players and 0 <= unit.b < players and unit.a != unit.b):
            raise ValueError(f"{unit} is not between two of {players} players")
        if not 0 <= unit.score <= unit.games:
            raise ValueError(f"{unit} has a score that its games cannot give")
    connected = _connected(given, players, anchor)
    free = [p for p in sorted(connected) if p != anchor]
    place = {player: i for i, player in enumerate(free)}
    given = [unit for unit in given if unit.a in connected]
    met = sorted({(min(unit.a, unit.b), max(unit.a, unit.b)) for unit in given})
    given += [Unit(a, b, 0.5, 1) for a, b in met]
    ratings, errors = np.full(players, np.nan), np.full(players, np.nan)
    ratings[anchor], errors[anchor] = anchor_elo, 0.0
    if free:
        strengths, covariance = _estimate(given, place, len(met))
        ratings[free] = anchor_elo + ELO * strengths
        errors[free] = ELO * np.sqrt(np.maximum(np.diag(covariance), 0.0))  # rounding may pass 0
    return [Rating(float(elo), float(error)) for elo, error in zip(ratings, errors, strict=True)]


def expected_score(difference: float) -> float:
    """Return points a game of the stronger of two players who are ``difference`` Elo apart."""
    return 1.0 / (1.0 + math.exp(-difference / ELO))


def _connected(units: Sequence[Unit], players: int, anchor: int) -> set[int]:
    """Return players that a chain of games joins to ``anchor``, with it."""
    neighbours: dict[int, set[int]] = {player: set() for player in range(players)}
    for unit in units:
        neighbours[unit.a].add(unit.b)
        neighbours[unit.b].add(unit.a)
    found, open_ = {anchor}, [anchor]
    while open_:
        for player in neighbours[open_.pop()] - found:
            found.add(player)
            open_.append(player)
    return found


def _estimate(
    units: Sequence[Unit], place: dict[int, int], virtual: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return strengths float64 [F] in log-odds of the players of ``place``, against one that is 0, and their
    covariance; the last ``virtual`` units, one at the least, are the virtual games."""
    count = len(place)  # is the place of the anchor too, which is cut off
    first = np.array([place.get(unit.a, count) for unit in units])
    second = np.array([place.get(unit.b, count) for unit in units])
    scores, games = (np.array([unit[k] for unit in units], np.float64) for k in (2, 3))

    def gradient(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(count + 1)
        np.add.at(total, first, residuals)
        np.add.at(total, second, -residuals)
        return total[:count]

    def spread(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum over units of weight * (e_a - e_b) (e_a - e_b)^T."""
        total = np.zeros((count + 1, count + 1))
        for rows, columns, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
            np.add.at(total, (rows, columns), sign * weights)
        return total[:count, :count]

    strengths = np.zeros(count + 1)
    for _ in range(_NEWTON_STEPS):
        chances = 1.0 / (1.0 + np.exp(strengths[second] - strengths[first]))
        step = np.linalg.solve(spread(games * chances * (1.0 - chances)), gradient(scores - games * chances))
        strengths[:count] += np.clip(step, -2.0, 2.0)  # a whole step from far away can leap over the top
        if np.abs(step).max() < _CLOSE_ENOUGH:
            break
    chances = 1.0 / (1.0 + np.exp(strengths[second] - strengths[first]))
    bread = np.linalg.inv(spread(games * chances * (1.0 - chances)))
    squares = (scores - games * chances) ** 2
    squares[-virtual:] = 0.25
    covariance: NDArray[np.float64] = bread @ spread(squares) @ bread
    return strengths[:count], covariance


class Decision(NamedTuple):
    """The state of a match: the log-likelihood ratio, its bounds, and who is better if that is decided."""

    llr: float
    lower: float
    upper: float
    verdict: Literal["a", "b", "open"]


def sequential_test(units: Sequence[Unit], margin_elo: float = 20.0, error: float = 0.05) -> Decision:
    """Test whether the games between a and b, the first and second player of every unit, decide who is better.

    A sequential probability ratio test (Wald 1945) of "a is ``margin_elo`` Elo above b" against "as far below", each
    to be wrong with probability ``error``: the generalised one with normal scores by units (Van den Bergh, "The
    generalized sequential probability ratio test", 2020), whose variance is that seen, with half a unit of each
    result added so that it is never 0. It may be asked after every unit.
    """
    bound = math.log((1.0 - error) / error)
    if not units:
        return Decision(0.0, -bound, bound, "open")
    shares = np.array([unit.score / unit.games for unit in units])
    seen = np.concatenate((shares, [0.0, 0.5, 1.0]))
    weights = np.concatenate((np.ones(len(shares)), [0.5, 0.5, 0.5]))
    mean = float(np.average(seen, weights=weights))
    variance = float(np.average((seen - mean) ** 2, weights=weights))
    high, low = expected_score(margin_elo), expected_score(-margin_elo)
    llr = len(units) * (high - low) * (2.0 * float(shares.mean()) - high - low) / (2.0 * variance)
    verdict: Literal["a", "b", "open"] = "a" if llr >= bound else "b" if llr <= -bound else "open"
    return Decision(llr, -bound, bound, verdict)
