"""The commands of HTP, as HexGui and benzene's tools send them, over a thinker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.clock import Clock
from hexpipe.arena.thinker import Thinker
from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.errors import HexpipeError, IllegalMoveError, NotationError, UsageError
from hexpipe.games.player_utils import COLOURS, parse_side
from hexpipe.games.set_up import SetUp
from hexpipe.htp.commands import Handler, answer, basics, number, time_left, time_settings
from hexpipe.htp.game import RESIGN, SWAP_WORD, HtpGame
from hexpipe.notation import sgf
from hexpipe.notation.format_conversion import cell_name, decode_games
from hexpipe.notation.sgf_positions import read_position

LARGEST_FILE = 1 << 24
SMALLEST_PRIOR = 0.0005  # shows as 0.001

_ANALYZE = """\
plist/Legal Moves/all_legal_moves %m
string/Best Move/reg_genmove %m
pspairs/Policy/hexpipe-policy %m
gfx/Policy Heat/hexpipe-policy-heat %m
pspairs/Win Rates/hexpipe-win-rates %m
gfx/Win Rate Heat/hexpipe-win-rate-heat %m
var/Variation/hexpipe-variation %m
string/Evaluation/hexpipe-evaluation %m
string/Final Score/final_score
string/Board/showboard
param/Game/param_game"""


class HtpEngine:
    """Answers commands by `handle`; errors of HexpipeError are replies that begin with "?".

    ``thinker`` chooses moves; what it says while ``interrupted`` is not kept. ``resign_below``: the chance to win under
    which `genmove` answers "resign", 0 for never; a game that is lost already is resigned in any case, as there is no
    move left to make.
    """

    def __init__(
        self,
        thinker: Thinker,
        board_size: int,
        allow_swap: bool = False,
        resign_below: float = 0.0,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._thinker, self._interrupted = thinker, interrupted
        self._resign_below = resign_below
        self._clock = Clock()
        self._game = HtpGame(board_size, allow_swap)
        self._thought: tuple[SetUp, Analysis] | None = None
        self._commands: dict[str, Handler] = {}
        self._commands |= basics(self._commands) | {
            "boardsize": Handler(self._boardsize, 1, 2),
            "clear_board": Handler(self._clear_board, 0, 0),
            "play": Handler(self._play, 2, 2),
            "genmove": Handler(self._genmove, 1, 1),
            "reg_genmove": Handler(lambda words: self._chosen(self._colour(words), timed=False), 1, 1),
            "undo": Handler(self._undo, 0, 0),
            "showboard": Handler(lambda _: "\n" + self._game.picture(), 0, 0),
            "all_legal_moves": Handler(lambda words: " ".join(self._game.legal_moves(self._colour(words))), 0, 1),
            "final_score": Handler(self._final_score, 0, 0),
            "time_settings": Handler(partial(time_settings, self._clock), 3, 3),
            "time_left": Handler(partial(time_left, self._clock), 0, 3),
            "loadsgf": Handler(self._loadsgf, 1, 2),
            "param_game": Handler(self._param_game, 0, 2),
            "hexgui-analyze_commands": Handler(lambda _: _ANALYZE, 0, 0),
            "hexpipe-policy": Handler(self._policy, 0, 1),
            "hexpipe-policy-heat": Handler(self._policy_heat, 0, 1),
            "hexpipe-win-rates": Handler(self._win_rates, 0, 1),
            "hexpipe-win-rate-heat": Handler(self._win_rate_heat, 0, 1),
            "hexpipe-variation": Handler(self._variation, 0, 1),
            "hexpipe-evaluation": Handler(self._evaluation, 0, 1),
        }
        thinker.prepare(board_size, allow_swap)

    def handle(self, name: str, arguments: Sequence[str]) -> str:
        """Return the reply to one command."""
        return answer(self._commands, name, arguments)

    def _boardsize(self, words: Sequence[str]) -> str:
        size = number(words[0])
        if size != number(words[-1]):
            raise UsageError("unacceptable size: only square boards are played here")
        if not MIN_HEX_SIZE <= size <= MAX_HEX_SIZE or size != int(size):
            raise UsageError(f"unacceptable size: boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side")
        self._begin(int(size), self._game.allow_swap)
        return ""

    def _clear_board(self, words: Sequence[str]) -> str:
        self._begin(self._game.size, self._game.allow_swap)
        return ""

    def _begin(self, size: int, allow_swap: bool) -> None:
        self._thinker.prepare(size, allow_swap)
        self._game = HtpGame(size, allow_swap)
        self._clock.restart()
        self._thought = None

    def _play(self, words: Sequence[str]) -> str:
        self._game.play(self._colour(words), words[1])
        return ""

    def _genmove(self, words: Sequence[str]) -> str:
        colour, began = self._colour(words), time.monotonic()
        word = self._chosen(colour, timed=True)
        self._game.play(colour, word)
        self._clock.spend(colour, time.monotonic() - began)
        return word

    def _chosen(self, colour: int, timed: bool) -> str:
        """Return the word for the move of ``colour``."""
        if self._game.winner == 1 - colour:
            return RESIGN
        analysis = self._think(colour, timed)
        return RESIGN if analysis.win_probability < self._resign_below else self._word(analysis.best)

    def _word(self, action: int) -> str:
        """Return what HexGui calls ``action``."""
        return SWAP_WORD if action == self._game.size**2 else cell_name(action, self._game.size)

    def _think(self, colour: int, timed: bool = False) -> Analysis:
        """Return the analysis with ``colour`` to move: what was thought of this position before, unless it is
        ``timed``."""
        if self._game.winner is not None:
            raise IllegalMoveError(f"{COLOURS[self._game.winner]} has already won", kind="over")
        question = self._game.question(colour)
        if self._thought is not None and self._thought[0] == question and not timed:
            return self._thought[1]
        empty = self._game.size**2 - len(question.black) - len(question.white)
        share = self._clock.share(colour, empty // 3) if timed else None
        analysis = self._thinker.think(question, share)
        # whoever asks again wants more than was cut short
        self._thought = None if self._interrupted() else (question, analysis)
        return analysis

    def _undo(self, words: Sequence[str]) -> str:
        if not self._game.plays:
            raise UsageError("cannot undo: nothing has been played")
        self._game.undo()
        return ""

    def _final_score(self, words: Sequence[str]) -> str:
        if self._game.result is None:
            raise UsageError("cannot score: the game goes on")
        return f"{'BW'[self._game.result]}+"

    def _loadsgf(self, words: Sequence[str]) -> str:
        """Load a game or a position; as benzene has it, a number is how many moves to play (GTP: the move before which
        to stop). After one that cannot be loaded the board is empty, of the size that was there."""
        before = self._game.size
        try:
            most = max(0, int(number(words[1]))) if len(words) > 1 else None
            size, position = read_position(_first_tree(Path(words[0])), most)
            self._begin(size, self._game.allow_swap)
        except (HexpipeError, OSError) as error:
            self._begin(before, self._game.allow_swap)
            raise UsageError(f"cannot load file: {error}; the board is empty now, {before}x{before}") from error
        self._game.load(position)
        return ""

    def _param_game(self, words: Sequence[str]) -> str:
        if not words:
            return f"\n[bool] allow_swap {int(self._game.allow_swap)}"
        values = {"0": False, "false": False, "1": True, "true": True}
        if len(words) != 2 or words[0] != "allow_swap" or words[1].lower() not in values:
            raise NotationError("the only parameter is allow_swap; set it to 0 or 1", kind="unknown")
        allow_swap = values[words[1].lower()]
        self._thinker.prepare(self._game.size, allow_swap)
        self._game.allow_swap = allow_swap
        self._thought = None
        return ""

    def _policy(self, words: Sequence[str]) -> str:
        return self._pairs([(name, f"{prior:.3f}") for name, prior in self._priors(words)])

    def _policy_heat(self, words: Sequence[str]) -> str:
        priors = self._priors(words)
        largest = max((prior for _, prior in priors), default=1.0)
        heat = self._heat([(name, prior / largest) for name, prior in priors])
        swap = "".join(f", swap {prior:.1%}" for name, prior in priors if name == SWAP_WORD)
        return f"{heat} TEXT the net's policy, {largest:.1%} at most{swap}"

    def _win_rates(self, words: Sequence[str]) -> str:
        """Return cells with the mover's chance to win and how often the move was visited, W or L where it is proven."""
        return self._pairs(
            [
                (name, f"{'LW'[chance > 0.5] if proven else f'{chance:.3f}'}@{visits}")
                for name, chance, visits, proven in self._visited(words)
            ]
        )

    def _win_rate_heat(self, words: Sequence[str]) -> str:
        moves = self._visited(words)
        swap = "".join(f", swap {chance:.1%}" for name, chance, _, _ in moves if name == SWAP_WORD)
        return f"{self._heat([(name, chance) for name, chance, _, _ in moves])} TEXT {self._evaluation(words)}{swap}"

    def _pairs(self, texts: Sequence[tuple[str, str]]) -> str:
        """Return pairs of a cell and a text for it. HexGui has no place for a swap, which is told on its stone."""
        return " ".join(
            f"{self._stone()} swap:{text}" if name == SWAP_WORD else f"{name} {text}" for name, text in texts
        )

    def _heat(self, shares: Sequence[tuple[str, float]]) -> str:
        """Return HexGui's heat of moves; a swap's is on the stone."""
        words = [f"{self._stone() if name == SWAP_WORD else name} {share:.3f}" for name, share in shares]
        return f"INFLUENCE {' '.join(words)}"

    def _stone(self) -> str:
        """Return the cell of the first stone."""
        return cell_name(self._game.question(1).black[0], self._game.size)

    def _variation(self, words: Sequence[str]) -> str:
        variation = self._think(self._colour(words)).moves[0].variation
        return " ".join(cell_name(cell, self._game.size) for cell in variation if cell < self._game.size**2)

    def _evaluation(self, words: Sequence[str]) -> str:
        colour = self._colour(words)
        analysis = self._think(colour)
        net = (float(analysis.net_values[analysis.to_move]) + 1) / 2
        sure = "proven" if analysis.proven else f"{analysis.simulations} simulations, the net alone {net:.1%}"
        return f"{COLOURS[colour]} wins with {analysis.win_probability:.1%}, best {self._word(analysis.best)} ({sure})"

    def _priors(self, words: Sequence[str]) -> list[tuple[str, float]]:
        """(move, the net's prior) of a swap and of what is not all but 0, the largest first."""
        priors = sorted(self._think(self._colour(words)).priors.items(), key=lambda entry: -entry[1])
        swap = self._game.size**2
        return [(self._word(move), prior) for move, prior in priors if prior >= SMALLEST_PRIOR or move == swap]

    def _visited(self, words: Sequence[str]) -> list[tuple[str, float, int, bool]]:
        """(move, the mover's chance to win, visits, whether that is proven) of the moves that were searched."""
        return [
            (self._word(move.move), min(1.0, max(0.0, (move.value + 1) / 2)), move.visits, move.proven)
            for move in self._think(self._colour(words)).moves
            if move.visits
        ]

    def _colour(self, words: Sequence[str]) -> int:
        """Return the colour that the first word names; the one to move where there is no word."""
        return parse_side(words[0]) if words else self._game.to_move


def _first_tree(path: Path) -> str:
    """Return the text of the first game of a file, which must be a plain file of a sane size."""
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    if path.stat().st_size > LARGEST_FILE:
        raise UsageError(f"{path} is larger than {LARGEST_FILE} bytes")
    pieces = sgf.split_collection(decode_games(path.read_bytes()))
    if not pieces:
        raise UsageError(f"{path} holds no game in SGF")
    return pieces[0].text
