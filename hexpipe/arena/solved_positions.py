"""Reading a file of solved positions: one JSON object a line.

    {"n": 5, "moves": ["a1", "c3"], "to_move": "black", "value": 1, "winning_moves": ["b2"]}

Black moves first and connects top to bottom, white left to right; a1 is top left, letters are columns; no swap.
``value`` is 1 if the side to move wins and -1 if it loses. ``winning_moves`` may be missing, null or empty. Other keys
are ignored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.errors import IllegalMoveError, NotationError, UsageError
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import COLOURS

_OWN = Path(__file__).parent / "positions"
QUICKLY_SOLVED = 5
"""Largest board of which any position is solved in milliseconds."""


def packaged_positions(board_size: int) -> Path:
    """Return hexpipe's own file of solved positions of ``board_size``, which nothing is trained on.

    UsageError if it has none of that size.
    """
    file = _own_file(board_size)
    if not file.is_file():
        sizes = sorted(int(path.stem.rpartition("-")[2]) for path in _OWN.glob("hex-*.jsonl"))
        known = ", ".join(f"{size}x{size}" for size in sizes)
        wanted = f"{board_size}x{board_size}"
        words = f"hexpipe has no solved positions of {wanted}, only of {known}: name a file with --positions"
        raise UsageError(words, kind="missing", setting="--positions")
    return file


def has_solved_positions(game: Game) -> bool:
    """Return whether there are solved positions of ``game`` to hold nets against: solved as needed, or hexpipe's own
    file."""
    return isinstance(game, Hex) and (game.board_size <= QUICKLY_SOLVED or _own_file(game.board_size).is_file())


def _own_file(board_size: int) -> Path:
    return _OWN / f"hex-{board_size}.jsonl"


class SolvedPosition(NamedTuple):
    """A position whose game value is known; actions are absolute cell indices."""

    line: int
    board_size: int
    moves: tuple[int, ...]
    value: int
    winning_moves: frozenset[int]


def read_positions(path: Path) -> list[SolvedPosition]:
    """Return all positions of a file, in order; blank lines are skipped.

    Raises UsageError, with the number of the line, for anything that is not as described above: bad JSON, a missing
    key, an unknown board size, an illegal move, a game that is over, the wrong side to move.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); name a file of solved positions", kind="access", path=path
        ) from error
    games: dict[int, Game] = {}
    positions = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                positions.append(_parse(line, number, games))
            except (UsageError, IllegalMoveError) as error:
                words = f"{path}, line {number}: {error}"
                raise UsageError(words, kind=error.kind, setting=error.setting, path=path, move=error.move) from error
            except ValueError as error:
                raise UsageError(f"{path}, line {number}: {error}", kind="type", path=path) from error
    if not positions:
        raise UsageError(f"{path} holds no positions; write one JSON object a line", kind="missing", path=path)
    return positions


def _parse(line: bytes, number: int, games: dict[int, Game]) -> SolvedPosition:
    try:
        document = json.loads(line)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise UsageError(f"no JSON ({error})", kind="syntax") from error
    if not isinstance(document, dict):
        raise UsageError("no JSON object", kind="syntax")
    missing = [key for key in ("n", "moves", "to_move", "value") if key not in document]
    if missing:
        raise UsageError(f"{missing[0]!r} is missing", kind="missing", setting=missing[0])
    size, value, to_move = document["n"], document["value"], document["to_move"]
    if not _is_int(size) or not MIN_HEX_SIZE <= size <= MAX_HEX_SIZE:
        words = f"n is {size!r}, boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side"
        raise UsageError(words, kind="board", setting="n", low=MIN_HEX_SIZE, high=MAX_HEX_SIZE)
    game = games.setdefault(size, Hex(size))
    moves = _cells(game, document["moves"], "moves")
    states = game.play(moves)
    if states.winner[0] != ONGOING:
        raise UsageError(f"{COLOURS[int(states.winner[0])]} has already won here", kind="over", setting="moves")
    mover = COLOURS[len(moves) % 2]
    if to_move != mover:
        raise UsageError(
            f"to_move is {to_move!r}, but after {len(moves)} moves it is {mover}'s turn", kind="turn", setting="to_move"
        )
    if not _is_int(value) or value not in (1, -1):
        words = f"value is {value!r}, it must be 1 (the side to move wins) or -1 (it loses)"
        raise UsageError(words, kind="range", setting="value", low=-1, high=1)
    winning = _cells(game, document.get("winning_moves") or [], "winning_moves")
    for move in winning:
        if states.cells[0, move]:
            raise UsageError(
                f"the winning move {game.action_name(move)} is on a stone", kind="occupied", setting="winning_moves"
            )
    if winning and value == -1:
        raise UsageError(
            "value is -1 (the side to move loses), yet there are winning moves", kind="conflict", setting="value"
        )
    return SolvedPosition(number, size, tuple(moves), value, frozenset(winning))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _cells(game: Game, names: Any, key: str) -> list[int]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f'{key} is {names!r}, it must be a list of cells such as ["a1", "c3"]', kind="type", setting=key
        )
    try:
        return [game.parse_action(name) for name in names]
    except NotationError as error:
        raise UsageError(f"{key}: {error}", kind=error.kind, setting=key) from error
