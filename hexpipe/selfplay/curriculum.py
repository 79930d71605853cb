"""Boards that grow inside one run: which stage is played, and when the next one begins."""

from __future__ import annotations

from collections.abc import Iterable

from hexpipe.config import GameSettings, Settings
from hexpipe.records import GameRecord
from hexpipe.selfplay.league import WINDOW, WinShares, win_share

_LOOK_BACK = 20 * WINDOW
UNTRAINED = 1
"""The weights that a run begins with, as `GameRecord.weights_version` counts them."""


class Curriculum:
    """Where a run stands. ``stage`` (from 0) is played; ``games`` of it have finished, ``shares`` has what the newest
    net won in its league games. A run without a curriculum has one stage, which does not end.

    A stage ends when ``curriculum.stage_games`` of its games are in and a net that was trained in it has played one of
    them. With a league it must also be mastered: such nets have won the share ``curriculum.mastery`` of their last
    `WINDOW` league games. ``weights``: the newest version that had played when the stage began.
    """

    def __init__(self, settings: Settings, stage: int = 0, weights: int = 0) -> None:
        self._settings = settings
        self._rules = [_rules(game) for game in settings.stages]
        self._newest = max(weights, UNTRAINED)  # weights that have played
        self._begin(stage)

    def _begin(self, stage: int) -> None:
        self.stage = stage
        self.games = 0
        self.shares = WinShares()
        self._trained = False
        self._first = self._newest + 1  # weights of a net that was trained in the stage

    def add(self, record: GameRecord) -> None:
        """Note a finished game; one of an earlier stage, which was still under way, counts no more."""
        self._newest = max(self._newest, record.weights_version)
        if not self._is_of_stage(record):
            return
        self.games += 1
        if self._counts(record):
            self.shares.add(win_share(record.outcome, record.opponents))

    def restore(self, records: Iterable[GameRecord], count: int) -> None:
        """Note the ``count`` games that came in since the stage began, newest first, when a run is resumed.

        In the last stage, which may be long, only as many ``records`` are looked at as may tell the shares.
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
        """Whether it is time for the next stage, and there is one."""
        curriculum = self._settings.curriculum
        if self._is_last or self.games < curriculum.stage_games or not self._trained:
            return False
        if not self._settings.league.share:
            return True
        return self.shares.games == WINDOW and self.shares.mean >= curriculum.mastery

    @property
    def _is_last(self) -> bool:
        return self.stage + 1 == len(self._rules)

    def _counts(self, record: GameRecord) -> bool:
        """Whether a game of the stage tells how its net does in the league; of the last stage, which is never mastered,
        all do. Notes whether the net was trained in the stage."""
        trained = record.weights_version >= self._first
        self._trained |= trained
        return bool(record.opponents) and (trained or self._is_last)

    def _is_of_stage(self, record: GameRecord) -> bool:
        return (record.board_size, record.win_length) == self._rules[self.stage]

    def next_stage(self) -> None:
        """Go on to the next stage; its games and shares count from nothing."""
        self._begin(self.stage + 1)


def stage_in_words(settings: Settings, stage: int, mastered_after: int = 0) -> str:
    """Where a run of ``settings`` stands: "stage 2 of 4: 6 in a row 30x30 (mastered stage 1 after 512 games)", or
    "(ended stage 1 ...)" without a league, by which alone a stage is mastered.

    ``stage`` counts from 0, ``mastered_after`` are the games of the stage before it.
    """
    rules = settings.stages[stage]
    n = rules.board_size
    text = f"stage {stage + 1} of {len(settings.stages)}: {_rules(rules)[1]} in a row {n}x{n}"
    how = "mastered" if settings.league.share else "ended"
    return f"{text} ({how} stage {stage} after {mastered_after:,} games)" if stage else text


def _rules(game: GameSettings) -> tuple[int, int]:
    """Board size and win length, as records have them."""
    return game.board_size, game.row_length
