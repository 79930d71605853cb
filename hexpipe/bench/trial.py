"""One training run of a recipe, held against judges: what `hexpipe bench learn` repeats.

A trial uses commands alone (`run`, `score`), so that any checkout of hexpipe can be one side, and looks at the run from
outside: at its processes' time, its checkpoints and its figures.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from hexpipe.bench.against import environment_of
from hexpipe.bench.commands import answer_of, command_line, start
from hexpipe.errors import HexpipeError, RunFolderError
from hexpipe.nets.checkpoints import list_checkpoints, step_of
from hexpipe.watch.metrics import metrics_lines, newest_figures

_LOOK_SECONDS = 0.5
SHARES = ("net_value_share", "search_value_share", "net_move_share", "search_move_share")


class Recipe(NamedTuple):
    """A way to train: a name, more arguments of `hexpipe run`, and the checkout that runs it (None: this one)."""

    name: str
    arguments: tuple[str, ...] = ()
    checkout: Path | None = None


class Plan(NamedTuple):
    """What all trials have in common: ``size`` of the board, ``minutes`` of each run, a checkpoint every so many
    ``steps``, at most ``points`` of which are scored by searches of ``simulations`` on the ``positions``; ``pairs`` of
    games of the last one against each of the ``opponents``."""

    size: int
    minutes: float
    steps: int
    points: int
    simulations: int
    positions: Path
    opponents: tuple[str, ...]
    pairs: int


class Point(NamedTuple):
    """A checkpoint: training step, processor seconds since the first game, and its shares (`SHARES`) right."""

    step: int
    processor_seconds: float
    shares: dict[str, float | None]


class Trial(NamedTuple):
    """A run and what became of it. ``startup_seconds`` are processor seconds before its first game,
    ``scoring_seconds`` those of the judges (neither is in ``processor_seconds``); ``evals_a_position`` of self-play;
    ``matches``: points and games against each opponent."""

    recipe: str
    arguments: tuple[str, ...]
    seed: int
    chip: str
    points: list[Point]
    processor_seconds: float
    startup_seconds: float
    scoring_seconds: float
    games: float
    positions: float
    evals_a_position: float
    matches: dict[str, tuple[float, int]]


def processor_seconds(pid: int) -> float:
    """Return user and system seconds of a process, of all below it, and of those of them that have ended."""
    total = 0.0
    try:
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += sum(process.cpu_times()[:4])  # own and, of children that were waited for, theirs
        except psutil.NoSuchProcess:
            continue
    return total


def run_trial(recipe: Recipe, plan: Plan, seed: int, chip: str, folder: Path, say: Callable[[str], None]) -> Trial:
    """Train by ``recipe`` into ``folder``/run, which is made anew, and hold its checkpoints against the judges.

    HexpipeError, with what it said, where a command fails.
    """
    run_dir = folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with environment_of(recipe.checkout) as environment:
        checkpoints, used, startup = _train(recipe, plan, seed, run_dir, environment, say)
        before = _children_seconds()
        points = []
        for path, seconds in spread(checkpoints, plan.points):
            say(f"{recipe.name}, seed {seed}: scoring step {step_of(path)}")
            points.append(Point(step_of(path), seconds, _score(path, plan, environment)))
    matches = {}
    for opponent in plan.opponents:
        say(f"{recipe.name}, seed {seed}: {plan.pairs} pairs of games against {opponent}")
        matches[opponent] = _match(checkpoints[-1][0], opponent, plan, seed)
    lines = list(metrics_lines(run_dir))
    evals, played = (sum(line.get(name, 0.0) for line in lines) for name in ("evals_per_s", "positions_per_s"))
    newest = newest_figures(run_dir, ("games", "positions"))
    return Trial(
        recipe=recipe.name,
        arguments=recipe.arguments,
        seed=seed,
        chip=chip,
        points=points,
        processor_seconds=used,
        startup_seconds=startup,
        scoring_seconds=_children_seconds() - before,
        games=newest.get("games", 0.0),
        positions=newest.get("positions", 0.0),
        evals_a_position=evals / played if played else 0.0,
        matches=matches,
    )


def spread(checkpoints: Sequence[tuple[Path, float]], most: int) -> list[tuple[Path, float]]:
    """Return at most ``most`` of ``checkpoints`` (with their processor seconds), the last one among them, whose seconds
    are as evenly apart as they come on a logarithmic scale: strength grows fast at first."""
    if len(checkpoints) <= most:
        return list(checkpoints)
    seconds = np.log([max(seconds, 1.0) for _, seconds in checkpoints])
    wanted = np.linspace(seconds[-1], seconds[0], most)
    nearest = {int(np.abs(seconds - one).argmin()) for one in wanted}
    return [checkpoints[number] for number in sorted(nearest)]


def _train(
    recipe: Recipe, plan: Plan, seed: int, run_dir: Path, environment: Mapping[str, str], say: Callable[[str], None]
) -> tuple[list[tuple[Path, float]], float, float]:
    """Return the run's checkpoints with their processor seconds, those of the whole run, and those of its start-up."""
    say(f"{recipe.name}, seed {seed}: {plan.minutes:g} minutes of training")
    arguments = ["run", f"--size={plan.size}", f"--minutes={plan.minutes:g}", f"--seed={seed}", f"--run-dir={run_dir}"]
    arguments += [f"--set=learner.checkpoint_steps={plan.steps}", "--set=learner.keep_every=1", "--set=rating.share=0"]
    output = run_dir.with_name("run.txt")
    with output.open("wb") as sink:
        process = start(command_line([*arguments, *recipe.arguments]), sink, environment)
        found: dict[Path, float] = {}
        used, startup = 0.0, -1.0
        try:
            while process.poll() is None:
                used = processor_seconds(process.pid) or used
                if startup < 0:
                    startup = used if _has_a_game(run_dir) else -1.0
                elif run_dir.exists():
                    for path in list_checkpoints(run_dir):
                        found.setdefault(path, used - startup)
                time.sleep(_LOOK_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode or startup < 0:
        said = output.read_text(errors="replace").strip()[-2000:] or "it said nothing"
        raise HexpipeError(f"{recipe.name}: the run ended with code {process.returncode}:\n{said}")
    for path in list_checkpoints(run_dir):
        found.setdefault(path, used - startup)
    kept = sorted((path for path in found if path.exists()), key=step_of)
    return [(path, found[path]) for path in kept], used - startup, startup


def _has_a_game(run_dir: Path) -> bool:
    try:
        return newest_figures(run_dir, ("games",)).get("games", 0.0) > 0
    except (OSError, RunFolderError):
        return False


def _score(checkpoint: Path, plan: Plan, environment: Mapping[str, str]) -> dict[str, float | None]:
    words = ["score", str(checkpoint), f"--positions={plan.positions}", f"--simulations={plan.simulations}", "--json"]
    found = answer_of(words, environment)
    return {name: found[name] for name in SHARES}


def _match(checkpoint: Path, opponent: str, plan: Plan, seed: int) -> tuple[float, int]:
    words = ["match", f"net={checkpoint}", f"other={opponent}", f"--pairs={plan.pairs}", "--error=0", f"--seed={seed}"]
    words += [f"--size={plan.size}", f"--simulations={plan.simulations}", "--json"]
    with environment_of(None) as environment:
        points, games = answer_of(words, environment)["crosstable"][0][1]
    return float(points), int(games)


def _children_seconds() -> float:
    """Return processor seconds of all processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system
