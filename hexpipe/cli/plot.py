"""`hexpipe plot`: a run as pictures."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  hexpipe plot runs/mine                writes runs/mine/run.png
  hexpipe plot runs/mine curves.svg"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("picture", required=False, type=click.Path(dir_okay=False, path_type=Path), metavar="[FILE]")
def command(run: Path, picture: Path | None) -> None:
    """Draw learning curves, ratings, throughput and memory of RUN into FILE (.png or .svg)."""
    from hexpipe.pipeline.plots import plot_run

    path = picture or run / "run.png"
    plot_run(run, path)
    click.echo(str(path))
