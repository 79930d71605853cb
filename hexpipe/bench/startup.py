"""`hexpipe bench startup`: from the command to the first finished game of a run."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from hexpipe.bench.commands import running
from hexpipe.errors import HexpipeError
from hexpipe.run_folder import live_run
from hexpipe.watch.live_stats import live_processes

OPTIONS = {
    "preset": "the preset to run",
    "repeats": "runs, one after the other; seconds is their median",
    "timeout": "seconds after which a run without a finished game is given up",
}
_END_SECONDS = 60.0


def run(*, preset: str = "quick", repeats: int = 3, timeout: float = 120.0) -> dict[str, float | int | str]:
    """Real runs in temporary folders, each stopped once a generator has finished a game.

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
    """Seconds from starting `hexpipe run` until the first of its generators had finished a game."""
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        run_dir, output = Path(folder) / "run", Path(folder) / "output"
        began = time.monotonic()
        with running(["run", "--preset", preset, "--run-dir", str(run_dir)], output, _END_SECONDS) as process:
            while not (finished := _finished_at(run_dir)):
                if process.poll() is not None:
                    raise HexpipeError(f"the run ended before its first game:\n{output.read_text(errors='replace')}")
                if time.monotonic() - began > timeout:
                    raise HexpipeError(f"no game was finished within {timeout:.0f} s; raise --timeout")
                time.sleep(0.02)
    return finished - began


def _finished_at(run_dir: Path) -> float:
    """When the first generator finished its first game (monotonic seconds, which all processes share); 0 before."""
    found = [process.row for process in live_processes(live_run(run_dir) or {}).values()]
    times = [row["first_game"] for row in found if "first_game" in row]
    return min((when for when in times if when > 0), default=0.0)
