"""What `hexpipe htp`, `hexpipe gtp` and `hexpipe gomocup` can be told alike."""

from __future__ import annotations

import click

from hexpipe.cli._options import ANY_PATH, stacked

_RESIGN = "Resign where the chance to win is lower; default: never."
_IGNORED = "Ignored: benzene's twogtp.py adds it, and --seed, to every command."

thinker_options = stacked(
    click.argument("checkpoint", required=False, type=ANY_PATH, metavar="[CHECKPOINT|RUN]"),
    click.option(
        "--seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Time for a move at the most."
    ),
    click.option(
        "--simulations", type=click.IntRange(2), metavar="N", help="For a move; default: the run's, or by time."
    ),
    click.option("--device", metavar="NAME", help="cpu, cuda:0, ...; default: a GPU where there is one."),
    click.option(
        "--random", "chance", type=click.IntRange(0), metavar="SEED", help="Play at random, without a checkpoint."
    ),
)
"""Which net thinks, and how long."""

engine_options = stacked(
    thinker_options,
    click.option("--size", type=int, metavar="N", help="Board at the start; default: the net's, of --random its own."),
    click.option("--resign-below", type=click.FloatRange(0, 1), default=0.0, metavar="P", help=_RESIGN),
    click.option(
        "--seed", type=click.IntRange(0), default=0, metavar="N", help="Which game of --random; a net draws nothing."
    ),
    click.option("--logfile-name", metavar="F", expose_value=False, help=_IGNORED),
    click.option("--config", metavar="F", expose_value=False, help="Ignored: benzene's scripts add it."),
)
"""What the engines of HTP and GTP are told."""
