"""Go in plain Python, as slow and obvious as it gets: every position that was there is remembered as it looked."""

from __future__ import annotations

import itertools

PASS = "pass"
Point = tuple[int, int]
Stones = dict[Point, int]


class SlowGo:
    """One game on n x n points; rows are counted from the top, colours are 0 black and 1 white."""

    def __init__(self, n: int, komi: float = 7.5) -> None:
        self.n, self.komi = n, komi
        self.points = list(itertools.product(range(n), repeat=2))
        self.stones: Stones = {}
        self.colour = self.plies = 0
        self.passed = self.over = False
        self.last: Point | None = None
        self.seen = {frozenset(self.stones.items())}
        self.repetitions: set[Point] = set()

    def beside(self, point: Point) -> list[Point]:
        i, j = point
        around = ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
        return [(row, column) for row, column in around if 0 <= row < self.n and 0 <= column < self.n]

    def area(self, stones: Stones, start: Point) -> set[Point]:
        """What hangs together with ``start`` and holds the same: a chain, or an empty region."""
        found, left = {start}, [start]
        while left:
            for point in self.beside(left.pop()):
                if point not in found and stones.get(point) == stones.get(start):
                    found.add(point)
                    left.append(point)
        return found

    def liberties(self, stones: Stones, start: Point) -> int:
        around = {point for stone in self.area(stones, start) for point in self.beside(stone)}
        return len(around - stones.keys())

    def after(self, point: Point) -> Stones | None:
        """The stones after one of the mover's on ``point``; None where it would be suicide."""
        stones = {**self.stones, point: self.colour}
        for other in self.beside(point):
            if stones.get(other) == 1 - self.colour and not self.liberties(stones, other):
                for stone in self.area(stones, other):
                    del stones[stone]
        return stones if self.liberties(stones, point) else None

    def legal(self) -> list[Point]:
        """The points that may be played; those that only a repetition forbids are in ``repetitions`` then."""
        self.repetitions = set()
        found = []
        for point in [] if self.over else self.points:
            stones = None if point in self.stones else self.after(point)
            if stones is not None and frozenset(stones.items()) in self.seen:
                self.repetitions.add(point)
            elif stones is not None:
                found.append(point)
        return found

    def play(self, move: Point | str) -> None:
        if isinstance(move, str):
            self.over, self.passed, self.last = self.passed, True, None
        else:
            stones = self.after(move)
            assert stones is not None
            self.stones, self.passed, self.last = stones, False, move
            self.seen.add(frozenset(stones.items()))
        self.colour, self.plies = 1 - self.colour, self.plies + 1
        self.over = self.over or self.plies == 2 * self.n**2

    def lead(self) -> float:
        """Black's points less white's, and the komi."""
        points = [0, 0]
        for point in self.points:
            reached = {self.stones[point]} if point in self.stones else self.around(point)
            if len(reached) == 1:
                points[reached.pop()] += 1
        return points[0] - points[1] - self.komi

    def around(self, point: Point) -> set[int]:
        """Colours that an empty point reaches through empty ones."""
        region = self.area(self.stones, point)
        return {self.stones[other] for mine in region for other in self.beside(mine) if other in self.stones}

    def winner(self) -> int:
        if not self.over:
            return -1
        return 2 if self.lead() == 0 else 0 if self.lead() > 0 else 1

    def codes(self) -> list[int]:
        """The board as the mover sees it: stones by liberties, the last stone, the last pass, who leads, what is
        legal."""
        legal, lead = self.legal(), self.lead() * (1 - 2 * self.colour)
        chains = []
        for point in self.points:
            many = min(3, self.liberties(self.stones, point))
            held = self.stones.get(point)
            chains.append(0 if held is None else many if held == self.colour else 3 + many)
        last = [int(point == self.last) for point in self.points]
        leads = 0 if lead == 0 else 1 if lead > 0 else 2
        return [*chains, *last, int(self.passed), leads, *(int(point in legal) for point in self.points), 1]
