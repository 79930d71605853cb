"""`hexpipe runs`: the runs of a folder, how far they are and what they take."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hexpipe.cli._options import ANY_PATH
from hexpipe.cli._tables import print_table
from hexpipe.errors import UsageError

_RATING = ("rating_elo", "rating_elo_error", "rating_step")


@click.command()
@click.argument("folder", required=False, type=ANY_PATH, default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER (default: runs), newest first: state, game, games, steps, rating, size on disk."""
    from hexpipe.run_folder import find_runs

    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name the one that your runs are in")
    found = [describe(run) for run in find_runs(folder)]
    names = [Path(run["run"]).name for run in found]
    if as_json:
        for run in found:
            click.echo(json.dumps(run))
        return
    table = Table(title=f"runs in {folder}")
    table.add_column("run", no_wrap=True, min_width=max(map(len, names), default=3))
    for heading in ("state", "game"):
        table.add_column(heading)
    for heading in ("games", "steps", "rating", "size", "last figure"):
        table.add_column(heading, justify="right")
    for run, name in zip(found, names, strict=True):
        rating = "-" if run["rating_elo"] is None else f"{run['rating_elo']:.0f}"
        if run["rating_elo_error"] is not None:
            rating += f" +/- {1.96 * run['rating_elo_error']:.0f}"
        age = "-" if run["time"] is None else _ago(time.time() - run["time"])
        table.add_row(
            name, run["state"], f"{run['game']}, {run['algorithm']}", f"{run['games']:,.0f}",
            f"{run['steps']:,.0f}", rating, f"{run['bytes'] / 1e6:,.0f} MB", age,
        )  # fmt: skip
    print_table(table)


def describe(run: Path) -> dict[str, Any]:
    """Return the facts of one run; "damaged" is the state of one whose settings cannot be read."""
    from hexpipe.errors import HexpipeError
    from hexpipe.run_folder import live_run, read_settings
    from hexpipe.watch.metrics import newest_figures

    facts: dict[str, Any] = {
        "run": str(run),
        "state": "at work" if live_run(run) is not None else "ended",
        "game": "-",
        "algorithm": "-",
        "bytes": sum(file.lstat().st_size for file in run.rglob("*") if file.is_file()),
        "games": 0,
        "steps": 0,
        **dict.fromkeys(_RATING),
        "time": None,
    }
    try:
        settings = read_settings(run)
    except HexpipeError:
        return {**facts, "state": "damaged"}
    facts |= {"game": settings.game.title, "algorithm": settings.algorithm}
    try:
        newest = newest_figures(run, ("games", "steps", "time", *_RATING))
    except (OSError, HexpipeError):
        return facts
    return facts | newest


def _ago(seconds: float) -> str:
    """Say "3 min ago"."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {name} ago"
    return f"{max(0, seconds):.0f} s ago"
