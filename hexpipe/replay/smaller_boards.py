"""The games of a run's smaller boards, kept in the mix as its board of Hex grows."""

from __future__ import annotations

from collections.abc import Iterator

from hexpipe.config import Settings
from hexpipe.games.hex_frame import framed
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive


def smaller_games(settings: Settings, archive: ReplayArchive) -> Iterator[tuple[int, GameRecord]]:
    """Yield the newest ``curriculum.kept_games`` games on boards below that of ``settings``, a leg of the run, as games
    on its board, oldest first, with their numbers in ``archive``. None with the swap rule, or where boards are no legs.
    """
    size, kept = settings.game.board_size, settings.curriculum.kept_games
    smaller = [stage.board_size for stage in settings.stages if stage.board_size < size]
    if settings.plays_in_legs and smaller and kept and not settings.game.swap:
        for number, record in archive.newest(kept, 0, lambda plies, policy_bytes: 0, smaller):
            yield number, framed(record, size)
