"""Drop in plain Python, as slow and obvious as it gets, and its value by trying everything."""

from __future__ import annotations

import itertools

PASS = "pass"
Cell = tuple[int, int]


class SlowDrop:
    """One game on n x n cells, rows counted from the top."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.board: dict[Cell, int] = {}
        self.seat = 0
        self.passed = False
        self.winner = -1

    def legal(self) -> list[Cell | str]:
        if self.winner >= 0:
            return []
        columns = [[(i, j) for i in range(self.n) if (i, j) not in self.board] for j in range(self.n)]
        lowest: list[Cell | str] = sorted(max(empty) for empty in columns if empty)
        return lowest if self.passed else [*lowest, PASS]

    def play(self, move: Cell | str) -> None:
        if isinstance(move, str):
            self.passed = True
        else:
            self.board[move] = self.seat
            if self.has_three():
                self.winner = 1 - self.seat
            elif len(self.board) == self.n**2:
                self.winner = 2
        self.seat = 1 - self.seat

    def after(self, move: Cell | str) -> SlowDrop:
        """The game after ``move``; this one stays as it is."""
        later = SlowDrop(self.n)
        later.board, later.seat, later.passed = dict(self.board), self.seat, self.passed
        later.play(move)
        return later

    def has_three(self) -> bool:
        mine = {cell for cell, seat in self.board.items() if seat == self.seat}
        ways = ((0, 1), (1, 0), (1, 1), (1, -1))
        return any(
            {(i + k * down, j + k * right) for k in range(3)} <= mine
            for (i, j), (down, right) in itertools.product(mine, ways)
        )

    def codes(self) -> list[int]:
        """The board as the mover sees it, then whether there is a pass."""
        legal = self.legal()
        seen = []
        for cell in itertools.product(range(self.n), repeat=2):
            if cell in self.board:
                seen.append(1 if self.board[cell] == self.seat else 2)
            else:
                seen.append(0 if cell in legal else 4)
        return [*seen, int(PASS in legal)]

    def values(self) -> list[int]:
        if self.winner in (-1, 2):
            return [0, 0]
        return [1, -1] if self.winner == 0 else [-1, 1]


class Solver:
    """Values of positions for the seat to move: 1 won, 0 drawn, -1 lost. Remembers what it has solved."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._known: dict[tuple[object, ...], int] = {}

    def value(self, game: SlowDrop) -> int:
        """Of a game that is not over."""
        key = (frozenset(game.board.items()), game.seat, game.passed)
        if key not in self._known:
            best = -1
            for move in game.legal():
                best = max(best, self.worth(game, move))
                if best == 1:
                    break
            self._known[key] = best
        return self._known[key]

    def worth(self, game: SlowDrop, move: Cell | str) -> int:
        """The value of ``move`` for the seat that plays it."""
        later = game.after(move)
        return -self.value(later) if later.winner < 0 else later.values()[game.seat]

    def best_moves(self, game: SlowDrop) -> list[Cell | str]:
        """All moves of the best value."""
        worth = [(self.worth(game, move), move) for move in game.legal()]
        return [move for value, move in worth if value == max(value for value, _ in worth)]
