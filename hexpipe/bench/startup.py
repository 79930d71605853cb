"""`hexpipe bench startup`: from the command to the first finished game of a run."""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated

from hexpipe.bench.commands import running
from hexpipe.bench.measuring import wait_until
from hexpipe.bench.options import Figures
from hexpipe.run_folder import live_run
from hexpipe.watch.live_stats import live_processes


def run(
    *,
    preset: Annotated[str, "the preset to run"] = "quick",
    repeats: Annotated[int, "runs, one after the other; seconds is their median"] = 3,
    timeout: Annotated[float, "seconds after which a run without a finished game is given up"] = 120.0,
) -> Figures:
    """Start real runs in temporary folders, and stop each once a generator has finished a game.

    Kernels that are not compiled yet count: `bin/bench` compiles them first. Keys: seconds (median), seconds_fastest,
    seconds_slowest. HexpipeError if a run ends or the time is over before a game is.
    """
    seconds = [_first_game(preset, timeout) for _ in range(repeats)]
    return {
        "seconds": statistics.median(seconds),
        "seconds_fastest": min(seconds),
        "seconds_slowest": max(seconds),
    }


def _first_game(preset: str, timeout: float) -> float:
    """Return the seconds from starting `hexpipe run` until the first of its generators had finished a game."""
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        run_dir, output = Path(folder) / "run", Path(folder) / "output"
        began = time.monotonic()
        with running(["run", "--preset", preset, "--run-dir", str(run_dir)], output) as command:
            late = f"no game was finished within {timeout:.0f} s; raise --timeout"
            look = partial(command.check, "the run ended before its first game")
            wait_until(lambda: _finished_at(run_dir), timeout, late, look)
            return _finished_at(run_dir) - began


def _finished_at(run_dir: Path) -> float:
    """Return when the first generator finished its first game (monotonic seconds, which all processes share); 0
    before."""
    found = [process.row for process in live_processes(live_run(run_dir) or {}).values()]
    times = [row["first_game"] for row in found if "first_game" in row]
    return min((when for when in times if when > 0), default=0.0)
