"""The commands of the Gomocup protocol, as piskvork and other managers send them, over a thinker."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import hexpipe
from hexpipe.arena.analysis import Analysis
from hexpipe.arena.clock import MARGIN, Clock
from hexpipe.arena.thinker import Thinker
from hexpipe.errors import HexpipeError, IllegalMoveError, NotationError, UsageError
from hexpipe.games.board_moves import checked_moves
from hexpipe.games.game_env import ONGOING
from hexpipe.games.inarow import InARow

NO_LIMIT = 2**31 - 1
"""What managers say is left of a match, in milliseconds, where it has no limit."""
RULES = {"free": (0,), "exact": (1,), "renju": (4, 5)}
"""The numbers of `INFO rule` that mean each of `game.row_rule`; renju's has exactly five in it."""

_MOST_TO_COME = 30  # moves of one player that a share of the match's time is for
_PLACE = re.compile(r"(-?[0-9]{1,9})\s*,\s*(-?[0-9]{1,9})(?:\s*,\s*([0-9]{1,9}))?")
_OWN, _OTHERS = 1, 2
_RULE_WORDS = {"free": "five or more in a row win", "exact": "exactly five in a row win", "renju": "renju"}
_OPENINGS = (
    ((0, 0), (0, 1), (2, 2)),
    ((0, 0), (1, 1), (3, 0)),
    ((0, 0), (1, 0), (-2, 2)),
    ((0, 0), (0, 2), (4, 1)),
    ((-3, -3), (-2, -3), (3, 3)),
    ((-4, 0), (4, 0), (0, 4)),
)
"""Three stones each, black, white, black, from the board's middle, that swap2 may be opened with."""


class _Stone(NamedTuple):
    """A stone of a list, on ``cell``, and its field: 1 own, 2 the other's, 0 where the line says none."""

    cell: int
    field: int


class GomocupEngine:
    """Answers commands by `handle`; errors of HexpipeError are answers that begin with "ERROR".

    ``thinker`` chooses moves, of the game that ``make_game`` makes for a board size, by the rule for rows that
    ``row_rule`` names. A manager's clock, and its limit for a move, are kept.
    """

    def __init__(self, thinker: Thinker, make_game: Callable[[int], InARow], row_rule: str) -> None:
        self._thinker, self._make_game, self._row_rule = thinker, make_game, row_rule
        self._game: InARow | None = None
        self._moves: list[int] = []
        self._asked_rule: int | None = None
        self._clock = Clock()
        self._match = 0.0  # seconds for a match, 0 for no limit
        self._turn: float | None = None  # seconds for a move
        self._list: str | None = None  # the command whose stones are being listed
        self._stones: list[_Stone] = []
        self._wrong: NotationError | None = None  # the first thing that is wrong with them
        self._commands: dict[str, Callable[[str], Sequence[str]]] = {
            "START": self._start,
            "RECTSTART": self._rectstart,
            "RESTART": self._restart,
            "BEGIN": self._begin,
            "TURN": self._take_turn,
            "PLAY": self._play,
            "BOARD": lambda _: self._begin_list("BOARD"),
            "SWAP2BOARD": lambda _: self._begin_list("SWAP2BOARD"),
            "TAKEBACK": self._takeback,
            "INFO": self._info,
            "ABOUT": lambda _: [f'name="hexpipe", version="{hexpipe.__version__}"'],
            "STOP": lambda _: [],
            "YXSTOP": lambda _: [],
        }

    def handle(self, name: str, rest: str) -> Sequence[str]:
        """Return the lines of the answer to one command, none where none is expected."""
        if self._list is not None and name not in self._commands:
            if name == "DONE":
                return self._end_list()
            self._add(f"{name} {rest}")
            return []
        notes = []
        if self._list is not None and name != "INFO":
            notes = [f"MESSAGE {self._list} was not ended by DONE, and is forgotten"]
            self._list = None
        command = self._commands.get(name)
        if command is None:
            return [f"UNKNOWN {name} is no command that hexpipe knows"]
        return [*notes, *command(rest)]

    def _start(self, rest: str) -> Sequence[str]:
        if not re.fullmatch("[0-9]{1,9}", rest):
            raise NotationError(f"START takes the cells along a side, not {rest!r}", kind="type")
        game = self._make_game(int(rest))
        self._thinker.prepare(game.board_size, False)
        self._game = game
        self._restart("")
        return ["OK"]

    def _rectstart(self, rest: str) -> Sequence[str]:
        width, height, field = _place(rest)
        if width != height or field is not None:
            raise UsageError("only square boards are played here")
        return self._start(str(width))

    def _restart(self, rest: str) -> Sequence[str]:
        self._started()
        self._moves = []
        if self._match:
            self._clock.restart()
        return ["OK"]

    def _begin(self, rest: str) -> Sequence[str]:
        if self._moves:
            raise UsageError("BEGIN is for an empty board: RESTART first")
        return self._think(time.monotonic())

    def _take_turn(self, rest: str) -> Sequence[str]:
        began = time.monotonic()
        self._check_rule()
        before, self._moves = self._moves, [*self._moves, self._cell(rest)]
        try:
            return self._think(began)
        except HexpipeError:
            self._moves = before
            raise

    def _play(self, rest: str) -> Sequence[str]:
        """Play what the manager says for this side."""
        cell = self._cell(rest)
        checked_moves(self._started(), [*self._moves, cell])
        self._moves.append(cell)
        return [self._words(cell)]

    def _takeback(self, rest: str) -> Sequence[str]:
        cell = self._cell(rest)
        if self._moves[-1:] != [cell]:
            last = f"the last move is {self._words(self._moves[-1])}" if self._moves else "nothing has been played"
            raise UsageError(f"only the last move can be taken back: {last}")
        self._moves.pop()
        return ["OK"]

    def _begin_list(self, name: str) -> Sequence[str]:
        self._list, self._stones, self._wrong = name, [], None
        return []

    def _add(self, line: str) -> None:
        """Add a line of the list; what is wrong with one is told at its end."""
        try:
            *_, field = _place(line)
            self._stones.append(_Stone(self._cell(line.rpartition(",")[0] if field is not None else line), field or 0))
        except HexpipeError as error:
            self._wrong = self._wrong or NotationError(f"{self._list}: {error}", kind="type")

    def _end_list(self) -> Sequence[str]:
        began, name, self._list = time.monotonic(), self._list, None
        if self._wrong is not None:
            raise self._wrong
        self._check_rule()
        game, before = self._started(), self._moves
        moves = _in_turn(self._stones) if name == "BOARD" else [stone.cell for stone in self._stones]
        states = checked_moves(game, moves)
        if states.winner[0] != ONGOING:
            raise IllegalMoveError("the game is over", kind="over")
        self._moves = moves
        try:
            return self._think(began) if name == "BOARD" else self._swap2(began)
        except HexpipeError:
            self._moves = before
            raise

    def _info(self, rest: str) -> Sequence[str]:
        """Note what concerns the game and its time. As the protocol wants it nothing is answered, and what is not known
        is left alone."""
        key, _, value = rest.lower().partition(" ")
        number = int(value) if re.fullmatch(r"-?[0-9]{1,18}", value.strip()) else None
        if number is None:
            return []
        if key == "timeout_turn":
            self._turn = max(0, number) / 1000
        elif key == "timeout_match":
            self._match = max(0, number) / 1000
            self._clock.configure(self._match, 0, 0)
        elif key == "time_left" and number < NO_LIMIT:
            self._clock.set_left(0, number / 1000, 0)
        elif key == "time_left":
            self._clock.configure(0, 0, 0)
        elif key == "rule":
            self._asked_rule = number
        return []

    def _swap2(self, began: float) -> Sequence[str]:
        """Open with three stones, or take a side of three or five: that with the better chance to win."""
        if len(self._moves) not in (0, 3, 5):
            raise UsageError(f"swap2 is about 0, 3 or 5 stones, not {len(self._moves)}")
        if not self._moves:
            self._moves = self._even_opening(began)
            return [" ".join(map(self._words, self._moves))]
        analysis = self._analysis(self._moves, self._seconds())
        self._clock.spend(0, time.monotonic() - began)
        if analysis.win_probability < 0.5:  # white's, who moves next
            return [_message(analysis), "SWAP"]
        self._moves.append(analysis.best)
        return [_message(analysis), self._words(analysis.best)]

    def _even_opening(self, began: float) -> list[int]:
        """Return the opening in which both have about the same chance."""
        game = self._started()
        n, middle = game.board_size, game.board_size // 2
        openings = [
            [(middle + i) * n + middle + j for i, j in stones]
            for stones in _OPENINGS
            if all(0 <= middle + at < n for place in stones for at in place)
        ]
        seconds = self._seconds()
        each = None if seconds is None else seconds / len(openings)
        chances = [self._analysis(opening, each).win_probability for opening in openings]
        self._clock.spend(0, time.monotonic() - began)
        return openings[min(range(len(openings)), key=lambda k: abs(chances[k] - 0.5))]

    def _think(self, began: float) -> Sequence[str]:
        """Choose and play a move of this side."""
        self._check_rule()
        states = checked_moves(self._started(), self._moves)
        if states.winner[0] != ONGOING:
            raise IllegalMoveError("the game is over", kind="over")
        analysis = self._analysis(self._moves, self._seconds())
        self._moves = [*self._moves, analysis.best]
        self._clock.spend(0, time.monotonic() - began)
        return [_message(analysis), self._words(analysis.best)]

    def _analysis(self, moves: Sequence[int], seconds: float | None) -> Analysis:
        return self._thinker.think(tuple(moves), seconds)

    def _seconds(self) -> float | None:
        """Return the time for a move; None without a limit."""
        to_come = min(_MOST_TO_COME, (self._started().board_size ** 2 - len(self._moves)) // 2)
        turn = None if self._turn is None else max(self._turn - MARGIN, self._turn / 2)
        return min((limit for limit in (turn, self._clock.share(0, to_come)) if limit is not None), default=None)

    def _check_rule(self) -> None:
        """Raise UsageError where the manager plays by other rules: INFO, which told so, has no answer."""
        asked = self._asked_rule
        if asked is None or asked in RULES[self._row_rule]:
            return
        known = next(
            (words for rule, words in _RULE_WORDS.items() if asked in RULES[rule]), "nothing that is played here"
        )
        own = f"{_RULE_WORDS[self._row_rule]}, INFO rule {RULES[self._row_rule][0]}"
        raise UsageError(f"INFO rule {asked} is {known}, and this engine plays another game ({own})")

    def _started(self) -> InARow:
        if self._game is None:
            raise UsageError("there is no board yet: START first")
        return self._game

    def _cell(self, text: str) -> int:
        """Return the cell of "x,y", column and row from 0."""
        n = self._started().board_size
        x, y, field = _place(text)
        if field is not None or not (0 <= x < n and 0 <= y < n):
            raise NotationError(f"{text!r} is no cell: x,y are 0 to {n - 1}", kind="coordinate")
        return y * n + x

    def _words(self, cell: int) -> str:
        y, x = divmod(cell, self._started().board_size)
        return f"{x},{y}"


def _place(text: str) -> tuple[int, int, int | None]:
    """Return the numbers of "x,y" or "x,y,field", None for a field that is not there."""
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        raise NotationError(f"{text.strip()!r} is no place, such as 7,7", kind="type")
    x, y, field = found.groups()
    return int(x), int(y), None if field is None else int(field)


def _in_turn(stones: Sequence[_Stone]) -> list[int]:
    """Return the cells of ``stones`` as moves with the own side to move after them.

    Stones in turn are taken in their order, as renju needs it; in another order those of each side keep theirs.
    """
    own, others = ([stone.cell for stone in stones if stone.field == field] for field in (_OWN, _OTHERS))
    if len(own) + len(others) < len(stones):
        raise NotationError("BOARD: a stone is 1, own, or 2, the opponent's; walls are not played here", kind="type")
    if len(others) - len(own) not in (0, 1):
        counts = f"{len(own)} own stones and {len(others)} of the opponent's"
        raise NotationError(f"BOARD: {counts} are no position in which it is this side's turn", kind="turn")
    first, second = (own, others) if len(own) == len(others) else (others, own)
    return [(first, second)[k % 2][k // 2] for k in range(len(stones))]


def _message(analysis: Analysis) -> str:
    sure = "proven" if analysis.proven else f"{analysis.simulations} simulations"
    return f"MESSAGE wins with {analysis.win_probability:.1%} ({sure})"
