"""A game of Go or Othello that a controller plays over GTP: moves taken back one by one, and what GTP calls points.

GTP leaves out the column I and counts rows from the bottom. Points of Go are called so here, A1 at the bottom left; the
rest of hexpipe has a1 at the top left. Othello's own notation has a1 at the top left, and so have programs that speak
GTP.
"""

from __future__ import annotations

import re

import numpy as np

from hexpipe.errors import IllegalMoveError, NotationError
from hexpipe.games.board_moves import legal_moves
from hexpipe.games.boards import SQUARE_STONES, render_square
from hexpipe.games.game_env import ONGOING, OwnStates
from hexpipe.games.go.rules import Go
from hexpipe.games.othello.rules import Othello
from hexpipe.games.player_utils import COLOURS

PASS, RESIGN = "pass", "resign"
COLUMNS = "ABCDEFGHJKLMNOPQRST"
"""GTP's names of columns."""
_VERTEX = re.compile(r"([a-hj-t])([1-9][0-9]?)")

GtpRules = Go | Othello


def vertex_name(game: GtpRules, action: int) -> str:
    """Return what GTP calls ``action``: "Q16", "pass"."""
    if action == game.shapes.board_cells:
        return PASS
    if not isinstance(game, Go):
        return game.cell_name(action).upper()
    row, column = divmod(action, game.board_size)
    return f"{COLUMNS[column]}{game.board_size - row}"


def parse_vertex(game: GtpRules, word: str) -> int:
    """Return the action that GTP calls ``word``, in any case; NotationError where this board has none."""
    if word.lower() == PASS:
        return game.shapes.board_cells
    if not isinstance(game, Go):
        return game.parse_cell(word)
    n = game.board_size
    match = _VERTEX.fullmatch(word.lower())
    column = COLUMNS.index(match[1].upper()) if match else n
    row = n - int(match[2]) if match else -1
    if column >= n or row < 0:
        last = vertex_name(game, n - 1)
        raise NotationError(f"{word!r} is no vertex of this board, which goes from A1 to {last}", kind="coordinate")
    return row * n + column


class GtpGame:
    """The moves of ``game`` so far. GTP lets a colour move twice and stones follow two passes; rules do neither.

    So passes of Go that stand in the way are taken off, as if the game had gone on, and where a colour moves twice the
    other has passed between. A pass out of turn, and any after the end, changes nothing.
    """

    def __init__(self, game: GtpRules) -> None:
        self.game = game
        self.resigned: int | None = None
        """The colour that has given up in this position."""
        self._lines: list[tuple[int, ...]] = [()]  # the moves by the rules after each play
        self._states: OwnStates = game.new_states(1)

    @property
    def moves(self) -> tuple[int, ...]:
        """The moves from the start by which the rules know the position."""
        return self._lines[-1]

    @property
    def over(self) -> bool:
        """Whether the game has ended by its rules."""
        return bool(self._states.winner[0] != ONGOING)

    @property
    def to_move(self) -> int:
        """The colour to move, 0 black or 1 white."""
        return int(self._states.to_move[0])

    @property
    def empty(self) -> int:
        """How many cells are empty."""
        return int(np.count_nonzero(self._states.cells[0] == 0))

    def moves_before(self, colour: int) -> tuple[int, ...]:
        """Return the moves by which ``colour`` is to move and the game goes on; IllegalMoveError where there are
        none."""
        moves, passing, free = list(self.moves), self.game.shapes.board_cells, isinstance(self.game, Go)
        if self.over:
            if not free or moves[-2:] != [passing, passing]:
                raise IllegalMoveError("the game is over", kind="over")
            moves.pop()
        if len(moves) % 2 != colour:
            if free and moves and moves[-1] == passing:
                moves.pop()
            elif passing in legal_moves(self.game, self.game.play(moves)):
                moves.append(passing)
            else:
                words = f"it is {COLOURS[1 - colour]}'s turn, who can move and so must not pass"
                raise IllegalMoveError(words, kind="turn")
        return tuple(moves)

    def play(self, colour: int, word: str) -> None:
        """Play for ``colour`` a vertex, a pass, or that it resigns, which `undo` takes back with the move before it.

        IllegalMoveError or NotationError where it cannot be.
        """
        if word.lower() == RESIGN:
            self.resigned = colour
            return
        action = parse_vertex(self.game, word)
        if action == self.game.shapes.board_cells and (self.over or colour != self.to_move):
            moves = self.moves
        else:
            moves = self.moves_before(colour)
            states = self.game.play(moves)
            if action not in legal_moves(self.game, states):
                taken = action < self.game.shapes.board_cells and states.cells[0, action]
                why = "the point is taken" if taken else self.game.why_illegal(states, action)
                raise IllegalMoveError(f"{vertex_name(self.game, action)}: {why}", kind="rule")
            moves = (*moves, action)
        self._lines.append(moves)
        self._set()

    def undo(self) -> None:
        """Take the last play back; IllegalMoveError if there is none."""
        if len(self._lines) == 1:
            raise IllegalMoveError("nothing has been played", kind="moves")
        self._lines.pop()
        self._set()

    def under(self, game: GtpRules) -> None:
        """Go on with the same moves by the rules of ``game``, of the same board: another komi."""
        self.game = game
        self._states = game.play(self.moves)

    def score(self) -> str | None:
        """Return the result as GTP and SGF write it: "B+3.5", "W+R", "0"; None while the game goes on."""
        if not self.over:
            return None if self.resigned is None else f"{'WB'[self.resigned]}+R"
        cells = self._states.cells[0]
        stones = float(np.count_nonzero(cells == 1) - np.count_nonzero(cells == 2))
        lead = self.game.lead(cells) if isinstance(self.game, Go) else stones
        return "0" if lead == 0 else f"{'B' if lead > 0 else 'W'}+{abs(lead):g}"

    def picture(self) -> str:
        """Return the board with its names, and what happens next."""
        cells, n = self._states.cells[0], self.game.board_size
        if isinstance(self.game, Go):
            names = "   " + " ".join(COLUMNS[:n])
            rows = [
                f"{n - row:>2} {' '.join(SQUARE_STONES[cell] for cell in line)} {n - row}"
                for row, line in enumerate(cells.reshape(n, n))
            ]
            board = "\n".join([names, *rows, names])
        else:
            board = render_square(cells, n)
        score = self.score()
        state = f"{COLOURS[self.to_move]} to move" if score is None else f"result {score}"
        return f"{board}\nX black, O white; {state}"

    def _set(self) -> None:
        self.resigned = None
        self._states = self.game.play(self.moves)
