"""Words of a program that drives `hexpipe analyze`: a JSON object a line, read into queries and actions.

Words are hexpipe's; those of KataGo's analysis engine (its docs/Analysis_Engine.md) are taken as second names for what
has a name here, and are the names of the rest.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hexpipe.config import Settings, settings_on_board
from hexpipe.errors import NotationError
from hexpipe.games.board_moves import parse_move, parse_moves
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.player_utils import COLOURS
from hexpipe.games.set_up import (
    Position,
    checked_position,
    first_moves,
    moves_of,
    parse_colour,
    parse_stones,
    read_set_up,
    stones_of,
)
from hexpipe.notation.sgf_positions import read_any
from hexpipe.wording import cut

LONGEST_LINE = 1 << 20
_DEEPEST = 32
_MOST_SIMULATIONS = 1_000_000
_MOST_SECONDS = 1_000_000
_SECOND_NAMES = {
    "analyzeTurns": "turns", "maxVisits": "simulations", "boardXSize": "size", "boardYSize": "size", "rules": "swap",
    "initialStones": "stones",
}  # fmt: skip
_KEYS = {
    "id", "moves", "game", "stones", "to_move", "initialPlayer", "turns", "simulations", "size", "swap", "maxTime",
    "reportDuringSearchEvery", "priority",
    "priorities", "overrideSettings", "includePolicy", *_SECOND_NAMES,
}  # fmt: skip
_ACTION_KEYS = {"id", "action", "terminateId", "turnNumbers"}
ACTIONS = ("query_version", "query_models", "query_status", "terminate", "terminate_all")


@dataclass(frozen=True)
class Query:
    """One ``position`` to search: ``turn`` is how many moves lead to it. ``board`` is (cells a side, swap rule).

    ``seconds`` it may take, None for any; ``report_every`` so many seconds it is told how far it is, None for never.
    Those of higher ``priority`` go first. ``both_names``: it was asked in KataGo's words, and is answered in both.
    """

    id: Any
    turn: int
    position: Position
    board: tuple[int, bool]
    simulations: int
    seconds: float | None
    report_every: float | None
    priority: int
    both_names: bool


class Refusal(NamedTuple):
    """A turn that cannot be searched, and why."""

    id: Any
    turn: int
    why: str


class Action(NamedTuple):
    """Something to do other than to search; ``fields`` is all that was said."""

    name: str
    fields: Mapping[str, Any]


def read_object(line: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a line, with an id that can be said again; NotationError where it is none."""
    if len(line) > LONGEST_LINE:
        raise NotationError(f"a line has {LONGEST_LINE} bytes at most", kind="range", high=LONGEST_LINE)
    try:
        found = json.loads(line.decode("utf-8-sig"), parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise NotationError(
            f"this is no UTF-8 ({error.reason} at byte {error.start + 1} of the line)", kind="encoding"
        ) from error
    except RecursionError as error:
        raise NotationError("this is no query: brackets in brackets without end", kind="syntax") from error
    except ValueError as error:
        raise NotationError(f"this is no JSON ({error})", kind="syntax") from error
    if not isinstance(found, Mapping):
        raise NotationError('a query is a JSON object such as {"id": 1, "moves": ["a1"]}', kind="type")
    if _is_deeper(found, _DEEPEST):
        raise NotationError(f"this is no query: it has more than {_DEEPEST} brackets in brackets", kind="syntax")
    return found


def parse(fields: Mapping[str, Any], rules: Rules, simulations: int) -> list[Query | Refusal] | Action:
    """Return the searches that ``fields`` ask for, turn by turn, or the action; where they name no ``simulations``,
    those.

    NotationError, SettingsError or IllegalMoveError where they make no sense.
    """
    if "action" in fields:
        return _parse_action(fields)
    odd = sorted(set(fields) - _KEYS)
    if odd:
        raise NotationError(
            f"{odd[0]!r} is no part of a query; those are {', '.join(sorted(_KEYS))}", kind="unknown", setting=odd[0]
        )
    said = _first_names(fields)
    board = _board(said, rules)
    game = rules.game(board)
    (position, last), pairs = _positions(game, said)
    plies = len(moves_of(position))
    count = said.get("simulations", simulations)
    if not _is_whole(count) or not 2 <= count <= _MOST_SIMULATIONS:
        words = f"simulations must be a whole number from 2 to {_MOST_SIMULATIONS:,} (got {_short(count)})"
        raise NotationError(words, kind="range", setting="simulations", low=2, high=_MOST_SIMULATIONS)
    if tree_bytes(game, count) > (most := _memory() // 2):
        fits = count * most // tree_bytes(game, count)
        words = f"simulations: {count:,} take more than half of this machine's memory, {fits:,} would fit"
        raise NotationError(words, kind="full", setting="simulations", high=fits)
    turns = said.get("turns", [plies])
    if not isinstance(turns, list) or not all(_is_whole(turn) and 0 <= turn <= plies for turn in turns):
        words = f"turns must be a list of plies from 0 to {plies} (got {_short(turns)})"
        raise NotationError(words, kind="range", setting="turns", low=0, high=plies)
    seconds, every = _seconds(said, "maxTime"), _seconds(said, "reportDuringSearchEvery")
    both = pairs or not _SECOND_NAMES.keys().isdisjoint(fields)
    is_over = checked_position(game, last).winner[0] != ONGOING
    found: list[Query | Refusal] = []
    for turn, priority in zip(turns, _priorities(said, len(turns)), strict=True):
        if is_over and turn == plies:
            why = f"the game is over after {turn} plies: there is nothing to search for"
            found.append(Refusal(said.get("id"), turn, why))
        else:
            place = last if turn == plies else first_moves(position, turn)
            found.append(Query(said.get("id"), turn, place, board, count, seconds, every, priority, both))
    return found


def tree_bytes(game: Game, simulations: int) -> int:
    """Return about what the tree of one search takes: its nodes with their states."""
    return (2 * simulations + 2) * (7 * game.num_actions + 100)


class Rules:
    """The games that a checkpoint of ``settings`` is asked about, by board: (cells a side, swap rule)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.board = (settings.game.board_size, settings.game.swap)
        self._games: dict[tuple[int, bool], Game] = {}

    def game(self, board: tuple[int, bool]) -> Game:
        """Return the game on ``board``; SettingsError where it cannot be."""
        if board not in self._games:
            changed = settings_on_board(self._settings, board[0], board[1])
            self._games[board] = make_game(changed.game)
        return self._games[board]


def _parse_action(fields: Mapping[str, Any]) -> Action:
    odd = sorted(set(fields) - _ACTION_KEYS)
    if odd:
        words = f"{odd[0]!r} is no part of an action; those are {', '.join(sorted(_ACTION_KEYS))}"
        raise NotationError(words, kind="unknown", setting=odd[0])
    name = fields["action"]
    if name not in ACTIONS:
        raise NotationError(
            f"there is no action {_short(name)}; those are {', '.join(ACTIONS)}", kind="unknown", setting="action"
        )
    if name == "terminate" and "terminateId" not in fields:
        words = "terminate needs terminateId, the id of what is to end; terminate_all ends everything"
        raise NotationError(words, kind="missing", setting="terminateId")
    turns = fields.get("turnNumbers", [])
    if not isinstance(turns, list) or not all(map(_is_whole, turns)):
        raise NotationError(
            f"turnNumbers must be a list of whole numbers (got {_short(turns)})", kind="type", setting="turnNumbers"
        )
    return Action(name, fields)


def _first_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``fields`` by the first names of theirs; NotationError where two of them say one thing differently."""
    said: dict[str, Any] = {}
    settings = fields.get("overrideSettings", {})
    if not isinstance(settings, Mapping) or set(settings) - {"maxTime"}:
        raise NotationError(
            'overrideSettings may hold maxTime alone, as in {"maxTime": 5}', kind="unknown", setting="overrideSettings"
        )
    for key, value in (*fields.items(), *settings.items()):
        name = _SECOND_NAMES.get(str(key), str(key))
        if name in said and said[name] != value:
            words = f"{key} is said twice, as {_short(said[name])} and as {_short(value)}"
            raise NotationError(words, kind="conflict", setting=str(key))
        said[name] = value
    return said


def _board(said: Mapping[str, Any], rules: Rules) -> tuple[int, bool]:
    size, swap = said.get("size", rules.board[0]), said.get("swap", rules.board[1])
    if isinstance(swap, Mapping) and set(swap) == {"swap"}:  # rules may be an object
        swap = swap["swap"]
    if isinstance(swap, str):
        swap = {"swap": True, "no-swap": False}.get(str(swap), swap)
    if not _is_whole(size):
        raise NotationError(
            f"the board's size is a whole number (got {_short(size)}); boards are square", kind="type", setting="size"
        )
    if not isinstance(swap, bool):
        words = f'the swap rule is true or false, as rules "swap" or "no-swap" (got {_short(swap)})'
        raise NotationError(words, kind="type", setting="rules")
    return size, swap


def _positions(game: Game, said: Mapping[str, Any]) -> tuple[tuple[Position, Position], bool]:
    """Return what `read_set_up` makes of a query, and whether its moves were KataGo's pairs of a colour and a cell."""
    names = [name for name in ("stones", "to_move", "initialPlayer") if said.get(name) is not None]
    if "game" in said:
        if "moves" in said or "stones" in names or "initialPlayer" in names:
            raise NotationError(
                'a query has either "moves" or "game", which holds its own stones', kind="conflict", setting="game"
            )
        start = _position_of_record(game, str(said["game"]))
        to_move = parse_colour(said["to_move"]) if names else None
        return _from(game, start, to_move), False
    if "moves" not in said and not names:
        raise NotationError(
            'a query has either "moves" or "game", or "stones" and "to_move"', kind="missing", setting="moves"
        )
    black, white = parse_stones(said["stones"]) if "stones" in names else ([], [])
    to_move, first = (parse_colour(said[name]) if name in names else None for name in ("to_move", "initialPlayer"))
    words = said.get("moves", [])
    pairs = isinstance(words, list) and bool(words) and all(isinstance(word, list) for word in words)
    if pairs:
        moves, mover = _coloured_moves(game, words, first, bool(black or white))
        first = mover if black or white else first
    elif isinstance(words, list) and all(isinstance(word, str) for word in words):
        moves = parse_moves(game, words)
    else:
        why = 'moves must be a list of words such as ["a1", "b2"], or of pairs such as [["B", "a1"]]'
        raise NotationError(why, kind="type", setting="moves")
    return read_set_up(game, black, white, moves, to_move, first), pairs


def _from(game: Game, start: Position, to_move: int | None) -> tuple[Position, Position]:
    """`start`, checked, and the same with ``to_move`` to move."""
    states = checked_position(game, start)
    if to_move is None or states.winner[0] != ONGOING or to_move == states.view[0]:
        return start, start
    return start, stones_of(states, to_move)


def _position_of_record(game: Game, text: str) -> Position:
    """Return a game of Hex in one of its notations, or a position in SGF, on this board."""
    size, position = read_any(text)
    if size != game.board_size:
        mine, theirs = f"{game.board_size}x{game.board_size}", f"{size}x{size}"
        raise NotationError(f'this is a game on {theirs}, the query is about {mine}: add "size": {size}', kind="board")
    return position


def _coloured_moves(game: Game, pairs: list[Any], first: int | None, any_first: bool) -> tuple[list[int], int]:
    """Return the moves of pairs of a colour and a cell, and who plays first: ``first``, else black, or ``any_first``.

    NotationError where a colour moves out of turn.
    """
    moves: list[int] = []
    for number, pair in enumerate(pairs, start=1):
        if len(pair) != 2 or not all(isinstance(word, str) for word in pair):
            words = f'move {number} must be a pair such as ["B", "a1"] (got {_short(pair)})'
            raise NotationError(words, kind="type", setting="moves", move=number)
        if first is None:
            first = parse_colour(pair[0]) if any_first else 0
        mover = COLOURS[(first + sum(move < game.board_size**2 for move in moves)) % 2]
        if pair[0].lower() not in (mover, mover[0]):
            words = f"move {number} is {mover}'s, not {_short(pair[0])}'s: colours take turns from {COLOURS[first]} on"
            raise NotationError(words, kind="turn", move=number)
        moves.append(parse_move(game, pair[1], COLOURS.index(mover)))
    return moves, first or 0


def _priorities(said: Mapping[str, Any], count: int) -> list[int]:
    """Return the priority of each of ``count`` turns."""
    if "priority" in said and "priorities" in said:
        raise NotationError(
            "a query has either priority or priorities, one for each of its turns", kind="conflict", setting="priority"
        )
    each = said.get("priorities", [said.get("priority", 0)] * count)
    if not isinstance(each, list) or len(each) != count or not all(map(_is_whole, each)):
        words = f"a priority is a whole number, priorities are one for each turn (got {_short(each)})"
        raise NotationError(words, kind="type", setting="priority")
    return each


def _seconds(said: Mapping[str, Any], name: str) -> float | None:
    """Return the seconds that ``name`` says, None where it says none."""
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_SECONDS:
        words = f"{name} is a number of seconds above 0, at most {_MOST_SECONDS:,} (got {_short(value)})"
        raise NotationError(words, kind="range", setting=name, low=0, high=_MOST_SECONDS)
    return float(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return cut(repr(value), 60)


def _is_deeper(value: Any, most: int) -> bool:
    """Return whether ``value`` has more than ``most`` lists and objects in one another."""
    if not isinstance(value, list | Mapping):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return most == 0 or any(_is_deeper(part, most - 1) for part in inner)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number there")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word} is too large")
    return value


def _memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
