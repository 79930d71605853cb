"""The results of games between players, kept in a SQLite file that may be added to and read at any time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from hexpipe.arena.match import FORFEITED, PLAYED_OUT, RESIGNED
from hexpipe.arena.ratings import Unit
from hexpipe.sqlite_file import Kind, SqliteFile

_SCHEMA = """
CREATE TABLE players (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE           -- what the player was called: a checkpoint's path, "random", a command line
);
CREATE TABLE games (
    id INTEGER PRIMARY KEY,
    unit INTEGER NOT NULL,              -- games with the same opening, colours swapped, have one number
    rules TEXT NOT NULL,                -- the game in a few words: "Hex 11x11"
    first INTEGER NOT NULL REFERENCES players (id),   -- who had the first seat
    second INTEGER NOT NULL REFERENCES players (id),
    score REAL NOT NULL,                -- points of the first: 1, 0.5 or 0
    opening INTEGER NOT NULL,           -- plies that were given
    moves TEXT NOT NULL,                -- JSON list of absolute actions
    resigned INTEGER NOT NULL,          -- 1 where the loser gave up, 2 where it could not go on
    played_at REAL NOT NULL             -- seconds since 1970
);
CREATE INDEX games_by_unit ON games (unit)
"""
_KIND = Kind("file of results", 0x48585253, 1, _SCHEMA)  # "HXRS"


class PlayedGame(NamedTuple):
    """One game: the names of who had the first and second seat, the first's points, the moves of which the first
    ``opening`` were given; whether the loser gave up, as it does where it ``forfeited``: it could not go on."""

    first: str
    second: str
    score: float
    moves: tuple[int, ...]
    opening: int
    resigned: bool = False
    forfeited: bool = False

    @property
    def loser(self) -> str:
        """The name of who has fewer points, the second's where nobody has."""
        return self.first if self.score < 0.5 else self.second


class Results(AbstractContextManager["Results"]):
    """The file ``path``; made where it does not exist. Raises ArchiveError where it is something else or damaged."""

    def __init__(self, path: Path | str) -> None:
        self._file = SqliteFile(path, _KIND)
        self.path = self._file.path

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add_units(self, rules: str, units: Sequence[Sequence[PlayedGame]]) -> None:
        """Commit games, unit by unit, all or none."""
        with self._file.transaction() as db:
            number = int(db.execute("SELECT coalesce(max(unit), 0) FROM games").fetchone()[0])
            for games in units:
                number += 1
                for game in games:
                    how = FORFEITED if game.forfeited else RESIGNED if game.resigned else PLAYED_OUT
                    players = [self._player(name) for name in (game.first, game.second)]
                    facts = (*players, game.score, game.opening, json.dumps(game.moves), how, time.time())
                    db.execute(
                        "INSERT INTO games (unit, rules, first, second, score, opening, moves, resigned, played_at)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (number, rules, *facts),
                    )

    def units(self, rules: str, names: Sequence[str]) -> list[Unit]:
        """Return the results by ``rules`` between players of ``names``, who have their places in that list as
        numbers."""
        place = {name: number for number, name in enumerate(names)}
        found: dict[int, Unit] = {}
        for number, first, second, score in self._select("unit, f.name, s.name, score", rules):
            if first not in place or second not in place:
                continue
            a, b = place[first], place[second]
            unit = found.get(number, Unit(min(a, b), max(a, b), 0.0, 0))
            points = score if a == unit.a else 1.0 - score
            found[number] = unit._replace(score=unit.score + points, games=unit.games + 1)
        return list(found.values())

    def forfeits(self, rules: str, names: Sequence[str]) -> Counter[str]:
        """Return how many games by ``rules`` each of ``names`` forfeited to another one of them."""
        known = set(names)
        games = [game for game in self.games(rules) if game.forfeited and {game.first, game.second} <= known]
        return Counter(game.loser for game in games)

    def players(self, rules: str) -> list[str]:
        """Return the names of all who have played by ``rules``, in the order in which they came."""
        with self._file.explained():
            rows = self._file.db.execute(
                "SELECT name FROM players WHERE id IN (SELECT first FROM games WHERE rules = ?1"
                " UNION SELECT second FROM games WHERE rules = ?1) ORDER BY id",
                (rules,),
            ).fetchall()
        return [name for (name,) in rows]

    def games(self, rules: str | None = None) -> list[PlayedGame]:
        """Return all games in order, or those by ``rules``."""
        rows = self._select("f.name, s.name, score, moves, opening, resigned", rules)
        return [
            PlayedGame(
                first, second, score, tuple(json.loads(moves)), opening, resigned != PLAYED_OUT, resigned == FORFEITED
            )
            for first, second, score, moves, opening, resigned in rows
        ]

    def _select(self, columns: str, rules: str | None) -> list[tuple[Any, ...]]:
        """Return ``columns`` of all games in order, or those by ``rules``; f and s are the first and second player."""
        with self._file.explained():
            return self._file.db.execute(
                f"SELECT {columns} FROM games JOIN players f ON f.id = first"
                " JOIN players s ON s.id = second WHERE ?1 IS NULL OR rules = ?1 ORDER BY games.id",
                (rules,),
            ).fetchall()

    def _player(self, name: str) -> int:
        db = self._file.db
        db.execute("INSERT OR IGNORE INTO players (name) VALUES (?)", (name,))
        return int(db.execute("SELECT id FROM players WHERE name = ?", (name,)).fetchone()[0])
