"""Hex in plain Python, as slow and obvious as it gets: flood fill for the winner, minimax for the value."""

from __future__ import annotations

from functools import cache

BLACK, WHITE = 0, 1


def neighbours(cell: int, n: int) -> list[int]:
    row, column = divmod(cell, n)
    around = [(-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1)]
    return [(row + i) * n + column + j for i, j in around if 0 <= row + i < n and 0 <= column + j < n]


def has_connected(cells: tuple[int, ...], colour: int, n: int) -> bool:
    """Whether stones 1 + colour join top and bottom (black), left and right (white)."""
    stone = 1 + colour
    first = range(n) if colour == BLACK else range(0, n * n, n)
    last = set(range(n * n - n, n * n) if colour == BLACK else range(n - 1, n * n, n))
    waiting = [cell for cell in first if cells[cell] == stone]
    seen = set(waiting)
    while waiting:
        cell = waiting.pop()
        if cell in last:
            return True
        for other in neighbours(cell, n):
            if cells[other] == stone and other not in seen:
                seen.add(other)
                waiting.append(other)
    return False


class SlowHex:
    """One game; action n * n is a swap of seats after the first stone."""

    def __init__(self, n: int, swap: bool) -> None:
        self.n, self.swap = n, swap
        self.cells = [0] * (n * n)
        self.colour = BLACK
        self.seat = 0
        self.ply = 0
        self.winner = -1

    def legal(self) -> list[int]:
        if self.winner >= 0:
            return []
        swap = [self.n**2] if self.swap and self.ply == 1 else []
        return [cell for cell, stone in enumerate(self.cells) if stone == 0] + swap

    def play(self, action: int) -> None:
        if action < self.n**2:
            self.cells[action] = 1 + self.colour
            if has_connected(tuple(self.cells), self.colour, self.n):
                self.winner = self.seat
            self.colour = 1 - self.colour
        self.seat = 1 - self.seat
        self.ply += 1

    def codes(self) -> list[int]:
        """The board as the mover sees it, always connecting top to bottom; then the swap flag."""
        n = self.n
        codes = []
        for row in range(n):
            for column in range(n):
                stone = self.cells[row * n + column if self.colour == BLACK else column * n + row]
                codes.append(0 if stone == 0 else (1 if stone == 1 + self.colour else 2))
        return codes + ([int(self.ply == 1 and self.winner < 0)] if self.swap else [])


@cache
def minimax(cells: tuple[int, ...], colour: int, n: int) -> int:
    """1 if ``colour``, to move in a position that nobody has won, wins."""
    for cell, stone in enumerate(cells):
        if stone == 0:
            after = (*cells[:cell], 1 + colour, *cells[cell + 1 :])
            if has_connected(after, colour, n) or minimax(after, 1 - colour, n) == -1:
                return 1
    return -1


def winning_moves(cells: tuple[int, ...], colour: int, n: int) -> list[int]:
    found = []
    for cell, stone in enumerate(cells):
        if stone == 0:
            after = (*cells[:cell], 1 + colour, *cells[cell + 1 :])
            if has_connected(after, colour, n) or minimax(after, 1 - colour, n) == -1:
                found.append(cell)
    return found
