"""`hexpipe score`: hold a net against solved positions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from hexpipe.cli._options import ANY_PATH, best_device, number_option
from hexpipe.cli._progress import progress_bar
from hexpipe.cli._tables import make_table, print_table
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
@click.argument("checkpoint", type=ANY_PATH, metavar="CHECKPOINT|RUN")
@click.option("--positions", required=True, type=ANY_PATH, metavar="FILE.jsonl", help="Solved positions, one a line.")
@number_option("--simulations", "Simulations a position.", click.IntRange(2), 100, metavar=None)
@click.option("--device", metavar="NAME", help="cpu, cuda:0, ...; default: a GPU where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(checkpoint: Path, positions: Path, simulations: int, device: str | None, as_json: bool) -> None:
    """Measure the share of solved positions of Hex that a net gets right, alone and with a search, each with a 95%
    Wilson interval.

    Values count as right if their sign is; moves, where there are winning moves, if the one chosen is among them. The
    net serves boards of any size. The search has no noise and starts from nothing at each position.
    """
    from hexpipe.arena.engine import checkpoint_evaluator, of_simulations
    from hexpipe.arena.score import score_positions
    from hexpipe.arena.solved_positions import read_positions
    from hexpipe.errors import UsageError
    from hexpipe.games.factory import plays_hex
    from hexpipe.nets.checkpoints import load_checkpoint

    solved = read_positions(positions)
    loaded = load_checkpoint(checkpoint, groups=("ema", "model"))
    if not plays_hex(loaded.settings.game):
        title = loaded.settings.game.title
        raise UsageError(f"{loaded.path} plays {title}, and solved positions are of Hex: name a checkpoint of Hex")
    settings = of_simulations(loaded.settings, simulations)
    target = device or best_device()
    with progress_bar(hidden=as_json) as bar:
        task = bar.add_task("searching", total=len(solved))
        score = score_positions(
            solved,
            lambda game, pool: checkpoint_evaluator(loaded, game, pool, target),
            settings,
            learned=loaded.settings.algorithm == "muzero",
            on_progress=lambda done: bar.update(task, completed=done),
        )
    if as_json:
        facts = {"checkpoint": str(loaded.path), "step": loaded.step, "simulations": simulations, "device": target}
        click.echo(json.dumps({**facts, **as_flat(score)}))
    else:
        title = f"{loaded.path}, {counted(simulations, 'simulation')}, {counted(len(solved), 'position')}"
        print_table(_table(title, score))


def as_flat(score: Score) -> dict[str, Any]:
    """Return the shares under their names (null of none), each with its interval, and the numbers of positions."""
    flat: dict[str, Any] = {
        "positions": score.net_value_share.total,
        "positions_with_winning_moves": score.net_move_share.total,
    }
    for name, share in score._asdict().items():
        flat[name] = share.share
        flat[f"{name}_interval"] = [share.low, share.high]
    return flat


def _table(title: str, score: Score) -> Table:
    table = make_table(title, ["measure"], ["share", "95% interval", "right"])
    for name, share in score._asdict().items():
        text = "-" if share.share is None else f"{share.share:.1%}"
        interval = "-" if share.share is None else f"{share.low:.1%} to {share.high:.1%}"
        table.add_row(_LABELS[name], text, interval, f"{share.right} of {share.total}")
    return table
