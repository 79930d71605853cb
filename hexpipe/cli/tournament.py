"""`hexpipe tournament`: everyone against everyone, ratings, a crosstable and a picture."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from hexpipe.cli._options import FILE
from hexpipe.cli._tables import print_table
from hexpipe.cli._tournament import as_json as tournament_json
from hexpipe.cli._tournament import begin, cross_table, forfeits, play_out, rating_table, tournament_options


@click.command(
    epilog="""\b
Players as for match; a run or a folder of checkpoints stands for all of them.
  hexpipe tournament runs/mine --simulations 50 --plot ratings.png
  hexpipe tournament runs/mine random solver --anchor random --results results.sqlite""",
)
@click.argument("players", nargs=-1, required=True, metavar="RUN|CHECKPOINT|PLAYER...")
@click.option("--anchor", metavar="PLAYER", help="Whose rating is 0; default: the first player.")
@click.option("--plot", type=FILE, metavar="FILE", help="Draw the ratings (.png, .svg).")
@tournament_options
def command(players: tuple[str, ...], anchor: str | None, plot: Path | None, as_json: bool, **options: Any) -> None:
    """Play everyone against everyone in pairs of games, and rate them by maximum likelihood.

    Between two players it goes on until a sequential test has decided who is better, or for --pairs.
    """
    from hexpipe.arena.contestants import expand
    from hexpipe.errors import UsageError

    with ExitStack() as resources:
        tournament, results, rules = begin(expand(players), options, 5, resources)
        names = [contestant.name for contestant in tournament.contestants]
        if anchor is not None and anchor not in names:
            raise UsageError(f"--anchor {anchor}: nobody is called so; the players are {', '.join(names)}")
        play_out(tournament, results, rules, quiet=as_json)
        fixed = names.index(anchor) if anchor is not None else 0
        if plot is not None:
            from hexpipe.watch.plots import plot_ratings

            plot_ratings(names, tournament.ratings(fixed), rules, plot)
        if as_json:
            click.echo(json.dumps(tournament_json(tournament, fixed, rules)))
            return
        print_table(rating_table(tournament, fixed))
        print_table(cross_table(tournament, fixed))
        for line in forfeits(tournament):
            click.echo(line)
