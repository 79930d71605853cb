from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.config import load_settings
from hexpipe.learner.step_budget import StepBudget


def test_nothing_before_min_games_then_all_positions_count() -> None:
    budget = StepBudget(4.0, 256, min_games=10)
    assert budget.steps_allowed(9, 100_000, 0) == 0
    assert budget.steps_allowed(10, 640, 0) == 10
    assert budget.steps_allowed(10, 640, 7) == 3
    assert budget.steps_allowed(10, 640, 11) == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30), st.floats(0.1, 50), st.integers(1, 512))
def test_ratio_is_exact_over_a_run(added: list[int], ratio: float, batch_size: int) -> None:
    budget = StepBudget(ratio, batch_size, min_games=1)
    total = steps = 0
    for positions in added:
        total += positions
        steps += budget.steps_allowed(1, total, steps)
        assert steps * batch_size <= total * ratio + 1e-6
        assert (steps + 1) * batch_size > total * ratio - 1e-6


def test_resume_continues_with_changed_ratio_and_redoes_lost_steps() -> None:
    first = StepBudget(4.0, 100, min_games=1)
    state = first.state(1000, 40)
    assert first.steps_allowed(5, 1000, 40) == 0
    second = StepBudget(8.0, 100, min_games=1)
    second.restore(state, 1500)
    # 500 positions were played after the checkpoint: they count at the new ratio, the old ones at the old
    assert second.steps_allowed(5, 1500, 40) == 40
    assert second.state(1500, 80) == {"positions": 1500, "steps": 80.0}


def test_resume_without_the_archive_counts_anew() -> None:
    budget = StepBudget(1.0, 10, min_games=1)
    budget.restore({"positions": 1000, "steps": 100.0}, 0)
    assert budget.steps_allowed(1, 50, 100) == 5


def test_from_settings() -> None:
    settings = load_settings("quick", {"learner.replay_ratio": 2.0, "learner.batch_size": 64, "replay.min_games": 3})
    budget = StepBudget.from_settings(settings)
    assert (budget.steps_per_position, budget.min_games) == (pytest.approx(2 / 64), 3)


def test_without_play_steps_are_no_debt_to_later_play() -> None:
    alone = StepBudget(4.0, 256, min_games=100, plays=False)
    assert alone.steps_allowed(0, 0, 0) == 0
    assert alone.steps_allowed(1, 10, 50_000) == 1
    later = StepBudget(4.0, 256, min_games=1)
    later.restore(alone.state(640, 5000), 640)
    assert later.steps_allowed(1, 640, 5000) == 0
    assert later.steps_allowed(1, 640 + 64, 5000) == 1
