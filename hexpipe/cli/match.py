"""`hexpipe match`: two players, pairs of games, until it is clear who is better."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import click

from hexpipe.cli._tables import print_table
from hexpipe.cli._tournament import as_json as tournament_json
from hexpipe.cli._tournament import begin, forfeits, play_out, rating_table, tournament_options


@click.command(
    epilog="""\b
Players are checkpoints or runs (their newest checkpoint), box (Hex: the net that comes with hexpipe), random, solver
(Hex to 6x6), uct:N (Hex: a tree search without a net, N random games a move), openspiel:mcts:N (OpenSpiel's own search,
for games that it has; needs open_spiel), and programs that speak HTP:
  hexpipe match runs/mine runs/other --simulations 100
  hexpipe match runs/mine "htp:mohex" --size 11 --results results.sqlite
  hexpipe match runs/mine uct:1000 --pairs 20 --json
NAME= before a player says what it is called: hexpipe match new=runs/mine "old=htp:/opt/mohex --seed 1".
A program that fails, or plays what is illegal, forfeits that game and is started anew.""",
)
@click.argument("a")
@click.argument("b")
@tournament_options
def command(a: str, b: str, as_json: bool, **options: Any) -> None:
    """Play a match of A against B in pairs of games with the same random opening and colours swapped.

    It ends when a sequential test has decided who is better, or after --pairs. Ratings are Elo by maximum likelihood,
    B's being 0, with a 95% interval.
    """
    from hexpipe.arena.ratings import sequential_test

    with ExitStack() as resources:
        tournament, results, rules = begin((a, b), options, 10, resources)
        play_out(tournament, results, rules, quiet=as_json)
        decision = sequential_test(tournament.between(0, 1), options["margin"], options["error"] or 0.05)
        if as_json:
            facts = tournament_json(tournament, 1, rules)
            click.echo(json.dumps({**facts, "llr": decision.llr, "bound": decision.upper, "better": decision.verdict}))
            return
        print_table(rating_table(tournament, 1))
        for line in forfeits(tournament):
            click.echo(line)
        names = [player.name for player in tournament.contestants]
        found = {"a": f"{names[0]} is better", "b": f"{names[1]} is better", "open": "it is not decided who is better"}
        numbers = f"log-likelihood ratio {decision.llr:.2f}, bounds {decision.lower:.2f} and {decision.upper:.2f}"
        click.echo(f"{found[decision.verdict]}: {numbers}")
