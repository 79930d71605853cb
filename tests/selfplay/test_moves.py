"""Drawing moves: the distribution is the one asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.selfplay.moves import choose_moves, sample_rows

DRAWS = 20_000


def shares(moves: np.ndarray, num_actions: int) -> list[float]:
    return cast(list[float], (np.bincount(moves, minlength=num_actions) / len(moves)).tolist())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_choose_moves_follows_the_visits(temperature: float) -> None:
    visits = np.array([0, 10, 5, 0, 1, 84, 0], np.int32)
    counts = np.tile(visits, (DRAWS, 1))
    best, temperatures = np.full(DRAWS, 5, np.int32), np.full(DRAWS, temperature, np.float32)
    moves = choose_moves(counts, best, temperatures, np.random.default_rng(0))
    wanted = visits ** (1 / temperature)
    wanted = wanted / wanted.sum()
    # four standard deviations of a share of DRAWS draws
    assert np.abs(np.array(shares(moves, 7)) - wanted).max() < 4 * 0.5 / DRAWS**0.5
    assert not np.isin(moves, [0, 3, 6]).any()


def test_choose_moves_takes_the_best_where_nothing_is_drawn() -> None:
    counts = np.array([[1, 9], [1, 9], [1000, 0]], np.int32)
    best = np.array([0, 1, 1], np.int32)
    rng = np.random.default_rng(0)
    drawn = choose_moves(counts, best, np.array([0, 0, 1], np.float32), rng)
    assert drawn.tolist() == [0, 1, 0]
    assert choose_moves(counts, best, np.zeros(3, np.float32), rng).tolist() == best.tolist()
    assert best.tolist() == [0, 1, 1]


def test_every_game_is_drawn_with_its_own_temperature() -> None:
    counts = np.tile(np.array([90, 10], np.int32), (DRAWS, 1))
    temperatures = np.tile(np.array([0.5, 2.0], np.float32), DRAWS // 2)
    moves = choose_moves(counts, np.zeros(DRAWS, np.int32), temperatures, np.random.default_rng(0))
    assert shares(moves[::2], 2) == pytest.approx([81 / 82, 1 / 82], abs=0.01)
    assert shares(moves[1::2], 2) == pytest.approx([3 / 4, 1 / 4], abs=0.02)


def test_a_low_temperature_takes_the_most_visited() -> None:
    counts = np.tile(np.array([50, 49, 1], np.int32), (200, 1))
    moves = choose_moves(counts, np.zeros(200, np.int32), np.full(200, 1e-3, np.float32), np.random.default_rng(0))
    assert set(moves.tolist()) == {0}


def test_a_high_temperature_is_near_uniform_over_visited_moves() -> None:
    counts = np.tile(np.array([0, 1000, 1, 30], np.int32), (DRAWS, 1))
    temperatures = np.full(DRAWS, 1e6, np.float32)
    moves = choose_moves(counts, np.zeros(DRAWS, np.int32), temperatures, np.random.default_rng(0))
    assert shares(moves, 4) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.02)


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-6, 0.5, 1.0, 3.0]), min_size=1, max_size=8).filter(any),
    point=st.sampled_from([0.0, 0.25, 0.5, 1 - 2.0**-53]),
)
def test_sample_rows_never_takes_what_has_no_weight(weights: list[float], point: float) -> None:
    """Whatever the generator draws from [0, 1)."""
    rng: Any = SimpleNamespace(random=lambda shape: np.full(shape, point))
    chosen = int(sample_rows(np.array([weights], np.float32), rng)[0])
    assert weights[chosen] > 0
    below = sum(weights[:chosen]) / sum(weights)
    assert below - 1e-6 <= point <= below + weights[chosen] / sum(weights) + 1e-6
