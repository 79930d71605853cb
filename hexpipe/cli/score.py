"""`hexpipe score`: hold a net against solved positions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from hexpipe.cli._tables import print_table
from hexpipe.processes.output import may_go_away
from hexpipe.wording import counted

if TYPE_CHECKING:
    from hexpipe.arena.score import Score

_LABELS = {
    "net_value_share": "value right, net alone",
    "search_value_share": "value right, search",
    "net_move_share": "winning move, net alone",
    "search_move_share": "winning move, search",
}


@click.command(
    epilog="""\b
A solved position, a line each (`hexpipe solve --count` writes them):
  {"n":5,"moves":["a1","c3"],"to_move":"black","value":1,"winning_moves":["b2"]}""",
)
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT|RUN")
@click.option(
    "--positions",
    "positions_file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Solved positions, one a line.",
)
@click.option("--simulations", type=click.IntRange(2), default=100, show_default=True, help="Simulations a position.")
@click.option("--device", metavar="NAME", help="cpu, cuda:0, ...; default: a GPU where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(checkpoint: Path, positions_file: Path, simulations: int, device: str | None, as_json: bool) -> None:
    """Share of solved positions of Hex that a net gets right, alone and with a search, each with a 95% Wilson interval.

    Values count as right if their sign is; moves, where there are winning moves, if the one chosen is among them. The
    net serves boards of any size. The search has no noise and starts from nothing at each position.
    """
    from hexpipe.arena.engine import checkpoint_evaluator
    from hexpipe.arena.score import score_positions
    from hexpipe.arena.solved_positions import read_positions
    from hexpipe.config import override_settings
    from hexpipe.errors import UsageError
    from hexpipe.games.factory import plays_hex
    from hexpipe.nets.checkpoints import load_checkpoint
    from hexpipe.processes.machine import visible_gpus

    positions = read_positions(positions_file)
    loaded = load_checkpoint(checkpoint, groups=("ema", "model"))
    if not plays_hex(loaded.settings.game):
        title = loaded.settings.game.title
        raise UsageError(f"{loaded.path} plays {title}, and solved positions are of Hex: name a checkpoint of Hex")
    settings = override_settings(loaded.settings, {"search.num_simulations": simulations}).search
    target = device or ("cuda:0" if visible_gpus() else "cpu")
    with _progress_bar(len(positions), hidden=as_json) as on_progress:
        learned = loaded.settings.algorithm == "muzero"
        score = score_positions(
            positions,
            lambda game, pool: checkpoint_evaluator(loaded, game, pool, target),
            settings,
            learned=learned,
            on_progress=on_progress,
        )
    if as_json:
        facts = {"checkpoint": str(loaded.path), "step": loaded.step, "simulations": simulations, "device": target}
        click.echo(json.dumps({**facts, **as_flat(score)}))
    else:
        title = f"{loaded.path}, {counted(simulations, 'simulation')}, {counted(len(positions), 'position')}"
        print_table(_table(title, score))


def as_flat(score: Score) -> dict[str, Any]:
    """The shares under their names (null of none), each with its interval, and the numbers of positions."""
    flat: dict[str, Any] = {
        "positions": score.net_value_share.total,
        "positions_with_winning_moves": score.net_move_share.total,
    }
    for name, share in score._asdict().items():
        flat[name] = share.share
        flat[f"{name}_interval"] = [share.low, share.high]
    return flat


@contextmanager
def _progress_bar(total: int, hidden: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal (standard error, so that the result can be piped), nothing elsewhere."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with (
        may_go_away("stderr"),
        Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as bar,
    ):
        task = bar.add_task("searching", total=total)
        yield lambda done: bar.update(task, completed=done)


def _table(title: str, score: Score) -> Table:
    table = Table(title=title)
    table.add_column("measure")
    table.add_column("share", justify="right")
    table.add_column("95% interval", justify="right")
    table.add_column("right", justify="right")
    for name, share in score._asdict().items():
        text = "-" if share.share is None else f"{share.share:.1%}"
        interval = "-" if share.share is None else f"{share.low:.1%} to {share.high:.1%}"
        table.add_row(_LABELS[name], text, interval, f"{share.right} of {share.total}")
    return table
