"""`hexpipe chaos`: a run is given faults without end, and afterwards everything must be there, once, and nothing else.

Games are held against their archive by where they came from: every game that a worker put into its outbox has the next
number there, and replay takes them in order, so in each part of the run the numbers of a worker must be 0, 1, 2, ...
A gap is a lost game, a number that comes twice a doubled one.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hexpipe.chaos.faults import Faults
from hexpipe.chaos.run_under_test import SMALLEST, RunUnderTest, Vitals
from hexpipe.errors import HexpipeError, UsageError
from hexpipe.games.factory import make_stages
from hexpipe.random_streams import Stream, generator
from hexpipe.replay.archive import ReplayArchive, Sender
from hexpipe.run_folder import ARCHIVE_NAME, leftovers, read_settings

RUN = (
    *SMALLEST, "--workers=2", "--set=replay.max_games=2000", "--set=learner.publish_seconds=1",
    "--set=learner.checkpoint_minutes=0.1", "--set=reanalyze.ratio=0.2", "--set=rating.share=0.02",
    "--set=selfplay.game_queue=2",
)  # fmt: skip
"""The run: every role is there, and games are short."""
_FIRST = ("kill", "queue", "kill", "disk", "archive", "kill", "pipe", "stop", "terminal", "kill", "memory", "kill")
_SHARES = {
    "kill": 0.62, "stop": 0.12, "queue": 0.07, "disk": 0.07, "group": 0.02, "memory": 0.02, "hang": 0.02, "pipe": 0.02,
    "terminal": 0.02, "archive": 0.02,
}  # fmt: skip
_ANEW = ("group", "memory", "queue", "disk", "pipe", "terminal", "archive")  # after which the run must find its feet
_GONE_SECONDS = 30.0
_NOT_LEFT = ("output.txt", "torchinductor_")  # ours, and the empty folder that torch makes for a cache


def chaos(
    run_dir: Path, minutes: float, every: float, seed: int, arguments: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """Run for ``minutes`` with a fault about every so many seconds; what was done and what was found.

    ``arguments`` are further ones of `hexpipe run`. The run folder stays. UsageError where it is there already;
    HexpipeError where the run ended of its own or stood still.
    """
    if run_dir.exists():
        raise UsageError(f"{run_dir} is there already: name a folder that is not")
    tested = RunUnderTest(run_dir, [*RUN, *arguments])
    faults = Faults(tested, generator(Stream.FAULTS, seed))
    with tested:
        seen, vitals = _give_faults(faults, minutes, every, say)
        code = _end(tested)
        report = {
            "minutes": minutes,
            "faults": dict(sorted(faults.counts.items())),
            "kills": dict(sorted(faults.kills.items())),
            "exit_code": code,
            **_games(tested, seen, faults.games_aside),
            "training_steps": int(tested.figures().get("steps", 0)),
            "silences_named": tested.log().count("has given no sign of life for"),
            "full_disks_said": tested.log().count("the disk is full:"),
            "left_processes": len(tested.survivors()),
            "left_semaphores": tested.left_semaphores(),
            "left_files": [str(path) for path in _left_files(tested)],
            **_memory(vitals),
        }
    _remove_temporary(tested)
    return {**report, "passed": _passed(report)}


def _give_faults(faults: Faults, minutes: float, every: float, say: Callable[[str], None]) -> tuple[int, list[Vitals]]:
    """Return the most games that the run said were committed, and what it took at times."""
    seen, vitals = 0, []
    tested, rng = faults.tested, faults.rng
    tested.until_it_works()
    start = time.monotonic()
    for kind in _kinds(rng):
        left = 60.0 * minutes - (time.monotonic() - start)
        if left <= 0:
            break
        time.sleep(min(left, every * rng.uniform(0.5, 1.5)))
        tested.check()
        vitals.append(tested.vitals())
        seen = max(seen, faults.committed())
        say(f"{time.monotonic() - start:4.0f} s: {seen:6,d} games, {faults.give(kind)}")
        if kind in _ANEW:
            tested.until_it_works()
    tested.until_it_works()
    return max(seen, faults.committed()), vitals


def _kinds(rng: np.random.Generator) -> Iterator[str]:
    """Yield the short ones first, each at least once, and then any, at random."""
    yield from _FIRST
    while True:
        yield str(rng.choice(list(_SHARES), p=list(_SHARES.values())))


def _end(tested: RunUnderTest) -> int:
    tested.signal_all(signal.SIGTERM)
    code = tested.wait()
    deadline = time.monotonic() + _GONE_SECONDS
    while tested.survivors() and time.monotonic() < deadline:
        time.sleep(0.1)  # multiprocessing's resource tracker ends after the supervisor
    return code


def _games(tested: RunUnderTest, seen: int, aside: int) -> dict[str, Any]:
    """Return what the run said that it had, and what is there, in the archive and in those set aside."""
    stages, found = make_stages(read_settings(tested.run_dir)), 0
    senders: list[Sender] = []
    for path in (*tested.archives_aside(), tested.run_dir / ARCHIVE_NAME):
        with ReplayArchive(path, stages, read_only=True) as archive:
            found += sum(1 for _ in archive.games_after(0))  # each is read and checked
            senders += archive.senders()
    return {
        "games_committed": aside + int(tested.figures().get("games", 0)),
        "games_seen_committed": seen,
        "games_found": found,
        "games_aside": aside,
        **count_faults(senders),
    }


def count_faults(senders: Iterable[Sender]) -> dict[str, int]:
    """Return ``games_lost`` and ``games_doubled`` among the games of ``senders``, by their numbers."""
    taken: dict[tuple[int, int], list[int]] = defaultdict(list)
    for sender in senders:
        taken[sender.session, sender.worker].append(sender.sequence)
    return {
        "games_lost": sum(max(numbers) + 1 - len(set(numbers)) for numbers in taken.values()),
        "games_doubled": sum(len(numbers) - len(set(numbers)) for numbers in taken.values()),
    }


def _memory(vitals: list[Vitals]) -> dict[str, Any]:
    """Return the memory in the second quarter of the run and in its last: where it leaks, the latter is more."""
    quarter = len(vitals) // 4
    if not quarter:
        return {}
    early, late = np.median(vitals[quarter : 2 * quarter], axis=0), np.median(vitals[-quarter:], axis=0)
    return {
        "memory_mb_early": round(float(early[0]) / 1e6, 1),
        "memory_mb_late": round(float(late[0]) / 1e6, 1),
        "open_files_early": int(early[1]),
        "open_files_late": int(late[1]),
    }


def _left_files(tested: RunUnderTest) -> list[Path]:
    inside = [found.path for found in leftovers(tested.run_dir)]
    return inside + [path for path in tested.temporary.iterdir() if not path.name.startswith(_NOT_LEFT)]


def _remove_temporary(tested: RunUnderTest) -> None:
    for path in tested.temporary.iterdir():
        if path.name.startswith(_NOT_LEFT):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(tested.temporary.iterdir()):
        tested.temporary.rmdir()


def _passed(report: dict[str, Any]) -> bool:
    nothing = ("exit_code", "games_lost", "games_doubled", "left_processes", "left_semaphores", "left_files")
    kept = report["games_committed"] == report["games_found"] >= report["games_seen_committed"]
    return kept and report["training_steps"] > 0 and not any(report[name] for name in nothing)


def check(report: dict[str, Any]) -> None:
    """Raise HexpipeError where a run of `chaos` has not passed."""
    if not report["passed"]:
        raise HexpipeError(f"the run has not come through: {report}")
