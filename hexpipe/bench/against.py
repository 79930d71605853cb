"""The same benchmark of this hexpipe and of another checkout of it, in turns: is one of them slower?

A machine drifts, so that two figures an hour apart say little. Here each turn measures both, one right after the other
and each in a process of its own, and only their ratio counts.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hexpipe
from hexpipe.bench.commands import answer_of
from hexpipe.bench.measuring import median_interval
from hexpipe.errors import HexpipeError, UsageError

FIGURES = {
    "rules": "moves_per_s",
    "search": "simulations_per_s",
    "forward": "evals_per_s",
    "slots": "per_generator_core_evals_per_s",
    "selfplay": "evals_per_s",
    "replay": "sample_positions_per_s",
    "learner": "async_steps_per_s",
    "serve": "requests_per_s",
    "library": "resnet_6x64_64_boards_per_s",
    "cluster": "ratio",
    "startup": "seconds",
}
"""The figure that decides, of each benchmark that has one; the others are shown."""
LESS_IS_BETTER = ("startup",)
TURNS = 9
"""The fewest of which the interval is not the whole range."""
_ENOUGH = 6  # the whole range of so many has the median in it with 95 %


def compare(
    name: str, arguments: Sequence[str], checkout: Path, turns: int, most_loss: float, say: Callable[[str], None]
) -> dict[str, float | int | str | bool]:
    """Run the benchmark ``name`` with the command's ``arguments`` here and in ``checkout``, ``turns`` times in turns.

    The same interpreter and packages run both; what compiles at first does it in a turn that does not count. Keys:
    figure (which one decides), ratio (this over the other, above 1 where this one is better; the median of the turns),
    ratio_low, ratio_high (its 95 % interval, or with less than six turns their whole range), interval (which of the
    two), turns, most_loss, worse (whether the whole interval is worse than ``most_loss`` percent), FIGURE_here and
    FIGURE_there (medians), and FIGURE_ratio of all other figures a second that both have. UsageError where there is no
    such checkout, or it cannot run the benchmark like this; HexpipeError where this one fails.
    """
    figure = FIGURES.get(name)
    if figure is None:
        raise UsageError(f"bench {name} has no figure to compare by: take one of {', '.join(FIGURES)}")
    here, there = Path(hexpipe.__file__).parent.parent, checkout.resolve()
    check_checkout(checkout)
    command = ["bench", name, *arguments, "--json"]
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with environment_of(None) as ours, environment_of(there) as theirs:
        sides = (
            lambda: answer_of(command, ours, HexpipeError, f" in {here}"),
            lambda: answer_of(command, theirs, UsageError, f" in {there}"),
        )
        for turn in range(turns + 1):
            # each is first in every second turn, so that a steady drift of the machine favours neither
            order = (0, 1) if turn % 2 else (1, 0)
            found = {side: sides[side]() for side in order}
            if figure not in found[0] or figure not in found[1]:
                raise UsageError(f"bench {name} of {checkout} has no {figure}: it is another benchmark there")
            if turn:
                pairs.append((found[0], found[1]))
                say(f"turn {turn} of {turns}: {_ratio(name, figure, *pairs[-1]):.3f}")
    ratios = [_ratio(name, figure, *pair) for pair in pairs]
    low, high = median_interval(ratios)
    others = [key for key in pairs[0][0] if key.endswith("_per_s") and key != figure and _in_all(key, pairs)]
    return {
        "benchmark": name,
        "figure": figure,
        "ratio": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "interval": "95 %" if turns >= _ENOUGH else f"whole range of {turns}",
        "turns": turns,
        "most_loss": most_loss,
        "worse": high < 1.0 - most_loss / 100.0,
        f"{figure}_here": statistics.median(float(ours[figure]) for ours, _ in pairs),
        f"{figure}_there": statistics.median(float(theirs[figure]) for _, theirs in pairs),
        **{f"{key}_ratio": statistics.median(ours[key] / theirs[key] for ours, theirs in pairs) for key in others},
    }


def _ratio(name: str, figure: str, ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return this over the other, above 1 where this one is better."""
    ratio = float(ours[figure]) / float(theirs[figure])
    return 1.0 / ratio if name in LESS_IS_BETTER else ratio


def _in_all(key: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> bool:
    """Return whether each run has a figure ``key`` that may be divided by."""
    return all(isinstance(side.get(key), int | float) and side[key] > 0 for pair in pairs for side in pair)


def check_checkout(checkout: Path) -> None:
    """Raise UsageError unless ``checkout`` is one of hexpipe."""
    if not (checkout / "hexpipe" / "cli" / "bench.py").is_file():
        words = f"{checkout} is no checkout of hexpipe: name the folder that holds hexpipe/ and bin/"
        raise UsageError(words, kind="missing", setting="--against", path=checkout)


@contextmanager
def environment_of(checkout: Path | None) -> Iterator[dict[str, str]]:
    """Give the environment in which `hexpipe` is that of ``checkout`` (None: this one), whatever else is installed.

    Another checkout has a folder for its compiled kernels beside our own; where we have none, until the block ends. It
    is named by the state of their sources, because a kernel does not notice that one which it calls has changed.
    """
    if checkout is None:
        yield {**os.environ, "PYTHONPATH": os.fspath(Path(hexpipe.__file__).parent.parent)}
        return
    there = {**os.environ, "PYTHONPATH": os.fspath(checkout)}
    ours = os.environ.get("NUMBA_CACHE_DIR")
    if ours is None:
        with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
            yield {**there, "NUMBA_CACHE_DIR": folder}
        return
    sources = sorted((checkout / "hexpipe").rglob("*kernels*.py"))
    facts = [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources]
    folder_of_state = Path(ours) / f"against-{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:16]}"
    folder_of_state.mkdir(parents=True, exist_ok=True)
    yield {**there, "NUMBA_CACHE_DIR": os.fspath(folder_of_state)}
