"""Selection of old games to reanalyze: as many of their positions as new ones pay for.

Games are drawn uniformly from those held, as the learner draws positions: every position's target is renewed equally
often. Those with the oldest weights would gain most by a search, but they are also the next to leave the buffer, with
the work spent on them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hexpipe.config import Settings
from hexpipe.games.game_env import Game
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.store import EmptyBufferError
from hexpipe.search.evaluator import Evaluator
from hexpipe.selfplay.reanalyze import OldGame, Reanalysis

_TRIES = 16
_UNDER_WAY = 2**62


class OldGames:
    """Draws games that ``buffer`` holds, and reads them from ``archive``.

    ``positions`` counts those of the games taken, never more than ``ratio`` for each new one; ``pays`` tells whether
    the new ones paid for a game at the last `take`.
    """

    def __init__(
        self,
        buffer: ReplayBuffer,
        archive: ReplayArchive,
        ratio: float,
        rng: np.random.Generator,
        positions: int = 0,
    ) -> None:
        self._buffer, self._archive = buffer, archive
        self._ratio = ratio
        self._rng = rng
        self._drawn: OldGame | None = None
        self._version = 0
        self._searched: dict[int, int] = {}  # by number: version of the weights; those below _version are dropped
        self.positions = positions
        self.pays = False

    def take(self, new_positions: float, version: int) -> OldGame | None:
        """Return a game to search with the weights ``version``, once ``new_positions`` since counting began pay for it.

        Also None if those drawn were already searched with these weights.
        """
        left = self._ratio * new_positions - self.positions
        if self._drawn is None and left >= 1:
            self._drawn = self._draw(version)
        # a drawn game waits until it is paid for: drawing again would favour short ones
        drawn = self._drawn
        self.pays = left >= (1 if drawn is None else drawn.record.num_positions)
        if drawn is None or not self.pays:
            return None
        self._drawn = None
        self.positions += drawn.record.num_positions
        return drawn

    def done(self, number: int, version: int) -> None:
        """Record that the search of the game ``number`` has ended, with the weights ``version``."""
        self._searched[number] = version

    def _draw(self, version: int) -> OldGame | None:
        if version > self._version:
            self._version = version
            self._searched = {number: found for number, found in self._searched.items() if found >= version}
        for _ in range(_TRIES):
            try:
                number = self._buffer.held_game(self._rng)
            except EmptyBufferError:  # a new replay process refills it
                return None
            if self._searched.get(number, -1) >= version:
                continue
            record = self._archive.read(number)
            if record.weights_version < version:
                self._searched[number] = _UNDER_WAY
                return OldGame(number, record)
            self._searched[number] = version
        return None


class OldGameSearch:
    """Reanalysis of games of ``buffer`` with ``evaluator``, as new positions pay for it.

    Each is passed to ``put_back`` with its number in the archive. ``on_idle`` gets a group whose searches have all
    ended. ``positions`` is what was searched before. Deterministic from ``rng`` and the buffer's content.
    """

    def __init__(
        self,
        settings: Settings,
        game: Game,
        buffer: ReplayBuffer,
        archive: ReplayArchive,
        evaluator: Evaluator,
        rng: np.random.Generator,
        put_back: Callable[[int, GameRecord], object],
        *,
        on_idle: Callable[[int], None] = lambda group: None,
        groups: int = 2,
        positions: int = 0,
    ) -> None:
        self._games = OldGames(buffer, archive, settings.reanalyze.ratio, rng, positions)
        self._put_back = put_back
        self._reanalysis = Reanalysis(game, settings, evaluator, self._take, self._done, on_idle, groups)
        self._paid: tuple[float, int] = (0.0, 0)

    @property
    def pays(self) -> bool:
        """Whether new positions paid for a game at the last request."""
        return self._games.pays

    def step(self, new_positions: float, version: int) -> bool:
        """Take one turn; return False if there is nothing to search.

        ``new_positions`` were played since counting began, ``version`` is that of the newest weights.
        """
        self._paid = new_positions, version
        return self._reanalysis.step()

    def _take(self) -> OldGame | None:
        return self._games.take(*self._paid)

    def _done(self, number: int, record: GameRecord) -> None:
        self._put_back(number, record)
        self._games.done(number, record.weights_version)
