"""A league in self-play: games in which a past checkpoint of the run plays a seat or more against the newest net.

All plies of such a game are learned from. The opponent's are those of an older net, searched with its own values, and
so is much of a replay buffer at any time; who plays it learns what to do against them.
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
"""League games that the newest net's share of wins is told of."""


def draw_opponents(share: float, num_seats: int, rng: np.random.Generator) -> int:
    """The seats that a past checkpoint plays in a new game, a bit for each (`GameRecord.opponents`).

    None with the chance 1 - ``share``. Else one of two seats, or as often two as one of three, any of them alike.
    """
    if rng.random() >= share:
        return 0
    count = int(rng.integers(1, num_seats))
    seats = rng.permutation(num_seats)[:count]
    return int(np.bitwise_or.reduce(1 << seats))


def win_share(outcome: NDArray[np.float32], opponents: int) -> float:
    """What the newest net won of a league game with the ``outcome`` float32 [S] by seat.

    Of all pairs of a seat of its own and one of the ``opponents`` (bits) the share in which its own seat came out
    better, where equal outcomes count half. Nets of equal strength have 0.5 in the mean, however many seats each has.
    """
    theirs = (opponents >> np.arange(len(outcome))) & 1 == 1
    ours = outcome[~theirs, None] - outcome[None, theirs]
    return float(np.mean(0.5 * (np.sign(ours) + 1)))


class WinShares:
    """The newest net's win shares in the last `WINDOW` league games."""

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=WINDOW)

    def add(self, share: float) -> None:
        """Note the `win_share` of a finished game."""
        self._shares.append(share)

    @property
    def games(self) -> int:
        """Games that `mean` is over, `WINDOW` at the most."""
        return len(self._shares)

    @property
    def mean(self) -> float:
        """Their mean; 0 before the first game."""
        return sum(self._shares) / max(1, len(self._shares))


class LeagueEvaluator:
    """An Evaluator of two nets: each search's leaves go to the net whose search it is.

    `divide` says whose each row is, before each `submit`. A game's roots and children go to the same net for the whole
    of a search, so that with learned dynamics a search's latents lie in that net's pool (both number their rows alike).
    ``release(group)`` is called when the opponent has no search in a group any more: it may not be asked about that
    group again for long, and holds older weights for it until then.
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
        """The opponent answers those rows of the group's next request where ``theirs`` bool [L]."""
        self._theirs[group] = theirs

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Sends each net its rows."""
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
        """Both nets' answers in one; ``version`` is the newest net's, from before where it was not asked."""
        asked = self._asked.pop(group)
        answers, lost = [], None
        for net, _ in asked:  # both, also where one has lost its searches
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
