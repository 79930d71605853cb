"""Ratings: against the closed form, known strengths and their own errors; the sequential test keeps its promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena.ratings import ELO, Unit, expected_score, rate, sequential_test


def test_two_players_have_the_closed_form() -> None:
    anchor, other = rate([Unit(0, 1, 6, 24), Unit(0, 1, 1.5, 5)], 2, anchor_elo=1000)
    assert anchor == (1000.0, 0.0)
    assert other.elo == pytest.approx(1000 + ELO * math.log(22 / 8))  # 21.5 and 7.5 points and a virtual draw


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_order_and_names_do_not_matter(seed: int, players: int) -> None:
    rng = np.random.default_rng(seed)
    units = []
    for _ in range(30):
        a, b = rng.choice(players, 2, replace=False).tolist()
        units.append(Unit(a, b, float(rng.integers(0, 5) / 2), 2))
    ratings = rate(units, players)
    turned = rate([Unit(u.b, u.a, u.games - u.score, u.games) for u in reversed(units)], players)
    np.testing.assert_allclose(turned, ratings, atol=1e-6)


def test_errors_are_those_seen_when_the_tournament_is_played_again() -> None:
    true = np.array([0.0, 120.0, -80.0, 300.0])
    rng = np.random.default_rng(3)
    found, errors = [], []
    for _ in range(300):
        units = []
        for a in range(4):
            for b in range(a):
                chance = expected_score(true[a] - true[b])
                units += [Unit(a, b, float(rng.binomial(2, chance)), 2) for _ in range(25)]
        ratings = rate(units, 4)
        found.append([rating.elo for rating in ratings])
        errors.append([rating.error for rating in ratings])
    spread = np.std(found, axis=0)[1:]
    np.testing.assert_allclose(np.mean(found, axis=0), true, atol=12)  # the virtual draws pull a little
    np.testing.assert_allclose(np.mean(errors, axis=0)[1:], spread, rtol=0.15)


def test_pairs_that_hang_together_have_smaller_errors_than_their_games_alone() -> None:
    """Where the first player always wins, every pair is 1 to 1: nothing is left to chance."""
    paired = rate([Unit(0, 1, 1.0, 2)] * 50, 2)[1]
    alone = rate([Unit(0, 1, float(i % 2), 1) for i in range(100)], 2)[1]
    assert paired.elo == pytest.approx(0, abs=1e-6)
    assert 0 < paired.error < 0.2 * alone.error


def test_a_few_pairs_that_end_alike_do_not_show_equal_strength() -> None:
    errors = [rate([Unit(0, 1, 1.0, 2)] * pairs, 2)[1].error for pairs in (2, 10, 100)]
    assert errors == sorted(errors, reverse=True)
    assert 10 < errors[1] < 25


def test_who_won_all_is_finite_and_who_never_met_is_unknown() -> None:
    ratings = rate([Unit(1, 0, 10, 10), Unit(3, 2, 1, 2)], 4)
    assert 300 < ratings[1].elo < 700
    assert ratings[1].error > 50
    assert all(math.isnan(rating.elo) and math.isnan(rating.error) for rating in ratings[2:])
    assert rate([], 1) == [(0.0, 0.0)]


@pytest.mark.parametrize("unit", [Unit(0, 0, 1, 2), Unit(0, 2, 1, 2), Unit(0, 1, 3, 2), Unit(0, 1, -1, 2)])
def test_impossible_units_are_refused(unit: Unit) -> None:
    with pytest.raises(ValueError):
        rate([unit], 2)


@pytest.mark.parametrize("difference", [-20.0, 20.0, 80.0])
def test_the_sequential_test_is_seldom_wrong(difference: float) -> None:
    rng = np.random.default_rng(5)
    chance, wrong, lengths = expected_score(difference), 0, []
    for _ in range(120):
        units: list[Unit] = []
        while (decision := sequential_test(units)).verdict == "open":
            units += [Unit(0, 1, float(rng.binomial(2, chance)), 2) for _ in range(10)]
        wrong += decision.verdict != ("a" if difference > 0 else "b")
        lengths.append(len(units))
    assert wrong <= 12  # 6 are promised
    assert np.mean(lengths) < (200 if difference == 80 else 600)


def test_the_sequential_test_of_nothing_is_open() -> None:
    assert sequential_test([]).verdict == "open"
    assert sequential_test([Unit(0, 1, 2, 2)]).verdict == "open"
