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
from hexpipe.chaos.patient import Patient, Vitals
from hexpipe.errors import HexpipeError, UsageError
from hexpipe.games.factory import make_stages
from hexpipe.random_streams import Stream, generator
from hexpipe.replay.archive import ReplayArchive, Sender
from hexpipe.run_folder import ARCHIVE_NAME, leftovers, read_settings

RUN = (
    "--size=4", "--simulations=16", "--workers=2", "--set=net.blocks=1", "--set=net.channels=8",
    "--set=net.value_hidden=8", "--set=replay.max_memory_gb=0.1", "--set=replay.max_games=2000",
    "--set=replay.min_games=10", "--set=learner.batch_size=32", "--set=learner.publish_seconds=1",
    "--set=learner.checkpoint_minutes=0.1", "--set=inference.backend=eager", "--set=reanalyze.ratio=0.2",
    "--set=rating.share=0.02", "--set=selfplay.game_queue=2",
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
    patient = Patient(run_dir, [*RUN, *arguments])
    rng = generator(Stream.FAULTS, seed)
    faults = Faults(patient, rng)
    try:
        patient.start()
        seen, vitals = _give_faults(patient, faults, rng, minutes, every, say)
        code = _end(patient)
        report = {
            "minutes": minutes,
            "faults": dict(sorted(faults.counts.items())),
            "kills": dict(sorted(faults.kills.items())),
            "exit_code": code,
            **_games(patient, seen, faults.games_aside),
            "training_steps": int(patient.figures().get("steps", 0)),
            "silences_named": patient.log().count("has given no sign of life for"),
            "full_disks_said": patient.log().count("the disk is full:"),
            "left_processes": len(patient.survivors()),
            "left_semaphores": patient.left_semaphores(),
            "left_files": [str(path) for path in _left_files(patient)],
            **_memory(vitals),
        }
    finally:
        patient.end()
    _remove_temporary(patient)
    return {**report, "passed": _passed(report)}


def _give_faults(
    patient: Patient, faults: Faults, rng: np.random.Generator, minutes: float, every: float, say: Callable[[str], None]
) -> tuple[int, list[Vitals]]:
    """The most games that the run said were committed, and what it took at times."""
    seen, vitals = 0, []
    patient.until_it_works()
    start = time.monotonic()
    for kind in _kinds(rng):
        left = 60.0 * minutes - (time.monotonic() - start)
        if left <= 0:
            break
        time.sleep(min(left, every * rng.uniform(0.5, 1.5)))
        patient.check()
        vitals.append(patient.vitals())
        seen = max(seen, faults.games_aside + int(patient.counter("replay-0", "total_games")))
        say(f"{time.monotonic() - start:4.0f} s: {seen:6,d} games, {faults.give(kind)}")
        if kind in _ANEW:
            patient.until_it_works()
    patient.until_it_works()
    return max(seen, faults.games_aside + int(patient.counter("replay-0", "total_games"))), vitals


def _kinds(rng: np.random.Generator) -> Iterator[str]:
    """First the short ones, each at least once, and then any, at random."""
    yield from _FIRST
    while True:
        yield str(rng.choice(list(_SHARES), p=list(_SHARES.values())))


def _end(patient: Patient) -> int:
    patient.signal_all(signal.SIGTERM)
    code = patient.wait()
    deadline = time.monotonic() + _GONE_SECONDS
    while patient.survivors() and time.monotonic() < deadline:
        time.sleep(0.1)  # multiprocessing's resource tracker ends after the supervisor
    return code


def _games(patient: Patient, seen: int, aside: int) -> dict[str, Any]:
    """What the run said that it had, and what is there, in the archive and in those set aside."""
    stages, found = make_stages(read_settings(patient.run_dir)), 0
    senders: list[Sender] = []
    for path in (*patient.archives_aside(), patient.run_dir / ARCHIVE_NAME):
        with ReplayArchive(path, stages, read_only=True) as archive:
            found += sum(1 for _ in archive.games_after(0))  # each is read and checked
            senders += archive.senders()
    return {
        "games_committed": aside + int(patient.figures().get("games", 0)),
        "games_seen_committed": seen,
        "games_found": found,
        "games_aside": aside,
        **count_faults(senders),
    }


def count_faults(senders: Iterable[Sender]) -> dict[str, int]:
    """``games_lost`` and ``games_doubled`` among the games of ``senders``, by their numbers."""
    taken: dict[tuple[int, int], list[int]] = defaultdict(list)
    for sender in senders:
        taken[sender.session, sender.worker].append(sender.sequence)
    return {
        "games_lost": sum(max(numbers) + 1 - len(set(numbers)) for numbers in taken.values()),
        "games_doubled": sum(len(numbers) - len(set(numbers)) for numbers in taken.values()),
    }


def _memory(vitals: list[Vitals]) -> dict[str, Any]:
    """Of the second quarter of the run and of its last: where memory leaks, the latter is more."""
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


def _left_files(patient: Patient) -> list[Path]:
    inside = [found.path for found in leftovers(patient.run_dir)]
    return inside + [path for path in patient.temporary.iterdir() if not path.name.startswith(_NOT_LEFT)]


def _remove_temporary(patient: Patient) -> None:
    for path in patient.temporary.iterdir():
        if path.name.startswith(_NOT_LEFT):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(patient.temporary.iterdir()):
        patient.temporary.rmdir()


def _passed(report: dict[str, Any]) -> bool:
    nothing = ("exit_code", "games_lost", "games_doubled", "left_processes", "left_semaphores", "left_files")
    kept = report["games_committed"] == report["games_found"] >= report["games_seen_committed"]
    return kept and report["training_steps"] > 0 and not any(report[name] for name in nothing)


def check(report: dict[str, Any]) -> None:
    """HexpipeError where a run of `chaos` has not passed."""
    if not report["passed"]:
        raise HexpipeError(f"the run has not come through: {report}")
