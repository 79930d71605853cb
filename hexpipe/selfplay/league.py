"""A league in self-play: games in which a past checkpoint of the run plays a seat or more against the newest net.

All plies of such a game are learned from. The opponent's come from an older net, searched with its own values, as does
much of a replay buffer at any time; the newest net learns to play against them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import SearchesLostError
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.requests import join_answers, request_part

WINDOW = 100
"""Number of league games in the newest net's running win share."""


def draw_opponents(share: float, num_seats: int, rng: np.random.Generator) -> int:
    """Draw the seats that a past checkpoint plays in a new game, a bit for each (`GameRecord.opponents`).

    None with probability 1 - ``share``. Else one of two seats; of three, one or two with equal probability, all sets of
    a size alike.
    """
    if rng.random() >= share:
        return 0
    count = int(rng.integers(1, num_seats))
    seats = rng.permutation(num_seats)[:count]
    return int(np.bitwise_or.reduce(1 << seats))


def win_share(outcome: NDArray[np.float32], opponents: int) -> float:
    """Return the newest net's win share in a league game with the ``outcome`` float32 [S] by seat.

    It is the share of all pairs of an own seat and one of the ``opponents`` (bits) in which the own seat came out
    better; equal outcomes count half. Nets of equal strength have 0.5 in the mean, for any numbers of seats.
    """
    theirs = (opponents >> np.arange(len(outcome))) & 1 == 1
    ours = outcome[~theirs, None] - outcome[None, theirs]
    return float(np.mean(0.5 * (np.sign(ours) + 1)))


class WinShares:
    """Running window of the newest net's win shares in the last `WINDOW` league games."""

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=WINDOW)

    def add(self, share: float) -> None:
        """Add the `win_share` of a finished game."""
        self._shares.append(share)

    @property
    def games(self) -> int:
        """Number of games in `mean`, at most `WINDOW`."""
        return len(self._shares)

    @property
    def mean(self) -> float:
        """Mean win share; 0 before the first game."""
        return sum(self._shares) / max(1, len(self._shares))


class LeagueEvaluator:
    """An Evaluator of two nets: each search's leaves go to the net whose search it is.

    `divide` assigns each row to a net, before each `submit`. A game's roots and children go to the same net throughout
    a search, so that with learned dynamics a search's latents are in that net's pool (both number their rows alike).
    ``release(group)`` is called when the opponent has no search in a group any more: its next request there may be far
    off, and until then it would hold older weights.
    """

    def __init__(
        self, newest: Evaluator, opponent: Evaluator, release: Callable[[int], None] = lambda group: None
    ) -> None:
        self._nets = (newest, opponent)
        self._release = release
        self._theirs: dict[int, NDArray[np.bool_]] = {}
        self._asked: dict[int, list[tuple[Evaluator, NDArray[np.bool_]]]] = {}
        self._opponent_searches: set[int] = set()
        self._version = -1

    def divide(self, group: int, theirs: NDArray[np.bool_]) -> None:
        """Assign the rows of the group's next request where ``theirs`` bool [L] to the opponent."""
        self._theirs[group] = theirs

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Send each net its rows."""
        theirs = self._theirs.pop(group)
        if not theirs.any() and group in self._opponent_searches:
            self._opponent_searches.remove(group)
            self._release(group)
        if theirs.any():
            self._opponent_searches.add(group)
        self._asked[group] = []
        for net, rows in zip(self._nets, (~theirs, theirs), strict=True):
            if rows.any():
                net.submit(group, *request_part((codes, moves), rows))
                self._asked[group].append((net, rows))

    def collect(self, group: int) -> Evaluation:
        """Return both nets' answers in one; ``version`` is the newest net's, the last known one where it was not
        asked."""
        asked = self._asked.pop(group)
        answers, lost = [], None
        for net, _ in asked:  # both, even if one has lost its searches
            try:
                answers.append(net.collect(group))
            except SearchesLostError as error:
                lost = error
        if lost is not None:
            raise lost
        if asked[0][0] is self._nets[0]:
            self._version = answers[0].version
        if len(answers) == 1:
            return answers[0]._replace(version=self._version)
        rows = [rows for _, rows in asked]
        return Evaluation(join_answers([answer.answers for answer in answers], rows), self._version)
