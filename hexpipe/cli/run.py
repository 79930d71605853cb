"""`hexpipe run`: train with all processes."""

from __future__ import annotations

from typing import Any

import click

from hexpipe.cli._run_options import SETTINGS_HINT, run_options, run_request


@click.command(epilog=SETTINGS_HINT)
@run_options
@click.option(
    "--ray", metavar="ADDRESS|local", help="Play on every node of the Ray cluster whose head is at host:port, not here."
)
def command(**options: Any) -> int:
    """Train: generators play, servers evaluate, a learner learns from what was played.

    Ctrl-C ends the run in order, with a checkpoint; --resume goes on.
    """
    from hexpipe.pipeline.train_async import run

    return run(run_request(**options))
