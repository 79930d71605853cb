"""The folder of games that bulk self-play fills, a line a game, appended as each of them ends.

- games.jsonl: every game and all that is known of it; the other files follow from it
- games.sgf, and games.trmph or, with the swap rule, which TRMPH has no word for, games.hexworld: games of Hex
- selfplay.json: what was asked for; summary.json: what came of it
- hexpipe.log, errors/: what the processes say

A line goes to the file in one write, so that a killed process leaves whole lines. Should the machine end within one,
the next start cuts the half line off, and writes the files of Hex anew where they do not have all games.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from hexpipe.errors import NotationError, RunFolderError
from hexpipe.games.board_moves import move_names
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.notation.format_conversion import HexGame, from_json, to_hexworld, to_sgf, to_trmph
from hexpipe.notation.game_texts import as_document
from hexpipe.plain_files import open_new, open_own, read_document
from hexpipe.presence import Presence
from hexpipe.run_folder import write_atomic

GAMES, ASKED, SUMMARY = "games.jsonl", "selfplay.json", "summary.json"


class FinishedGame(NamedTuple):
    """A game by its moves of the whole board (`games.board_moves`), each seat's value at its end, and how many of its
    first plies were its opening."""

    moves: tuple[int, ...]
    outcome: tuple[float, ...]
    opening_plies: int

    @property
    def winner(self) -> int | None:
        """The seat that came out best, None of a draw."""
        best = max(self.outcome)
        return self.outcome.index(best) if self.outcome.count(best) == 1 else None


@dataclass
class Tally:
    """Totals of the games of a folder. ``duplicates``: games whose moves another had before."""

    wins: list[int]
    games: int = 0
    draws: int = 0
    plies: int = 0
    duplicates: int = 0
    _seen: set[int] = field(default_factory=set)

    def add(self, document: Mapping[str, Any]) -> None:
        """Count a game as it stands in games.jsonl."""
        moves = hash(tuple(document["moves"]))  # 64 bits: of a million games two others hardly ever agree
        self.duplicates += moves in self._seen
        self._seen.add(moves)
        self.games += 1
        self.plies += len(document["moves"])
        winner = document["winning_seat"]
        if winner is None:
            self.draws += 1
        else:
            self.wins[winner] += 1


class GameFiles(AbstractContextManager["GameFiles"]):
    """The files of one folder, which this process alone holds; use as a context manager.

    ``asked`` is what decides the games: a folder of games that something else was asked for is refused. RunFolderError
    where the folder cannot be used; each message says what to do. GoneError where one of the files was taken away.
    """

    def __init__(self, folder: Path, game: Game, asked: Mapping[str, Any]) -> None:
        self.folder, self._game = folder, game
        self.tally = Tally([0] * game.num_seats)
        self._forms: dict[str, Callable[[HexGame], str]] = {}
        if isinstance(game, Hex):
            line = {"games.hexworld": to_hexworld} if game.swap else {"games.trmph": to_trmph}
            self._forms = {**line, "games.sgf": to_sgf}
        self._streams: dict[str, IO[bytes]] = {}
        try:
            self._open(asked)
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """The files that games go to."""
        return [GAMES, *self._forms]

    def append(self, games: Sequence[FinishedGame]) -> None:
        """Save ``games``: when this returns they have left the process."""
        self._presence.check()
        lines: dict[str, list[str]] = {name: [] for name in self.names}
        for game in games:
            document = self._document(game)
            lines[GAMES].append(json.dumps(document))
            for name, form in self._forms.items():
                lines[name].append(form(_hex_game(game, self._game)))
            self.tally.add(document)
        try:
            for name, texts in lines.items():
                self._streams[name].write("".join(f"{text}\n" for text in texts).encode())
                self._streams[name].flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        self._presence.check()
        try:
            write_atomic(self.folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the files and let go of the folder."""
        for stream in self._streams.values():
            stream.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, asked: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        games = self._streams[GAMES] = open_own(self.folder / GAMES, "a+b")
        try:
            fcntl.flock(games, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            words = f"another process is writing games to {self.folder}: wait for it, or name another --output-dir"
            raise RunFolderError(words, kind="busy", path=self.folder) from error
        self._check_asked(dict(asked))
        for document in self._read():
            self.tally.add(document)
        for name, form in self._forms.items():
            self._bring_up_to_date(self.folder / name, form)
            self._streams[name] = open_own(self.folder / name, "ab")
        self._presence = Presence(self.folder, *(self.folder / name for name in self._streams))

    def _check_asked(self, asked: dict[str, Any]) -> None:
        path = self.folder / ASKED
        if not path.exists():
            if (self.folder / GAMES).stat().st_size:
                words = f"{self.folder} holds games of unknown origin: name another --output-dir"
                raise RunFolderError(words, kind="foreign", path=self.folder)
            write_atomic(path, json.dumps(asked, indent=2) + "\n")
            return
        try:
            before = read_document(path)
        except ValueError as error:
            raise RunFolderError(
                f"{path} is damaged ({error}): name another --output-dir", kind="damaged", path=path
            ) from error
        now = json.loads(json.dumps(asked))  # as it would be read
        for name in now:
            if now[name] != before.get(name):
                words = (
                    f"the games in {self.folder} were played with {name} {before.get(name)!r}, not {now[name]!r}: "
                    "go on with that, or name another --output-dir"
                )
                raise RunFolderError(words, kind="conflict", setting=name, path=self.folder)

    def _read(self) -> Iterator[dict[str, Any]]:
        """Yield every game in games.jsonl; a half line at its end is cut off."""
        stream = self._streams[GAMES]
        stream.seek(0)
        whole = 0
        for number, line in enumerate(iter(stream.readline, b""), start=1):
            if not line.endswith(b"\n"):
                stream.truncate(whole)
                break
            whole += len(line)
            try:
                document = json.loads(line)
                known = isinstance(document["moves"], list) and "winning_seat" in document
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(number) from error
            if not known:
                raise self._damaged(number)
            yield document

    def _bring_up_to_date(self, path: Path, form: Callable[[HexGame], str]) -> None:
        if path.exists():
            with open_own(path, "rb") as stream:
                lines = list(map(len, stream))
                stream.seek(-1 if lines else 0, 2)
                if len(lines) == self.tally.games and stream.read() in (b"", b"\n"):
                    return
        temporary = path.with_name(f".{path.name}.tmp")
        with open_new(temporary) as out:
            for number, document in enumerate(self._read(), start=1):
                try:
                    out.write(f"{form(from_json(json.dumps(document)))}\n".encode())
                except NotationError as error:
                    raise self._damaged(number) from error
        temporary.replace(path)

    def _document(self, game: FinishedGame) -> dict[str, Any]:
        """Return the game as a line of games.jsonl; one of Hex is what `format_conversion.from_json` reads."""
        facts = {"winning_seat": game.winner, "outcome": game.outcome, "opening_plies": game.opening_plies}
        if isinstance(self._game, Hex):
            return {**as_document(_hex_game(game, self._game)), **facts}
        return {"size": self._game.board_size, "moves": move_names(self._game, game.moves), **facts}

    def _damaged(self, line: int) -> RunFolderError:
        return RunFolderError(
            f"{self.folder / GAMES}, line {line}, is no game: mend it, or name another --output-dir",
            kind="damaged",
            path=self.folder / GAMES,
        )

    def _unwritable(self, error: OSError) -> RunFolderError:
        return RunFolderError(
            f"{self.folder} cannot be written ({error.strerror}): free some space, or name another --output-dir",
            kind="access",
            path=self.folder,
        )


def _hex_game(game: FinishedGame, rules: Game) -> HexGame:
    swapped = rules.board_size**2 in game.moves
    return HexGame(rules.board_size, game.moves, None if game.winner is None else game.winner ^ swapped)
