"""Which old games are taken, when, and that what they cost stays under what new ones pay for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord
from hexpipe.selfplay.old_games import OldGames
from tests.selfplay.old_games import random_old_game

GAME = Hex(4)


class Held:
    """A replay buffer and an archive of a few games, numbered from 1."""

    def __init__(self, records: list[GameRecord]) -> None:
        self.records = records
        self.first = 1
        self.reads = 0

    def held_game(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.first, len(self.records) + 1))

    def read(self, number: int) -> GameRecord:
        self.reads += 1
        return self.records[number - 1]


def held(count: int = 20) -> Held:
    return Held([random_old_game(GAME, seed) for seed in range(count)])


def old_games(held: Any, ratio: float, seed: int = 0, positions: int = 0) -> OldGames:
    return OldGames(held, held, ratio, np.random.default_rng(seed), positions)


def test_no_more_positions_than_new_ones_pay_for_and_nearly_as_many() -> None:
    for ratio in (0.3, 1.0, 2.5):
        games = old_games(held(), ratio)
        taken = 0
        for new in range(0, 400, 3):
            while (old := games.take(new, version=1 + new)) is not None:
                taken += old.record.num_positions
                games.done(old.number, 1 + new)
                assert games.pays
            assert taken == games.positions <= ratio * new
            assert not games.pays
            assert ratio * new - taken < 16, "a game has 16 plies at the most"
        assert taken > 0


def test_a_replacement_goes_on_with_the_count() -> None:
    games = old_games(held(), 1.0, positions=100)
    assert games.take(100, 1) is None
    assert games.take(120, 1) is not None


def test_long_games_are_drawn_as_often_as_short_ones() -> None:
    """Also where new positions come one by one, and short games could be paid for first."""
    games = held()
    lengths = [record.num_plies for record in games.records]
    assert max(lengths) >= min(lengths) + 4
    drawn: Counter[int] = Counter()
    old = old_games(games, 1.0)
    for new in range(20_000):
        found = old.take(new, version=1 + new)
        if found is not None:
            drawn[found.number] += 1
            old.done(found.number, 1 + new)
    assert len(drawn) == 20
    share = 20_000 / np.mean(lengths) / 20
    assert all(0.6 * share < count < 1.4 * share for count in drawn.values())


def test_what_these_weights_have_searched_or_played_is_passed_over() -> None:
    games = held(3)
    games.records[1] = replace(games.records[1], weights_version=5)
    old = old_games(games, 1.0)
    taken = [found for _ in range(10) if (found := old.take(1000, version=5)) is not None]
    assert sorted(found.number for found in taken) == [1, 3], "the second was played by weights 5, or newer ones"
    assert old.pays, "it waits for weights, not for positions"
    for found in taken:
        old.done(found.number, 5)
    assert old.take(1000, version=5) is None
    reads = games.reads
    assert old.take(1000, version=5) is None
    assert games.reads == reads, "what is known is not read again"
    assert sorted(old.take(1000, version=6).number for _ in range(3)) == [1, 2, 3]  # type: ignore[union-attr]
    assert old.take(1000, version=6) is None, "all are under way"
    old.done(2, 5)
    again = old.take(1000, version=6)
    assert again is not None
    assert again.number == 2, "searched with weights that were older than those asked for"


def test_what_it_remembers_is_no_more_than_what_is_held() -> None:
    games = held()
    old = old_games(games, 1.0)
    for version in range(1, 50):
        while (found := old.take(10**6, version)) is not None:
            old.done(found.number, version)
        assert len(old._searched) <= 20
        games.records.append(random_old_game(GAME, version))
        games.first += 1
