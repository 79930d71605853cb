"""`hexpipe selfplay`: many games of one net against itself, saved as they end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click import IntRange
from rich.progress import TextColumn
from rich.table import Table

from hexpipe.cli._options import ANY_PATH, number_option
from hexpipe.cli._progress import progress_bar
from hexpipe.cli._run_options import own_game_option
from hexpipe.cli._tables import print_table

if TYPE_CHECKING:
    from hexpipe.bulk.bulk_selfplay import BulkProgress

_STARTING = "the net is being loaded and timed"
_WORKERS = "Worker processes, each with the net and one thread; default: one a core."
_OUTPUT_DIR = "Where games go; a folder begun by the same command is gone on with.  [default: runs/selfplay-RUN-STEP]"
_SIMULATIONS = "Simulations a move; 0 or 1: moves are drawn from the policy alone. Default: the run's."
_TEMPERATURE = (
    "Of the moves that are drawn: the policy alone, or a Gumbel root's noise, at every ply; the visits "
    "of a PUCT root at the plies that the run draws. 0 takes the best. Default: the run's."
)
_OPENINGS = (
    "What games begin with: random plies after which the net sees even chances, any random plies, "
    "nothing, or the games of a file (TRMPH, SGF, HexWorld) in turn."
)
_CACHE = "Positions in a worker's evaluation cache; 0: it has none, as with learned dynamics."


@click.command(
    epilog="""\b
Examples:
  hexpipe selfplay --model-path runs/mine --num-games 1000 --num-workers 4 --batch-size 100
  hexpipe selfplay --model-path runs/mine --simulations 0 --openings openings.trmph --output-dir games""",
)
@click.option(
    "--model-path",
    "checkpoint",
    required=True,
    type=ANY_PATH,
    metavar="CHECKPOINT|RUN",
    help="The net: a checkpoint, or a run's newest.",
)
@number_option("--num-games", "Games that the folder is to hold; those in it count.", IntRange(1), 1000)
@number_option("--num-workers", _WORKERS, IntRange(1, 1024), name="workers")
@number_option("--batch-size", "Games at once in a worker: the positions of a batch.", IntRange(1, 4096), 100)
@click.option("--output-dir", type=ANY_PATH, metavar="DIR", help=_OUTPUT_DIR)
@number_option("--simulations", _SIMULATIONS, IntRange(0, 1_000_000))
@number_option("--temperature", _TEMPERATURE, click.FloatRange(0, 10), metavar="T")
@click.option("--openings", default="balanced", show_default=True, metavar="balanced|random|none|FILE", help=_OPENINGS)
@number_option("--opening-plies", "Random and balanced openings have 1 to N plies.", IntRange(1, 100), 4)
@number_option("--cache-size", _CACHE, IntRange(0, 16_777_216), 65536, name="cache_entries")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda:0, ...")
@number_option("--seed", "Of openings and moves.", IntRange(0, 2**32 - 1), 0, metavar=None)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@own_game_option
def command(as_json: bool, workers: int | None, **options: Any) -> int:
    """Play games of a net against itself, with any number of worker processes.

    Every game is saved as it ends, with its opening: games.jsonl has all games, of Hex games.sgf and games.trmph too
    (games.hexworld with the swap rule), which `hexpipe convert` reads. Ctrl-C ends in order; the same command goes on.
    """
    from hexpipe.bulk.bulk_request import BulkRequest
    from hexpipe.bulk.bulk_selfplay import play_games
    from hexpipe.processes.machine import available_cores

    request = BulkRequest(workers=workers or available_cores(), **options)
    with progress_bar(TextColumn("{task.fields[facts]}"), hidden=as_json) as bar:
        task = bar.add_task("games", total=request.num_games, facts=_STARTING)

        def show(progress: BulkProgress) -> None:
            speed = f"{progress.boards_per_s:,.0f} boards/s, {progress.hit_rate:.0%} cached"
            bar.update(task, completed=progress.games, facts=speed if progress.boards_per_s else _STARTING)

        summary = play_games(request, show)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        print_table(_table(summary))
    return 130 if summary["interrupted"] else 0


def _table(summary: Mapping[str, Any]) -> Table:
    wins = [f"{won:,} of seat {seat}" for seat, won in enumerate(summary["wins"])]
    if summary["draws"]:
        wins.append(f"{summary['draws']:,} draws")
    hits = f"{summary['cache_hits']:,} hits, {summary['cache_repeats']:,} repeated in a batch"
    share = summary["cache_hit_rate"]
    lines = {
        "games": f"{summary['games']:,} of {summary['asked_games']:,}, {summary['session_games']:,} of them now",
        "wins": ", ".join(wins),
        "moves": f"{summary['moves']:,}, {summary['mean_length']:.1f} a game",
        "duplicates": f"{summary['duplicates']:,} games with the moves of another",
        "boards": f"{summary['boards']:,} asked for by searches, {summary['boards_per_s']:,.0f} a second",
        "from the cache": "there is no cache" if share is None else f"{share:.1%}: {hits}",
        "for openings": f"{summary['opening_boards']:,} boards more",
        "seconds": f"{summary['play_seconds']:.1f} of play, {summary['seconds']:.1f} in all",
        "saved in": f"{summary['folder']}: {', '.join(summary['files'])}",
    }
    table = Table(title=f"{summary['checkpoint']}, {summary['game']}", show_header=False)
    for name, text in lines.items():
        table.add_row(name, text)
    return table
