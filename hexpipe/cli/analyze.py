"""`hexpipe analyze`: positions in, a JSON line each; analyses out, a JSON line each; for programs."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from hexpipe.cli._run_options import own_game_option
from hexpipe.errors import HexpipeError, NotationError
from hexpipe.games.board_moves import checked_moves, parse_move

if TYPE_CHECKING:
    from hexpipe.arena.engine import Engine

_KEYS = {"id", "moves", "game", "turns", "simulations"}
_TOGETHER = 64


class _Query(NamedTuple):
    id: Any
    turn: int
    moves: tuple[int, ...]
    simulations: int


@click.command(
    short_help="Analyse positions for programs, by JSON lines.",
    epilog="""\b
A query: {"id": "a", "moves": ["c3", "b2"], "simulations": 200}
  or with a game as TRMPH, HexWorld or SGF: {"id": "b", "game": "#5,c3b2", "turns": [0, 1, 2]}
An answer: {"id": "a", "turn": 2, "win_probability": 0.61, "moves": [{"move": "d4", "visits": 120, ...}], ...}
  or {"id": "a", "error": "what to do"}""",
)
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT|RUN")
@click.option("--simulations", type=click.IntRange(2), metavar="N", help="Of a query that says none.")
@click.option("--size", type=int, metavar="N", help="Cells along a side; default: the checkpoint's.")
@click.option("--swap/--no-swap", default=None, help="The swap rule; default: the checkpoint's.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda:0, ...")
@own_game_option
def command(checkpoint: Path, simulations: int | None, size: int | None, swap: bool | None, device: str) -> None:
    """Analyse positions read from standard input, one JSON query a line, until its end.

    Queries that have arrived by the time the net is free are searched together, so send many before you wait; answers
    come as they are done, with the query's id. A bad query is answered with an error and harms no other.
    """
    from hexpipe.arena.engine import Engine

    engine = Engine(checkpoint, board_size=size, swap=swap, device=device)
    for answer in answers(engine, sys.stdin, simulations or engine.settings.search.num_simulations):
        click.echo(json.dumps(answer))


def answers(engine: Engine, lines: TextIO, simulations: int) -> Iterator[dict[str, Any]]:
    """The answers to the queries in ``lines``, as they are done."""
    from hexpipe.arena.analysis import as_facts

    for batch in _batches(lines):
        good: list[_Query] = []
        for line in batch:
            try:
                good += _parse(engine, line, simulations)
            except (HexpipeError, ValueError) as error:
                yield {"id": _id_of(line), "error": str(error)}
        good.sort(key=lambda query: query.simulations)
        for count, group in groupby(good, key=lambda query: query.simulations):
            queries = list(group)
            for start in range(0, len(queries), _TOGETHER):
                part = queries[start : start + _TOGETHER]
                for query, found in zip(part, engine.analyse([q.moves for q in part], count), strict=True):
                    yield {"id": query.id, "turn": query.turn, **as_facts(found, engine.game)}


def _batches(lines: TextIO) -> Iterator[list[str]]:
    """All lines that have come since the last batch, at least one; a thread reads ahead."""
    arrived: queue.Queue[str | None] = queue.Queue(maxsize=4 * _TOGETHER)

    def read() -> None:
        for line in lines:
            if line.strip():
                arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    ended = False
    while not ended:
        batch = [arrived.get()]
        while len(batch) < _TOGETHER:
            try:
                batch.append(arrived.get_nowait())
            except queue.Empty:
                break
        ended = batch[-1] is None
        yield [line for line in batch if line is not None]


def _parse(engine: Engine, line: str, simulations: int) -> list[_Query]:
    """The queries of a line, one for each turn. NotationError, ValueError or IllegalMoveError for a bad one."""
    try:
        query = json.loads(line)
    except ValueError as error:
        raise NotationError(f"this is no JSON ({error})") from error
    if not isinstance(query, Mapping):
        raise NotationError('a query is a JSON object such as {"id": 1, "moves": ["a1"]}')
    odd = sorted(set(query) - _KEYS)
    if odd:
        raise NotationError(f"{odd[0]!r} is no part of a query; those are {', '.join(sorted(_KEYS))}")
    count = query.get("simulations", simulations)
    if not isinstance(count, int) or not 2 <= count <= 1_000_000:
        raise NotationError(f"simulations must be a whole number from 2 to 1,000,000 (got {count!r})")
    moves = _moves(engine, query)
    turns = query.get("turns", [len(moves)])
    if not isinstance(turns, list) or not all(isinstance(turn, int) and 0 <= turn <= len(moves) for turn in turns):
        raise NotationError(f"turns must be a list of plies from 0 to {len(moves)} (got {turns!r})")
    for turn in turns:
        if checked_moves(engine.game, moves[:turn]).winner[0] >= 0:
            raise NotationError(f"the game is over after {turn} plies: there is nothing to search for")
    return [_Query(query.get("id"), turn, tuple(moves[:turn]), count) for turn in turns]


def _moves(engine: Engine, query: Mapping[str, Any]) -> list[int]:
    from hexpipe.games.format_conversion import read_game

    if ("moves" in query) == ("game" in query):
        raise NotationError('a query has either "moves" or "game"')
    if "moves" in query:
        words = query["moves"]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise NotationError('moves must be a list of words such as ["a1", "b2"]')
        moves = [parse_move(engine.game, word) for word in words]
    else:
        game = read_game(str(query["game"]))
        moves = list(game.moves)
        if game.size != engine.game.board_size:
            raise NotationError(f"this is a game on {game.size}x{game.size}, the net plays {engine.game.board_size}")
    checked_moves(engine.game, moves)
    return moves


def _id_of(line: str) -> Any:
    try:
        query = json.loads(line)
    except ValueError:
        return None
    return query.get("id") if isinstance(query, Mapping) else None
