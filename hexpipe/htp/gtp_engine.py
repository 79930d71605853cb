"""The commands of GTP (version 2) for Go and Othello, over a thinker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from hexpipe.arena.clock import Clock
from hexpipe.arena.thinker import Thinker
from hexpipe.config import Settings, settings_on_board
from hexpipe.errors import IllegalMoveError, SettingsError, UsageError
from hexpipe.games.factory import make_game
from hexpipe.games.go.rules import Go
from hexpipe.games.othello.rules import Othello
from hexpipe.games.player_utils import parse_side
from hexpipe.htp.commands import Handler, answer, basics, number, time_left, time_settings
from hexpipe.htp.gtp_game import PASS, RESIGN, GtpGame, GtpRules, vertex_name

GAMES = (Go.name, Othello.name)
"""What is played over GTP; Hex has HTP."""


class GtpEngine:
    """Answers commands by `handle`; errors of HexpipeError are replies that begin with "?".

    ``thinker`` chooses moves, ``settings`` name one of GAMES and its rules at the start. ``resign_below``: the chance
    to win under which `genmove` answers "resign", 0 for never.
    """

    def __init__(self, thinker: Thinker, settings: Settings, resign_below: float = 0.0) -> None:
        self._thinker, self._settings, self._resign_below = thinker, settings, resign_below
        self._clock = Clock()
        game = _rules(settings)
        self._commands: dict[str, Handler] = {}
        self._commands |= basics(self._commands) | {
            "boardsize": Handler(self._boardsize, 1, 1),
            "clear_board": Handler(self._clear_board, 0, 0),
            "play": Handler(self._play, 2, 2),
            "genmove": Handler(self._genmove, 1, 1),
            "reg_genmove": Handler(lambda words: self._chosen(parse_side(words[0]), timed=False), 1, 1),
            "undo": Handler(self._undo, 0, 0),
            "final_score": Handler(self._final_score, 0, 0),
            "showboard": Handler(lambda _: "\n" + self._game.picture(), 0, 0),
            "time_settings": Handler(partial(time_settings, self._clock), 3, 3),
            "time_left": Handler(partial(time_left, self._clock), 3, 3),
        }
        if isinstance(game, Go):
            self._commands["komi"] = Handler(self._komi, 1, 1)
            self._commands["kgs-genmove_cleanup"] = Handler(partial(self._genmove, cleanup=True), 1, 1)
        self._game = GtpGame(game)
        self._prepare(game)

    def handle(self, name: str, arguments: Sequence[str]) -> str:
        """Return the reply to one command."""
        return answer(self._commands, name, arguments)

    def _boardsize(self, words: Sequence[str]) -> str:
        size = number(words[0])
        try:
            if size != int(size):
                raise SettingsError(f"{words[0]} is no whole number", kind="type")
            settings = settings_on_board(self._settings, int(size), None)
        except SettingsError as error:
            raise UsageError(f"unacceptable size: {error}") from error
        self._begin(settings)
        return ""

    def _clear_board(self, words: Sequence[str]) -> str:
        self._begin(self._settings)
        return ""

    def _komi(self, words: Sequence[str]) -> str:
        settings = settings_on_board(self._settings, None, None, {"komi": number(words[0])})
        game = _rules(settings)
        self._prepare(game)
        self._settings = settings
        self._game.under(game)
        return ""

    def _begin(self, settings: Settings) -> None:
        game = _rules(settings)
        self._prepare(game)
        self._settings, self._game = settings, GtpGame(game)
        self._clock.restart()

    def _prepare(self, game: GtpRules) -> None:
        rules = {"komi": game.komi} if isinstance(game, Go) else {}
        self._thinker.prepare(game.board_size, False, **rules)

    def _play(self, words: Sequence[str]) -> str:
        self._game.play(parse_side(words[0]), words[1])
        return ""

    def _genmove(self, words: Sequence[str], cleanup: bool = False) -> str:
        colour, began = parse_side(words[0]), time.monotonic()
        word = self._chosen(colour, timed=True, cleanup=cleanup)
        self._game.play(colour, word)
        self._clock.spend(colour, time.monotonic() - began)
        return word

    def _chosen(self, colour: int, timed: bool, cleanup: bool = False) -> str:
        """Return the word for the move of ``colour``; a game that is over, and not to be cleaned up, goes on by passes
        alone."""
        if self._game.over and not cleanup:
            return PASS
        moves = self._game.moves_before(colour)
        share = self._clock.share(colour, self._game.empty // 2) if timed else None
        analysis = self._thinker.think(moves, share)
        if analysis.win_probability < self._resign_below:
            return RESIGN
        return vertex_name(self._game.game, analysis.best)

    def _undo(self, words: Sequence[str]) -> str:
        try:
            self._game.undo()
        except IllegalMoveError as error:
            raise UsageError(f"cannot undo: {error}") from error
        return ""

    def _final_score(self, words: Sequence[str]) -> str:
        score = self._game.score()
        if score is None:
            raise UsageError("cannot score: the game goes on")
        return score


def _rules(settings: Settings) -> GtpRules:
    game = make_game(settings.game)
    if not isinstance(game, Go | Othello):
        raise UsageError(f"{settings.game.title}: GTP is for {' and '.join(GAMES)} here")
    return game
