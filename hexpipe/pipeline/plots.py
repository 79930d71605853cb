"""Pictures of what a run or a tournament has come to. matplotlib is an extra: hexpipe[plots]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexpipe.arena.ratings import Rating
from hexpipe.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")


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


def new_figure(path: Path, width: float = 8.0, height: float = 4.5) -> tuple[Figure, Axes]:
    """An empty figure in inches, for ``path``. UsageError for a format that is none of FORMATS, SettingsError without
    matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: pictures are written as {' or '.join(FORMATS)}; name the file so")
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError as error:
        raise SettingsError('pictures need matplotlib: pip install "hexpipe[plots]"') from error
    figure = NewFigure(figsize=(width, height), layout="constrained")
    axes: Any = figure.add_subplot()
    return figure, axes


def save_figure(figure: Figure, path: Path) -> None:
    """Write ``figure``. UsageError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another file") from error
