"""`hexpipe run`: train with all processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hexpipe.cli._run_options import SETTINGS_HINT, chosen_settings, run_options


@click.command(epilog=SETTINGS_HINT)
@run_options
@click.option(
    "--ray", metavar="ADDRESS|local", help="Play on every node of the Ray cluster whose head is at host:port, not here."
)
def command(
    preset: str | None,
    assignments: tuple[str, ...],
    run_dir: Path | None,
    resume: Path | None,
    init_from: Path | None,
    **options: Any,
) -> int:
    """Train: generators play, servers evaluate, a learner learns from what was played.

    Ctrl-C ends the run in order, with a checkpoint; --resume goes on.
    """
    from hexpipe.pipeline.preparation import RunRequest
    from hexpipe.pipeline.train_async import run
    from hexpipe.run_folder import default_run_folder

    settings = chosen_settings(preset, assignments, run_dir, resume, init_from, options)
    if resume is not None:
        return run(RunRequest(settings, resume, resume=True))
    return run(RunRequest(settings, run_dir or default_run_folder(settings.preset), init_from=init_from))
