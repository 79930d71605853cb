"""`hexpipe bench memory`: what a run takes as time goes by, and whether each of its generators gets its share."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from hexpipe.bench.options import Figures
from hexpipe.chaos.faults import Faults
from hexpipe.chaos.run_under_test import SMALLEST, RunUnderTest, Vitals
from hexpipe.processes.stats import role_of

_RUN = (
    *SMALLEST, "--set=replay.max_games=500", "--set=selfplay.cache_entries=4096",
    "--set=learner.checkpoint_minutes=0.2", "--set=rating.pairs=2", "--set=rating.simulations=8",
)  # fmt: skip
_SAMPLES = 60
_HOLD_SECONDS = 5.0
_BLOCKS = 12
_WARM_UP = 0.1


def run(
    *,
    minutes: Annotated[
        float, "of measuring, once the buffer is full and all are at work; 30 give a slope that means something"
    ] = 0.5,
    workers: Annotated[int, "generators"] = 2,
    full_queue: Annotated[bool, "hold replay up every few seconds until every generator's outbox is full"] = False,
) -> Figures:
    """Look from outside at a run of short games in a temporary folder, once every process is at its work: the last
    to begin is the one that rates checkpoints, which loads its nets then.

    Keys: memory_mb_first and memory_mb_last of the fitted line (`run_under_test.Vitals` says what counts); the line's
    slope_percent_per_hour and the standard error of that; open_files_first and open_files_last; games; share_ratio,
    positions played by the generator with the most over those of the one with the least; times_full, how often every
    outbox was. The first tenth of the time is left out of the fit.
    """
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        tested = RunUnderTest(Path(folder) / "run", [*_RUN, f"--workers={workers}"])
        faults = Faults(tested, np.random.default_rng(0))
        with tested:
            tested.until(lambda: tested.counter("replay-0", "total_games") > 600, "a full buffer")
            tested.until(lambda: tested.counter("rating-0", "rating_step") > 0, "a rated checkpoint")
            before = _positions(tested)
            times, vitals = _watch(tested, faults, 60.0 * minutes, full_queue)
            played = _positions(tested) - before
            games = int(tested.counter("replay-0", "total_games"))
            tested.signal_all(signal.SIGINT)
            tested.wait()
    kept = times >= _WARM_UP * times[-1]
    memory = np.array([sample.memory_bytes for sample in vitals]) / 1e6
    first, last, slope, error = fitted(times[kept] / 3600, memory[kept])
    return {
        "memory_mb_first": round(first, 1),
        "memory_mb_last": round(last, 1),
        "slope_percent_per_hour": round(100 * slope / first, 3),
        "slope_error_percent_per_hour": round(100 * error / first, 3),
        "open_files_first": vitals[0].open_files,
        "open_files_last": vitals[-1].open_files,
        "games": games,
        "share_ratio": round(float(played.max() / played.min()), 3),
        "times_full": faults.counts.get("queue", 0),
    }


def fitted(hours: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the first and last value of the line through ``values`` [N] at ``hours`` [N], its slope an hour and the
    standard error of that. The fit is of the means of blocks: samples that follow each other are not independent."""
    blocks = min(_BLOCKS, len(hours))
    x = np.array([part.mean() for part in np.array_split(hours, blocks)])
    y = np.array([part.mean() for part in np.array_split(values, blocks)])
    line, covariance = np.polyfit(x, y, 1, cov="unscaled")
    variance = ((y - np.polyval(line, x)) ** 2).sum() / max(1, blocks - 2)
    first, last = np.polyval(line, [hours[0], hours[-1]]).tolist()
    return first, last, float(line[0]), float(np.sqrt(variance * covariance[0, 0]))


def _watch(
    tested: RunUnderTest, faults: Faults, seconds: float, full_queue: bool
) -> tuple[NDArray[np.float64], list[Vitals]]:
    """Return seconds from the start, and the vitals at them."""
    start = held = time.monotonic()
    times, vitals = [], []
    while True:
        tested.check()
        times.append(time.monotonic() - start)
        vitals.append(tested.vitals())
        if times[-1] >= seconds:
            return np.array(times), vitals
        if full_queue and time.monotonic() - held >= _HOLD_SECONDS:
            faults.give("queue")
            held = time.monotonic()
        time.sleep(min(seconds / _SAMPLES, 5.0))


def _positions(tested: RunUnderTest) -> NDArray[np.float64]:
    """Return the positions that each generator has played."""
    known = tested.processes().items()
    return np.array([process.row["positions"] for name, process in known if role_of(name) == "generator"])
