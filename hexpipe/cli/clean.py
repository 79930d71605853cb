"""`hexpipe clean`: remove what dead runs have left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hexpipe.cli._options import ANY_PATH


@click.command()
@click.argument("folder", metavar="[FOLDER]", type=ANY_PATH, default=Path("runs"))
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
def command(folder: Path, dry_run: bool) -> int:
    """Remove what dead runs have left: stale locks, half-written checkpoints, files of shared memory.

    FOLDER is a run folder or a folder of such; default: runs. Games, checkpoints and logs are kept, and a live run is
    never touched.
    """
    from hexpipe.errors import RunFolderError
    from hexpipe.run_folder import Leftover, find_runs, held_if_dead, leftovers, shared_leftovers

    count, refused = 0, 0

    def remove(found: Sequence[Leftover]) -> None:
        nonlocal count
        for leftover in found:
            count += 1
            click.echo(f"{'would remove' if dry_run else 'removed'} {leftover.path} ({leftover.what})")
            if not dry_run:
                leftover.remove()

    for path in find_runs(folder):
        try:
            with held_if_dead(path) as dead:
                if dead:
                    remove(leftovers(path))
                else:
                    click.echo(f"{path} is at work: left alone")
        except RunFolderError as error:  # the others are cleaned all the same
            refused += 1
            click.echo(f"hexpipe: {error}", err=True)
    remove(shared_leftovers(Path("/dev/shm")))
    if not count and not refused:
        click.echo("nothing to remove")
    return 2 if refused else 0
