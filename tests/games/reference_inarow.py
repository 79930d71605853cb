"""n in a row in plain Python, as slow and obvious as it gets: everything is looked up on the whole board each time."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction
from typing import Any

from hexpipe.config import GameSettings
from tests.games.reference_renju import is_forbidden

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


def game_settings(board_size: int, win_length: int, **more: Any) -> GameSettings:
    tree = {"name": "inarow", "board_size": board_size, "win_length": win_length, **more}
    return GameSettings.model_validate(tree)


def chains(board: dict[tuple[int, int], int], seat: int) -> Counter[int]:
    """How many maximal chains of each length ``seat`` has; ``board`` is the stones' owners by (row, column)."""
    found: Counter[int] = Counter()
    for (i, j), owner in board.items():
        for down, right in DIRECTIONS:
            if owner == seat and board.get((i - down, j - right)) != seat:
                length = next(k for k in itertools.count(1) if board.get((i + k * down, j + k * right)) != seat)
                found[length] += 1
    return found


class SlowInARow:
    """One game, its moves given as board cells; ``origin`` is where its view is."""

    def __init__(self, settings: GameSettings) -> None:
        self.rules = settings.inarow_rules()
        self.n, self.v, self.seats = self.rules.board_size, self.rules.view_size, self.rules.players
        self.board: dict[tuple[int, int], int] = {}
        self.order: list[int] = []
        self.winner = -1
        self.origin = ((self.n - self.v) // 2,) * 2

    @property
    def seat(self) -> int:
        return len(self.order) % self.seats

    def cells(self) -> list[int]:
        return [self.board.get(divmod(cell, self.n), -1) + 1 for cell in range(self.n**2)]

    def shown(self, origin: tuple[int, int]) -> list[tuple[int, int] | None]:
        """What each place of the view shows: a cell, or None off the board."""
        places = [(origin[0] + i, origin[1] + j) for i in range(self.v) for j in range(self.v)]
        return [place if min(place) >= 0 and max(place) < self.n else None for place in places]

    def legal(self) -> list[int]:
        if self.winner >= 0:
            return []
        shown = enumerate(self.shown(self.origin))
        return [a for a, place in shown if place is not None and place not in self.board and not self.closed(place)]

    def closed(self, place: tuple[int, int]) -> bool:
        """Whether renju forbids an empty place to who moves."""
        return self.rules.row_rule == "renju" and self.seat == 0 and is_forbidden(self.board, self.n, place)

    def wins(self, seat: int) -> bool:
        lengths, wanted = chains(self.board, seat), self.rules.win_length
        longer = {"free": True, "exact": False, "renju": seat == 1}[self.rules.row_rule]
        return wanted in lengths or (longer and max(lengths) > wanted)

    def longest(self) -> list[int]:
        return [max(chains(self.board, seat), default=0) for seat in range(self.seats)]

    def play(self, action: int) -> None:
        place = self.shown(self.origin)[action]
        assert place is not None
        assert place not in self.board
        seat = self.seat
        self.board[place] = seat
        self.order.append(place[0] * self.n + place[1])
        if self.wins(seat):
            self.winner = seat
        elif len(self.order) == self.rules.max_plies or (self.rules.row_rule == "renju" and not self.legal()):
            self.winner = self.seats
        elif not self.legal():
            self.place_view(self.order[-1])

    def place_view(self, centre: int) -> None:
        """The place nearest to that with ``centre`` in its middle that has an empty cell (`place_view` says how)."""
        room = self.n - self.v
        if room <= 0:
            return
        if centre < 0:
            top = left = room // 2
        else:
            top, left = (min(max(at - self.v // 2, 0), room) for at in divmod(centre, self.n))

        def moves(cell: tuple[int, int]) -> tuple[int, int]:
            """How far down and across the view must go to show ``cell``."""
            shifts = range(-self.n, self.n)
            down, across = (
                min((shift for shift in shifts if 0 <= at - start - shift < self.v), key=abs)
                for at, start in zip(cell, (top, left), strict=True)
            )
            return down, across

        empty = [cell for cell in itertools.product(range(self.n), repeat=2) if cell not in self.board]
        down, across = 0, 0
        if self.winner < 0:
            distance = {cell: (max(map(abs, moves(cell))), sum(map(abs, moves(cell)))) for cell in empty}
            down, across = moves(min(empty, key=lambda cell: (*distance[cell], cell)))
        self.origin = (top + down, left + across)

    def pooled(self) -> list[list[list[int]]]:
        """Stones by seat, bucket row and bucket column."""
        counts = [[[0] * self.v for _ in range(self.v)] for _ in range(self.seats)]
        for (i, j), owner in self.board.items():
            counts[owner][self._bucket(i)][self._bucket(j)] += 1
        return counts

    def _bucket(self, at: int) -> int:
        """Which of v equal parts of the side the middle of a row is in."""
        return int((at + Fraction(1, 2)) / self.n * self.v)

    def codes(self) -> list[int]:
        codes = []
        for place in self.shown(self.origin):
            owner = None if place is None else self.board.get(place)
            if place is None or (owner is None and self.closed(place)):
                codes.append(4)
            else:
                codes.append(0 if owner is None else 1 + (owner - self.seat) % self.seats)
        if not self.rules.thumbnail:
            return codes
        sizes = Counter(self._bucket(at) for at in range(self.n))
        pooled = self.pooled()
        buckets = list(itertools.product(range(self.v), repeat=2))
        for later in range(self.seats):
            for i, j in buckets:
                cells = sizes[i] * sizes[j]
                share = Fraction(pooled[(self.seat + later) % self.seats][i][j], max(1, cells))
                codes.append(int(127 * share + Fraction(1, 2)))
        for bucket in buckets:
            middle = [(at + Fraction(1, 2)) * self.n / self.v for at in bucket]
            codes.append(int(all(low < at < low + self.v for at, low in zip(middle, self.origin, strict=True))))
        return codes

    def values(self) -> list[float]:
        rewards = self.rules.placement_rewards
        if self.winner < 0 or (self.winner == self.seats and not self.rules.ranked_draws):
            return [0.0] * self.seats

        def rank(seat: int) -> list[int]:
            profile = chains(self.board, seat)
            return [int(seat == self.winner), *(profile[length] for length in range(self.n, 0, -1))]

        ranks = [rank(seat) for seat in range(self.seats)]
        values = []
        for own in ranks:
            first = sum(other > own for other in ranks)
            shared = rewards[first : first + sum(other == own for other in ranks)]
            values.append(sum(shared) / len(shared))
        return values
