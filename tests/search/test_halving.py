"""Sequential halving's schedule: the properties that the Gumbel paper and mctx give it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.search.halving import HalvingTables, halving_schedule


@given(actions=st.integers(0, 40), simulations=st.integers(1, 300))
def test_every_simulation_finds_an_action_with_its_visit_count(actions: int, simulations: int) -> None:
    counts, stages = halving_schedule(actions, simulations)
    assert len(counts) == len(stages) == simulations
    visits = [0] * max(1, actions)
    for considered in counts:
        visits[visits.index(considered)] += 1
    assert sum(visits) == simulations
    assert stages == sorted(stages)
    assert stages[0] == 0
    assert set(stages) == set(range(stages[-1] + 1))


@given(actions=st.integers(2, 40), simulations=st.integers(1, 300))
def test_a_round_visits_each_action_left_equally(actions: int, simulations: int) -> None:
    counts, stages = halving_schedule(actions, simulations)
    left, rounds = actions, math.ceil(math.log2(actions))
    for stage in range(stages[-1] + 1):
        in_round = Counter(count for count, s in zip(counts, stages, strict=True) if s == stage)
        times = max(1, simulations // (rounds * left))
        if stage < stages[-1]:  # the last round may be cut short
            assert set(in_round.values()) == {left}
            assert len(in_round) == times
        assert max(in_round.values()) <= left
        left = max(2, left // 2)


def test_first_visits_go_to_as_many_actions_as_take_part() -> None:
    counts, _ = halving_schedule(16, 100)
    assert counts.count(0) == 16
    # 100 // (4 * 16) = 1 visit for each of 16, 3 for each of 8, 6 for each of 4, 12 for the last 2: 16 + 24 + 24 + 24
    assert [counts.count(n) for n in range(1, 4)] == [8, 8, 8]
    assert [counts.count(n) for n in range(4, 10)] == [4] * 6
    assert [counts.count(n) for n in range(10, 22)] == [2] * 12


def test_a_power_of_two_of_simulations_spends_the_same_in_each_round() -> None:
    _, stages = halving_schedule(16, 64)
    assert Counter(stages) == {0: 16, 1: 16, 2: 16, 3: 16}


@pytest.mark.parametrize("actions", [0, 1])
def test_one_action_takes_all(actions: int) -> None:
    assert halving_schedule(actions, 5) == ([0, 1, 2, 3, 4], [0] * 5)


def test_tables_hold_the_schedules_of_every_number_of_simulations() -> None:
    tables = HalvingTables(3, 6)
    assert tables.counts.dtype == tables.rounds.dtype == np.int32
    assert tables.counts.tolist() == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2]]
    assert tables.rounds.tolist() == [[0] * 6, [0] * 6, [0] * 6, [0, 0, 0, 1, 1, 2]]

    wanted = np.array([4, 6, 2, 4], np.int32)
    assert tables.first_rows(wanted).tolist() == [8, 0, 4, 8]
    for first, simulations in zip(tables.first_rows(wanted), wanted, strict=True):
        for actions in range(4):
            counts, rounds = halving_schedule(actions, simulations)
            assert tables.counts[first + actions, :simulations].tolist() == counts
            assert tables.rounds[first + actions, :simulations].tolist() == rounds
    assert tables.counts.shape == (3 * 4, 6)
