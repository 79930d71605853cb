"""`hexpipe analyze`: positions in, a JSON line each; analyses out, a JSON line each; for programs."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexpipe.cli._options import ANY_PATH, number_option
from hexpipe.cli._run_options import own_game_option
from hexpipe.cli._streams import standard_input
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.arena.engine import Engine


@click.command(
    epilog="""\b
A query: {"id": "a", "moves": ["c3", "b2"], "simulations": 200}
  or with a game as TRMPH, HexWorld or SGF: {"id": "b", "game": "#5,c3b2", "turns": [0, 1, 2]}
  or stones, then moves: {"id": "c", "stones": {"black": ["c3", "d4"], "white": []}, "to_move": "black", "moves": []}
  with, if you like: "size": 7, "swap": true, "maxTime": 2.5, "reportDuringSearchEvery": 0.5, "priority": 1
An answer: {"id": "a", "turn": 2, "win_probability": 0.61, "moves": [{"move": "d4", "visits": 120, ...}], ...}
  or {"id": "a", "error": "what to do"}; "isDuringSearch" is true where a later one follows
An action: {"id": "d", "action": "terminate", "terminateId": "b", "turnNumbers": [1]}
  or terminate_all, query_version, query_models, query_status; it is said again, with what was asked for
"to_move" is whose turn it is after the moves; "game" may be a position in SGF (AB, AW, AE, PL)
KataGo's analyzeTurns, maxVisits, boardXSize, boardYSize, rules ("swap", "no-swap"), initialStones, initialPlayer and
moves such as ["B", "c3"] mean the same, and are answered with its moveInfos and rootInfo as well.""",
)
@click.argument("checkpoint", required=False, type=ANY_PATH, metavar="[CHECKPOINT|RUN]")
@number_option("--simulations", "Of a query that says none.", click.IntRange(2))
@click.option("--size", type=int, metavar="N", help="Of a query that says none; default: the checkpoint's.")
@click.option("--swap/--no-swap", default=None, help="Of a query that says nothing of it; default: the checkpoint's.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda:0, ...")
@own_game_option
def command(
    checkpoint: Path | None, simulations: int | None, size: int | None, swap: bool | None, device: str
) -> None:  # fmt: skip
    """Analyse positions read from standard input, one JSON query a line, until its end.

    Queries that wait are searched together, so send many before you wait; answers come as they are done, with the
    query's id. A bad line is answered with an error and harms no other. Those of higher "priority" go first. Without a
    checkpoint the net in the box answers.
    """
    source, sink = standard_input(), sys.stdout.buffer
    from hexpipe.arena.engine import Engine
    from hexpipe.arena.lines import bounded_lines, descriptor_of, nobody_reads
    from hexpipe.arena.queries import LONGEST_LINE
    from hexpipe.nets.box import BOX, net_in_words

    engine = Engine(checkpoint or BOX, board_size=size, swap=swap, device=device)
    if checkpoint is None:
        click.echo(net_in_words(engine.checkpoint), err=True)
    descriptor = descriptor_of(sink)
    lines = bounded_lines(source, LONGEST_LINE)
    count = simulations or engine.settings.search.num_simulations
    try:
        for answer in answers(engine, lines, count, lambda: nobody_reads(descriptor)):
            sink.write(json.dumps(answer, allow_nan=False).encode() + b"\n")
            sink.flush()
    except BrokenPipeError:  # the program that asked has gone
        return


def answers(
    engine: Engine, lines: Iterable[str | bytes], simulations: int, stop: Callable[[], bool] = lambda: False
) -> Iterator[dict[str, Any]]:
    """Yield the answers to the queries in ``lines``, which a thread reads, as they are done; none after ``stop``.

    UsageError, after the answers to what came before, where the lines cannot be read.
    """
    from hexpipe.arena.desk import Desk

    desk, failed = Desk(engine, simulations), list[Exception]()

    def read() -> None:
        try:
            for line in lines:
                desk.say(line.encode("utf-8", errors="surrogatepass") if isinstance(line, str) else line)
        except Exception as error:  # noqa: BLE001 - whatever it is, the command must hear of it
            failed.append(error)
        finally:
            desk.close()

    threading.Thread(target=read, name="queries", daemon=True).start()
    yield from desk.answers(stop)
    if failed and isinstance(failed[0], OSError):
        raise UsageError(f"standard input cannot be read ({failed[0]}): send queries there")
    if failed:
        raise failed[0]
