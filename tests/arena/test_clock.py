"""Clocks: GTP's settings, and shares that never use a time up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena.clock import LEAST_TO_COME, MARGIN, Clock


def clock(main: float, period: float, moves: int) -> Clock:
    made = Clock()
    made.configure(main, period, moves)
    return made


@pytest.mark.parametrize("settings", [None, (0, 0, 0), (0, 5, 0), (60, 5, 0)])
def test_no_limit(settings: tuple[float, float, int] | None) -> None:
    free = clock(*settings) if settings else Clock()
    free.spend(0, 1000)
    assert free.left(0) is None
    assert free.share(0, 10) is None


def test_main_time() -> None:
    made = clock(10, 0, 0)
    assert made.left(0) == made.left(1) == (10, 0)
    assert made.share(0, 33) == pytest.approx((10 - MARGIN) / 33)
    assert made.share(0, 0) == pytest.approx((10 - MARGIN) / LEAST_TO_COME)
    made.spend(0, 4)
    assert made.left(0) == (6, 0)
    assert made.left(1) == (10, 0)
    made.spend(0, 7)
    assert made.left(0) == (0, 0)
    assert made.share(0, 10) == 0
    made.restart()
    assert made.left(0) == (10, 0)


def test_overtime() -> None:
    made = clock(10, 30, 3)
    assert made.share(0, 100) == pytest.approx(9.9)  # what is left of the main time would be lost
    made.spend(0, 12)
    assert made.left(0) == (28, 2)
    assert made.share(0, 100) == pytest.approx((28 - MARGIN) / 2)
    made.spend(0, 20)
    assert made.left(0) == (8, 1)
    made.spend(0, 5)
    assert made.left(0) == (30, 3)  # the next period
    made.spend(0, 31)
    assert made.left(0) == (0, 2)
    assert clock(0, 30, 3).left(1) == (30, 3)


def test_what_the_controller_says_counts() -> None:
    made = Clock()
    made.set_left(1, 5, 2)
    assert made.left(1) == (5, 2)
    made.set_left(1, -3, 0)
    assert made.left(1) == (0, 0)


@settings(deadline=None)
@given(
    st.floats(MARGIN, 1000),
    st.sampled_from([(0, 0), (5, 1), (30, 5)]),
    st.lists(st.integers(0, 200), min_size=1, max_size=300),
)
def test_shares_never_use_a_time_up(main: float, overtime: tuple[float, int], to_come: list[int]) -> None:
    made = clock(main, *overtime)
    for moves in to_come:
        share = made.share(0, moves)
        before = made.left(0)
        assert share is not None
        assert before is not None
        assert 0 <= share <= max(0.0, before[0] - MARGIN) + 1e-9
        made.spend(0, share)
        after = made.left(0)
        assert after is not None
        assert after[0] >= MARGIN - 1e-6
