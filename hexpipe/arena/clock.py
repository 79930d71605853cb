"""Thinking time: what black and white have left, and what a move may take of it."""

from __future__ import annotations

MARGIN = 0.1
"""Seconds kept back: an answer is on its way for a while, and a search ends a little after it is told to."""
LEAST_TO_COME = 6
"""A game that seems to be almost over may still take so many moves of a player."""


class Clock:
    """Two clocks as GTP sets them: main time, then overtime in periods of so many moves (Canadian byo-yomi).

    Seconds all over; colours are 0 black and 1 white. At first there is no limit.
    """

    def __init__(self) -> None:
        self._limited = False
        self._main = self._period = 0.0
        self._period_moves = 0
        self._left = [(0.0, 0), (0.0, 0)]  # seconds, and in overtime the moves that they are for

    def configure(self, main: float, period: float, period_moves: int) -> None:
        """Give ``main`` time each, then ``period`` seconds for every ``period_moves`` moves; without a period none.

        As GTP has it, a period for no moves at all means that there is no limit; so does nothing but zeros.
        """
        self._limited = not (period > 0 and period_moves == 0) and (main > 0 or period > 0)
        self._main, self._period, self._period_moves = main, period, period_moves if period > 0 else 0
        self.restart()

    def restart(self) -> None:
        """Give both players their whole time again; without a limit there is none again."""
        begin = (self._main, 0) if self._main > 0 else (self._period, self._period_moves)
        self._left = [begin, begin]

    def set_left(self, colour: int, seconds: float, moves: int) -> None:
        """Give ``colour`` so many seconds, in overtime (``moves`` above 0) for so many moves."""
        self._limited = True
        self._left[colour] = (max(0.0, seconds), moves)

    def left(self, colour: int) -> tuple[float, int] | None:
        """Return (seconds, moves that they are for in overtime, else 0) of ``colour``; None without a limit."""
        return self._left[colour] if self._limited else None

    def spend(self, colour: int, seconds: float) -> None:
        """Take the time of a move from ``colour``."""
        left, moves = self._left[colour]
        left -= seconds
        if moves == 0 and left < 0 and self._period_moves:
            left, moves = left + self._period, self._period_moves
        if moves == 1 and left >= 0:  # the last move of a period begins the next one
            left, moves = self._period or left, self._period_moves
        elif moves > 1:
            moves -= 1
        self._left[colour] = (max(0.0, left), moves)

    def share(self, colour: int, to_come: int) -> float | None:
        """Return seconds that the next move of ``colour`` may take, of ``to_come`` moves that it expects; None: any
        number."""
        if not self._limited:
            return None
        seconds, moves = self._left[colour]
        available = max(0.0, seconds - MARGIN)
        if moves:
            return available / moves
        share = available / max(to_come, LEAST_TO_COME)
        if self._period_moves:  # main time that is not used is lost when the overtime begins
            share = max(share, min(available, self._period / self._period_moves))
        return share
