"""`hexpipe plot`: a run as pictures."""

from __future__ import annotations

from pathlib import Path

import click

from hexpipe.cli._options import ANY_PATH, FILE
from hexpipe.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  hexpipe plot                          draws the newest run in the folder runs
  hexpipe plot runs/mine                writes runs/mine/run.png
  hexpipe plot runs/mine curves.svg""",
)
@click.argument("run", required=False, type=ANY_PATH)
@click.argument("picture", required=False, type=FILE, metavar="[FILE]")
def command(run: Path | None, picture: Path | None) -> None:
    """Draw learning curves, ratings, throughput and memory of RUN (default: the newest in runs) into FILE (.png or
    .svg)."""
    from hexpipe.plain_files import check_own
    from hexpipe.run_folder import find_runs
    from hexpipe.watch.plots import plot_run

    if run is None:
        found = find_runs(Path("runs"))
        if not found:
            raise UsageError("there is no run in the folder runs: name the one to draw")
        run = found[0]
    path = picture or run / "run.png"
    if picture is None:
        check_own(path)
    plot_run(run, path)
    click.echo(str(path))
