"""The scale of a run's checkpoints: its 0, how it goes on when checkpoints are deleted, and who plays whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexpipe.arena.checkpoint_ratings import (
    REACH_ELO,
    choose_opponents,
    opponents_met,
    player_name,
    rate_checkpoints,
    rated_steps,
)
from hexpipe.arena.results import PlayedGame, Results

RULES = "Hex 4x4"


def pair(a: int, b: int, points: float, simulations: int = 8) -> list[PlayedGame]:
    """A pair of games of which the checkpoint of step ``a`` takes 2 * ``points`` of 2 points from that of ``b``."""
    first, second = player_name(a, simulations), player_name(b, simulations)
    return [PlayedGame(first, second, points, (0, 1), 1), PlayedGame(second, first, 1 - points, (0, 2), 1)]


def test_the_oldest_checkpoint_is_the_scales_0_and_may_be_long_gone(tmp_path: Path) -> None:
    with Results(tmp_path / "ratings.sqlite") as results:
        results.add_units(RULES, [pair(20, 10, 1.0)] * 6 + [pair(20, 10, 0.0)] * 2)
        results.add_units(RULES, [pair(30, 20, 1.0)] * 6 + [pair(30, 20, 0.0)] * 2)
        results.add_units(RULES, [pair(30, 5, 1.0, simulations=16)])
        results.add_units("Hex 5x5", [pair(40, 30, 1.0)])
        assert rated_steps(results, RULES, 8) == [10, 20, 30]
        ratings = rate_checkpoints(results, RULES, 8, 30)
        assert ratings[10] == (0.0, 0.0)
        assert ratings[20].elo == pytest.approx(ratings[30].elo / 2) == pytest.approx(182, abs=12)
        assert 0 < ratings[20].error < ratings[30].error
        assert rate_checkpoints(results, RULES, 8, 40) == {}
        assert opponents_met(results, RULES, 8, 20) == [10, 30]
        assert opponents_met(results, RULES, 8, 40) == []


def test_checkpoints_that_no_game_connects_have_a_scale_of_their_own(tmp_path: Path) -> None:
    with Results(tmp_path / "ratings.sqlite") as results:
        results.add_units(RULES, [pair(20, 10, 1.0), pair(90, 80, 1.0)])
        assert set(rate_checkpoints(results, RULES, 8, 20)) == {10, 20}
        late = rate_checkpoints(results, RULES, 8, 90)
        assert (set(late), late[80].elo) == ({80, 90}, 0.0)


def test_whom_a_checkpoint_plays() -> None:
    assert choose_opponents(10, [10], {}, [], 3) == []
    assert choose_opponents(40, [10, 20, 30, 40], {}, [], 3) == [10], "the first of all begins the scale"
    ratings = {step: float(step) for step in range(0, 401, 50)}
    there = [*ratings, 450]
    assert choose_opponents(450, there, ratings, [], 1) == [400], "the one before it"
    assert choose_opponents(450, there, ratings, [], 3) == [400, 50, 350], "and others apart from each other"
    assert choose_opponents(450, there, ratings, [], 99) == [400, *range(50, 400, 50)]
    assert choose_opponents(450, there, ratings, [200, 100], 3) == [100, 200, 400], "what was begun goes on"
    assert choose_opponents(450, [450, 100], ratings, [], 3) == [100], "who is gone plays no more"
    far = {10: 0.0, 20: REACH_ELO + 1, 30: 20.0}
    assert choose_opponents(40, [10, 20, 30, 40], far, [], 3) == [30, 20], "no game against who is far too weak"
