"""Everyone against everyone, in pairs of games with one opening and colours swapped, until it is decided who is better.

All games of a round are played side by side, so that a net's batches hold the positions of all its games.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.contestants import Contestant
from hexpipe.arena.match import FORFEITED, PLAYED_OUT, play_match
from hexpipe.arena.ratings import Rating, Unit, rate, sequential_test
from hexpipe.arena.results import PlayedGame
from hexpipe.errors import SettingsError
from hexpipe.games.board_moves import after_moves, legal_moves
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.random_streams import Stream, generator

_TRIES = 1000  # random openings drawn in search of a new one


class Plan(NamedTuple):
    """The course of a tournament: at most ``pairs`` of games between every two players, ``round_pairs`` at a time; the
    sequential test's ``margin_elo`` and ``error``, 0 for no test.

    The first pair of games begins with the first of ``openings`` (moves of the whole board), and so on; pairs that are
    more than these begin with ``opening_plies`` at random.
    """

    pairs: int = 100
    round_pairs: int = 10
    opening_plies: int = 2
    margin_elo: float = 20.0
    error: float = 0.05
    openings: Sequence[Sequence[int]] = ()


@dataclass
class Tournament:
    """Players, their games so far as units, and what is still to be played."""

    game: Game
    contestants: Sequence[Contestant]
    plan: Plan
    seed: int = 0
    units: list[Unit] = field(default_factory=list)
    forfeits: Counter[str] = field(default_factory=Counter)
    """Games that a player lost because it could not go on, by its name."""
    _openings: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.game.num_seats != 2:
            words = f"tournaments are for games of two players, {self.game.name} has three here"
            raise SettingsError(words, kind="conflict", setting="game.players")
        if len(self.contestants) < 2:
            raise SettingsError(
                "two players are needed at the least: name another checkpoint, random or solver", kind="missing"
            )

    def between(self, a: int, b: int) -> list[Unit]:
        """Return the units of two players, a's points first."""
        turned = [Unit(u.b, u.a, u.games - u.score, u.games) for u in self.units if (u.a, u.b) == (b, a)]
        return [unit for unit in self.units if (unit.a, unit.b) == (a, b)] + turned

    def open_pairs(self) -> list[tuple[int, int]]:
        """Return the pairs of players that have games left and of whom it is not decided who is better."""
        return [
            (a, b) for a, b in combinations(range(len(self.contestants)), 2) if not self._decided(self.between(a, b))
        ]

    def play_round(self, on_progress: Callable[[int], None] = lambda done: None) -> list[list[PlayedGame]]:
        """Play ``round_pairs`` pairs of games of every open pair of players. Returns the games, unit by unit."""
        plan, schedule = self.plan, list[tuple[int, int, int]]()
        for a, b in self.open_pairs():
            played = len(self.between(a, b))
            schedule += [(a, b, number) for number in range(played, min(plan.pairs, played + plan.round_pairs))]
        seats, openings = [], []
        for a, b, number in schedule:
            opening = self.opening(number)
            seats += [(a, b), (b, a)]
            openings += [opening, opening]
        players = [contestant.player for contestant in self.contestants]
        table: NDArray[np.int64] = np.array(seats, np.int64)
        outcomes, moves, resigned = play_match(self.game, players, table, openings, on_progress)
        units = []
        for i, (a, b, _) in enumerate(schedule):
            pair = []
            for k in (2 * i, 2 * i + 1):
                first, second = (self.contestants[seat].name for seat in seats[k])
                score = (float(outcomes[k, 0]) + 1.0) / 2.0
                how, given = int(resigned[k]), len(openings[k])
                game = PlayedGame(first, second, score, tuple(moves[k]), given, how != PLAYED_OUT, how == FORFEITED)
                pair.append(game)
                self.forfeits[game.loser] += game.forfeited
            units.append(pair)
            self.units.append(Unit(a, b, pair[0].score + 1.0 - pair[1].score, 2))
        return units

    def ratings(self, anchor: int = 0, anchor_elo: float = 0.0) -> list[Rating]:
        """Return everyone's rating, ``anchor``'s being ``anchor_elo``."""
        return rate(self.units, len(self.contestants), anchor, anchor_elo)

    def opening(self, number: int) -> list[int]:
        """Return the opening of every pair of players' pair ``number``: the plan's, else random plies that do not end
        the game.

        The random ones of the first ``pairs`` differ from each other as long as there are so many.
        """
        if number < len(self.plan.openings):
            return list(self.plan.openings[number])
        while len(self._openings) <= number:
            self._openings.append(self._new_opening())
        return self._openings[number]

    def _new_opening(self) -> list[int]:
        rng = generator(Stream.OPENING, self.seed, len(self._openings))
        for _ in range(_TRIES):
            moves: list[int] = []
            states = after_moves(self.game, moves)
            for _ply in range(self.plan.opening_plies):
                moves.append(int(rng.choice(legal_moves(self.game, states))))
                states = after_moves(self.game, moves)
                if states.winner[0] != ONGOING:
                    break
            if states.winner[0] == ONGOING and moves not in self._openings:
                return moves
        if states.winner[0] != ONGOING:
            words = f"{self.plan.opening_plies} random plies end the game on this board: ask for fewer"
            raise SettingsError(words, kind="range", setting="--opening-plies")
        return moves

    def _decided(self, units: list[Unit]) -> bool:
        if len(units) >= self.plan.pairs:
            return True
        if not self.plan.error or len(units) < self.plan.round_pairs:
            return False
        return sequential_test(units, self.plan.margin_elo, self.plan.error).verdict != "open"


def crosstable(tournament: Tournament) -> list[list[tuple[float, int]]]:
    """Return (points, games) of every player against every other, (0, 0) on the diagonal."""
    count = len(tournament.contestants)
    table = [[(0.0, 0)] * count for _ in range(count)]
    for unit in tournament.units:
        for a, b, points in ((unit.a, unit.b, unit.score), (unit.b, unit.a, unit.games - unit.score)):
            score, games = table[a][b]
            table[a][b] = score + points, games + unit.games
    return table
