"""Plots of a run or a tournament. matplotlib is an extra: hexpipe[plots]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexpipe.arena.ratings import Rating
from hexpipe.errors import RunFolderError, SettingsError, UsageError, install_command
from hexpipe.plain_files import write_output
from hexpipe.watch.metrics import metrics_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
_PAUSE_SECONDS = 120.0


def plot_ratings(names: Sequence[str], ratings: Sequence[Rating], title: str, path: Path) -> None:
    """Draw the ratings of ``names`` with 95% intervals, the best on top, into ``path`` (.png or .svg)."""
    known = [(name, rating) for name, rating in zip(names, ratings, strict=True) if not math.isnan(rating.elo)]
    known.sort(key=lambda entry: entry[1].elo)
    figure, axes = new_figure(path, height=1.2 + 0.35 * len(known))
    axes.errorbar(
        [rating.elo for _, rating in known],
        range(len(known)),
        xerr=[1.96 * rating.error for _, rating in known],
        fmt="o",
        capsize=3,
    )
    axes.set_yticks(range(len(known)), [name for name, _ in known])
    axes.set_xlabel("Elo, with 95% interval")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)


PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("loss", ("loss", "policy_loss", "value_loss")),
    ("right by the solver", ("solver_score", "solver_policy")),
    ("rating (Elo)", ("rating_elo",)),
    ("positions a second", ("positions_per_s",)),
    ("evaluations a second", ("evals_per_s",)),
    ("memory (MB)", ("own_bytes", "replay_bytes")),
)
"""Panels of a run's plot: title and the figures of metrics.jsonl in it."""
_MEGABYTES = ("own_bytes", "replay_bytes")
_LABELS = {
    "solver_score": "agrees with solver",
    "solver_policy": "winning moves found",
    "own_bytes": "processes",
    "replay_bytes": "replay buffer, filled",
}


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of RUN/metrics.jsonl. RunFolderError if there is none with a figure."""
    try:
        lines = list(metrics_lines(run_dir))
    except OSError as error:
        raise RunFolderError(
            f"{run_dir} has no metrics.jsonl ({error.strerror}): name the folder of a run", kind="missing", path=run_dir
        ) from error
    if not lines:
        raise RunFolderError(
            f"{run_dir} has no figures yet: let the run work for some seconds", kind="missing", path=run_dir
        )
    return lines


def plot_run(run_dir: Path, path: Path) -> None:
    """Plot learning curves, ratings with 95% intervals, throughput and memory of a run over its working hours (or
    minutes).

    Raises RunFolderError where there is nothing to plot, UsageError and SettingsError as `new_figure` does.
    """
    lines = read_metrics(run_dir)
    lines = [line for line in lines if "time" in line]
    if not lines:
        words = f"the figures of {run_dir} have no times: its metrics.jsonl is damaged; restore it"
        raise RunFolderError(words, kind="damaged", path=run_dir)
    hours = _hours_of_work([line["time"] for line in lines])
    short = hours[-1] < 1
    if short:
        hours = [60 * hour for hour in hours]
    for line in lines:
        own = [value for name, value in line.items() if name.startswith("own_bytes/")]
        if own:
            line["own_bytes"] = sum(own)
    panels = [(title, [name for name in names if any(name in line for line in lines)]) for title, names in PANELS]
    panels = [(title, names) for title, names in panels if names]
    figure, first = new_figure(path, 11.0, 2.9 * -(-len(panels) // 2))
    first.remove()
    figure.suptitle(str(run_dir))
    for number, (title, names) in enumerate(panels):
        axes = figure.add_subplot(-(-len(panels) // 2), 2, number + 1)
        for name in names:
            points = [(hour, line[name]) for hour, line in zip(hours, lines, strict=True) if name in line]
            scale = 1e-6 if name in _MEGABYTES else 1.0
            xs, ys = [x for x, _ in points], [scale * y for _, y in points]
            axes.plot(xs, ys, label=_LABELS.get(name, name.replace("_", " ")), linewidth=1.2)
            errors = [scale * line.get(f"{name}_error", 0.0) for line in lines if name in line]
            if any(errors):
                low = [y - 1.96 * error for y, error in zip(ys, errors, strict=True)]
                high = [y + 1.96 * error for y, error in zip(ys, errors, strict=True)]
                axes.fill_between(xs, low, high, alpha=0.2)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.set_xlabel("minutes of work" if short else "hours of work", fontsize=8)
        if len(names) > 1:
            axes.legend(fontsize=8)
    save_figure(figure, path)


def _hours_of_work(times: Sequence[float]) -> list[float]:
    """Return hours since the start, without those in which nothing was written: pauses between parts of the run."""
    hours, total = [0.0], 0.0
    for before, after in pairwise(times):
        total += after - before if 0 < after - before < _PAUSE_SECONDS else 0.0
        hours.append(total / 3600)
    return hours


def check_picture(path: Path) -> None:
    """Raise UsageError for a format that is not in FORMATS, SettingsError without matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path}: pictures are written as {' or '.join(FORMATS)}; name the file so", kind="type", path=path
        )
    if find_spec("matplotlib") is None:
        raise SettingsError(f"pictures need matplotlib: {install_command('matplotlib')}", kind="missing")


def new_figure(path: Path, width: float = 8.0, height: float = 4.5) -> tuple[Figure, Axes]:
    """Return an empty figure in inches, for ``path``.

    UsageError and SettingsError as `check_picture`.
    """
    check_picture(path)
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    axes: Any = figure.add_subplot()
    return figure, axes


def save_figure(figure: Figure, path: Path) -> None:
    """Write ``figure``. UsageError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = BytesIO()
        figure.savefig(picture, dpi=120, format=path.suffix[1:].lower())
        write_output(path, picture.getvalue())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}): name another file", kind="access", path=path
        ) from error
