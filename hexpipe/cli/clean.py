"""`hexpipe clean`: remove what dead runs have left."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Remove what dead runs have left.")
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
def command(folder: Path, dry_run: bool) -> None:
    """Remove what dead runs have left: stale locks, half-written checkpoints, files of shared memory.

    FOLDER is a run folder or a folder of such; default: runs. Games, checkpoints and logs are kept, and a live run is
    never touched.
    """
    from hexpipe.pipeline.run_folder import find_runs, held_if_dead, leftovers, shared_leftovers

    count = 0
    for path in find_runs(folder):
        with held_if_dead(path) as dead:
            if not dead:
                click.echo(f"{path} is at work: left alone")
                continue
            for leftover in leftovers(path):
                count += 1
                click.echo(f"{'would remove' if dry_run else 'removed'} {leftover.path} ({leftover.what})")
                if not dry_run:
                    leftover.remove()
    for leftover in shared_leftovers(Path("/dev/shm")):
        count += 1
        click.echo(f"{'would remove' if dry_run else 'removed'} {leftover.path} ({leftover.what})")
        if not dry_run:
            leftover.remove()
    if not count:
        click.echo("nothing to remove")
