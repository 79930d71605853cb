"""Check labels of solved positions by another program: slow, plain, and of no part of hexpipe.

    python tests/second_solver.py FILE [--positions N] [--seconds S] [--mark]

A move that loses to a set of empty cells loses wherever outside of it it is played, and so do all others there: that is
all it knows, beside which stones connect. For each line it says "agrees", "differs" or, after so many ``seconds`` a
position, "not finished"; ``--mark`` writes "checked": true or false into the lines. Exit code 1 where a label differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path


class TooLongError(Exception):
    """The seconds of a position are over."""


class Board:
    """Sets of cells as numbers, bit row * n + column; black joins top and bottom, white left and right."""

    def __init__(self, n: int) -> None:
        self.n, self.all = n, (1 << n * n) - 1
        self.around = [self._around(cell) for cell in range(n * n)]
        top, left = (1 << n) - 1, sum(1 << row * n for row in range(n))
        self.edges = ((top, top << n * (n - 1)), (left, left << n - 1))
        middle = (n - 1) / 2
        distance = [abs(cell // n - middle) + abs(cell % n - middle) for cell in range(n * n)]
        self.order = sorted(range(n * n), key=distance.__getitem__)
        self.known: dict[tuple[int, int, int], tuple[bool, int]] = {}
        self.end = 0.0

    def _around(self, cell: int) -> int:
        i, j = divmod(cell, self.n)
        steps = ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))
        return sum(1 << (i + di) * self.n + j + dj for di, dj in steps if 0 <= i + di < self.n and 0 <= j + dj < self.n)

    def joined(self, stones: int, colour: int) -> bool:
        start, goal = self.edges[colour]
        new = reached = stones & start
        while new:
            cell = (new & -new).bit_length() - 1
            new &= new - 1
            more = self.around[cell] & stones & ~reached
            reached |= more
            new |= more
        return bool(reached & goal)

    def wins(self, own: int, other: int, colour: int) -> tuple[bool, int]:
        """Whether ``colour``, to move, wins, and cells that are enough for the winner, where nobody has won yet."""
        key = own, other, colour
        if key in self.known:
            return self.known[key]
        if time.monotonic() > self.end:
            raise TooLongError
        may_win, needed = self.all & ~(own | other), 0
        result = None
        for cell in self.order:  # a stone that ends the game needs no more search
            if may_win >> cell & 1 and self.joined(own | 1 << cell, colour):
                result = True, 1 << cell
                break
        for cell in self.order:
            if result is not None:
                break
            if not may_win >> cell & 1:
                continue
            reply, cells = self.wins(other, own | 1 << cell, 1 - colour)
            if not reply:
                result = True, cells | 1 << cell
            may_win &= cells
            needed |= cells
        self.known[key] = result or (False, needed)
        return self.known[key]

    def winning_moves(self, own: int, other: int, colour: int) -> set[int]:
        found = set()
        for cell in range(self.n * self.n):
            if not (own | other) >> cell & 1:
                after = own | 1 << cell
                if self.joined(after, colour) or not self.wins(other, after, 1 - colour)[0]:
                    found.add(cell)
        return found


def check(line: dict[str, object], boards: dict[int, Board], seconds: float) -> str:
    n, moves = int(line["n"]), list(line["moves"])  # type: ignore[call-overload]
    board = boards.setdefault(n, Board(n))
    board.known.clear()
    board.end = time.monotonic() + seconds
    stones = [0, 0]
    for number, name in enumerate(moves):
        stones[number % 2] |= 1 << (int(name[1:]) - 1) * n + ord(name[0]) - ord("a")
    colour = len(moves) % 2
    try:
        found = board.winning_moves(stones[colour], stones[1 - colour], colour)
    except TooLongError:
        return "not finished"
    wanted = {f"{chr(ord('a') + cell % n)}{cell // n + 1}" for cell in found}
    return "agrees" if wanted == set(line["winning_moves"]) and (line["value"] == 1) == bool(found) else "differs"  # type: ignore[call-overload]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--positions", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mark", action="store_true")
    given = parser.parse_args()
    sys.setrecursionlimit(10_000)
    boards: dict[int, Board] = {}
    lines, said = [json.loads(line) for line in given.file.read_text().splitlines()], Counter[str]()
    for number, line in enumerate(lines[: given.positions]):
        found = check(line, boards, given.seconds)
        said[found] += 1
        line["checked"] = found == "agrees"
        if found == "differs":
            print(f"line {number + 1} differs: {json.dumps(line)}")  # noqa: T201
        print(f"\r{dict(said)}", end="", file=sys.stderr)  # noqa: T201
    print(f"\n{dict(said)}")  # noqa: T201
    if given.mark:
        given.file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return 1 if said["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
