"""Boards that grow within one run: the present stage, and the condition for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hexpipe.config import GameSettings, Settings
from hexpipe.records import GameRecord
from hexpipe.selfplay.league import WINDOW, WinShares, win_share

_LOOK_BACK = 20 * WINDOW
_PATIENCE = 10  # a small net may never agree as much as that
UNTRAINED = 1
"""The initial weights of a run, as `GameRecord.weights_version` counts them."""


class Curriculum:
    """The state of a run's curriculum.

    ``stage`` (from 0) is played; ``games`` of it have finished; ``shares`` has the newest net's win shares in its
    league games. A run without a curriculum has one stage, which does not end.

    A stage ends when ``curriculum.stage_games`` of its games are in and a net that was trained in it has played one of
    them. With a league it must also be mastered: such nets have won the share ``curriculum.mastery`` of their last
    `WINDOW` league games. Where ``solved()`` tells the net's agreement with a solver of the stage's board, it must
    reach ``curriculum.solved``, or the stage has had `_PATIENCE` times its games. ``weights``: the newest version that
    had played when the stage began.
    """

    def __init__(
        self,
        settings: Settings,
        stage: int = 0,
        weights: int = 0,
        solved: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._settings, self._solved = settings, solved
        self._rules = [_rules(game) for game in settings.stages]
        self._newest = max(weights, UNTRAINED)  # newest weights that have played
        self._begin(stage)

    def _begin(self, stage: int) -> None:
        self.stage = stage
        self.games = 0
        self.shares = WinShares()
        self._trained = False
        self._first = self._newest + 1  # first weights trained in the stage

    def add(self, record: GameRecord) -> None:
        """Count a finished game, unless it is of an earlier stage, left over from its end."""
        self._newest = max(self._newest, record.weights_version)
        if not self._is_of_stage(record):
            return
        self.games += 1
        if self._counts(record):
            self.shares.add(win_share(record.outcome, record.opponents))

    def restore(self, records: Iterable[GameRecord], count: int) -> None:
        """Count the ``count`` games that came in since the stage began, newest first, when a run is resumed.

        In the last stage, which may be long, only as many ``records`` are read as the shares need.
        """
        shares: list[float] = []
        league = self._settings.league.share > 0
        for looked, record in enumerate(records):
            if self._is_last and not (league and len(shares) < WINDOW and looked < _LOOK_BACK):
                break
            self._newest = max(self._newest, record.weights_version)
            if self._is_of_stage(record):
                self.games += 1
                if self._counts(record) and len(shares) < WINDOW:
                    shares.append(win_share(record.outcome, record.opponents))
        for share in reversed(shares):
            self.shares.add(share)
        if self._is_last:
            self.games = count

    @property
    def ended(self) -> bool:
        """Whether the next stage is due, and there is one."""
        curriculum = self._settings.curriculum
        if self._is_last or self.games < curriculum.stage_games or not self._trained:
            return False
        solved = self._solved()
        if solved is not None and solved < curriculum.solved and self.games < _PATIENCE * curriculum.stage_games:
            return False
        if not self._settings.league.share:
            return True
        return self.shares.games == WINDOW and self.shares.mean >= curriculum.mastery

    @property
    def _is_last(self) -> bool:
        return self.stage + 1 == len(self._rules)

    def _counts(self, record: GameRecord) -> bool:
        """Return whether a game of the stage counts for the net's win share; of the last stage, which is never
        mastered, all do.

        Also records whether the net was trained in the stage.
        """
        trained = record.weights_version >= self._first
        self._trained |= trained
        return bool(record.opponents) and (trained or self._is_last)

    def _is_of_stage(self, record: GameRecord) -> bool:
        return (record.board_size, record.win_length) == self._rules[self.stage]

    def next_stage(self) -> None:
        """Begin the next stage; its games and shares count from 0."""
        self._begin(self.stage + 1)


def stage_in_words(settings: Settings, stage: int, mastered_after: int = 0) -> str:
    """Describe a run's stage: "stage 2 of 4: 6 in a row 30x30 (mastered stage 1 after 512 games)".

    It is "(ended stage 1 ...)" without a league, because only a league masters a stage. ``stage`` counts from 0,
    ``mastered_after`` are the games of the stage before it.
    """
    text = f"stage {stage + 1} of {len(settings.stages)}: {board_in_words(settings.stages[stage])}"
    how = "mastered" if settings.league.share else "ended"
    return f"{text} ({how} stage {stage} after {mastered_after:,} games)" if stage else text


def board_in_words(game: GameSettings) -> str:
    """Describe a stage's game: "6 in a row 30x30", "Hex 7x7"."""
    n = game.board_size
    return f"{game.row_length} in a row {n}x{n}" if game.name == "inarow" else game.title


def _rules(game: GameSettings) -> tuple[int, int]:
    """Return board size and win length, as in records."""
    return game.board_size, game.row_length
