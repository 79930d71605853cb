"""Thinkers: what they ask of an engine in which time, and games between them on any board."""

from __future__ import annotations

import pytest

from hexpipe.arena.thinker import NetThinker, RandomThinker
from hexpipe.games.hex import Hex
from tests.clock import TestClock
from tests.htp.thinkers import HashEngine


def recorded(simulations: int | None = None, seconds: float | None = None) -> tuple[NetThinker, list[HashEngine]]:
    made: list[HashEngine] = []

    def make(board_size: int, swap: bool) -> HashEngine:
        made.append(HashEngine(board_size, swap))
        return made[-1]

    return NetThinker(make, simulations, seconds), made  # type: ignore[arg-type]


def test_an_engine_is_made_only_for_another_board() -> None:
    thinker, made = recorded()
    for board in ((5, False), (5, False), (5, True), (6, True)):
        thinker.prepare(*board)
    assert [(engine.game.board_size, engine.game.swap) for engine in made] == [(5, False), (5, True), (6, True)]
    with pytest.raises(ValueError, match="prepare"):
        recorded()[0].think([])


def test_without_a_time_the_number_of_simulations_is_what_was_asked_for() -> None:
    for asked in (None, 37):
        thinker, made = recorded(simulations=asked)
        thinker.prepare(5, False)
        thinker.think([1, 2])
        assert made[0].asked[-1] == (asked, None)


def test_the_shorter_time_counts_and_decides_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TestClock(monkeypatch, tick=0.001)
    thinker, made = recorded(seconds=0.2)
    thinker.prepare(7, False)
    began = clock.now
    analysis = thinker.think([], 5.0)
    assert clock.now - began < 0.25
    simulations, seconds = made[0].asked[-1]
    assert seconds == 0.2
    assert simulations is not None
    assert simulations >= 64
    assert analysis.simulations > 0
    thinker.think([], 0.05)
    assert made[0].asked[-1][1] == 0.05


def test_time_and_simulations_together() -> None:
    thinker, made = recorded(simulations=30, seconds=60.0)
    thinker.prepare(5, False)
    assert thinker.think([]).simulations == 30
    assert made[0].asked[-1] == (30, 60.0)


def test_trees_do_not_grow_without_bound() -> None:
    thinker, made = recorded(seconds=1e6)
    thinker.prepare(27, False)
    asked = thinker._room_for(made[0], 1e6)  # type: ignore[arg-type]
    assert asked is not None
    assert asked * 2 * 7 * 27 * 27 < 2**30


def test_chance_plays_legal_games_to_their_end() -> None:
    thinker = RandomThinker(seed=5)
    for size, swap in ((3, False), (5, True)):
        thinker.prepare(size, swap)
        game = Hex(size, swap)
        for _ in range(20):
            moves: list[int] = []
            while game.play(moves).winner[0] < 0:
                analysis = thinker.think(moves)
                assert analysis.priors[analysis.best] > 0
                assert sum(analysis.priors.values()) == pytest.approx(1)
                moves.append(analysis.best)
