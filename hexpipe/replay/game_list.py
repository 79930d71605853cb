"""Lists of an archive's games, without reading their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hexpipe.games.board_moves import moves_of_actions
from hexpipe.games.game_env import Game
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive

DRAW = -1


class ListedGame(NamedTuple):
    """One game: its number of arrival, and the columns of the archive's table (`archive`).

    ``settings`` is the sha256 of those in force.
    """

    number: int
    board_size: int
    plies: int
    winner: int | None
    weights_version: int
    committed: float | None
    session: int | None
    worker: int | None
    sequence: int | None
    settings: str | None


@dataclass(frozen=True)
class GameFilter:
    """A filter of games: each condition that is not None. Ranges include both ends, either of which may be open (None).

    ``winner`` is a seat, `DRAW` for games without one; ``since`` in Unix seconds; ``settings`` the beginning of a
    sha256.
    """

    winner: int | None = None
    board_size: int | None = None
    plies: tuple[int | None, int | None] = (None, None)
    versions: tuple[int | None, int | None] = (None, None)
    since: float | None = None
    session: int | None = None
    worker: int | None = None
    settings: str | None = None

    def conditions(self) -> list[tuple[str, Any]]:
        """Return SQL conditions, each with the value of its parameter."""
        wanted = [
            ("winner IS ?", None if self.winner == DRAW else self.winner, self.winner is not None),
            ("board_size = ?", self.board_size, self.board_size is not None),
            ("plies >= ?", self.plies[0], self.plies[0] is not None),
            ("plies <= ?", self.plies[1], self.plies[1] is not None),
            ("weights_version >= ?", self.versions[0], self.versions[0] is not None),
            ("weights_version <= ?", self.versions[1], self.versions[1] is not None),
            ("committed >= ?", self.since, self.since is not None),
            ("session = ?", self.session, self.session is not None),
            ("worker = ?", self.worker, self.worker is not None),
            ("instr(sha256, ?) = 1", self.settings, self.settings is not None),
        ]
        return [(condition, value) for condition, value, is_wanted in wanted if is_wanted]


def find_games(archive: ReplayArchive, wanted: GameFilter, newest: int | None = None) -> list[ListedGame]:
    """Return the games that pass ``wanted``, in the order of arrival; the ``newest`` of them if given."""
    conditions = wanted.conditions()
    where = " AND ".join(condition for condition, _ in conditions) or "1"
    rows = archive.select(
        "SELECT games.id, board_size, plies, winner, weights_version, committed, session, worker, sequence, sha256"
        f" FROM games LEFT JOIN settings ON games.settings = settings.id WHERE {where}"
        " ORDER BY games.id DESC LIMIT ?",
        (*(value for _, value in conditions), -1 if newest is None else newest),
    )
    return [ListedGame(*row) for row in reversed(rows)]


def moves_of_record(stages: Sequence[Game], record: GameRecord) -> list[int]:
    """Return the moves (`games.board_moves`) of a game on its whole board; ``stages`` has the game of its rules."""
    game = next(stage for stage in stages if stage.board_size == record.board_size)
    moves: list[int] = moves_of_actions(game, record.actions, record.origins).tolist()
    return moves
