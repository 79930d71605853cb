"""`hexpipe bench learn`: recipes of training against each other, by what they learn for the processor time taken."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hexpipe.bench.environment import describe
from hexpipe.bench.trial import Plan, Point, Recipe, Trial, run_trial
from hexpipe.errors import UsageError
from hexpipe.plain_files import read_document
from hexpipe.run_folder import write_atomic
from hexpipe.watch.plots import new_figure, save_figure

_PLAN = "plan.json"


class Spread(NamedTuple):
    """The mean of a figure over seeds, with the lowest and the highest; None where a seed has none."""

    mean: float | None
    low: float | None
    high: float | None


class Row(NamedTuple):
    """A recipe in the table: shares right of its last checkpoints, processor seconds of its runs and until each of the
    targets (shares of values right), and points of each opponent's games."""

    recipe: str
    seeds: int
    values: Spread
    moves: Spread
    net_values: Spread
    net_moves: Spread
    processor_seconds: Spread
    startup_seconds: Spread
    scoring_seconds: Spread
    games: Spread
    evals_a_position: Spread
    seconds_to: dict[float, Spread]
    matches: dict[str, Spread]


def learn(
    recipes: Sequence[Recipe], plan: Plan, seeds: int, folder: Path, say: Callable[[str], None] = lambda line: None
) -> list[Trial]:
    """Return a trial of each recipe with each of the seeds 0 to ``seeds`` - 1, run in turn, one at a time.

    Each is kept in ``folder`` once it is done: the same bench goes on from there. A seed whose trials another chip has
    begun is begun anew, as seconds are not the same there. UsageError where the folder has a bench of another plan, or
    of a recipe of this name with other arguments; HexpipeError where a command fails.
    """
    _check_plan(plan, folder)
    machine = describe()
    chip = f"{machine['cpu']} {machine['cpu_features']}"
    trials = []
    for seed in range(seeds):
        kept = {recipe.name: _read(recipe, seed, folder) for recipe in recipes}
        if any(trial is not None and trial.chip != chip for trial in kept.values()):
            say(f"seed {seed} was begun on another chip: it begins anew")
            kept = dict.fromkeys(kept)
        # each is first in turn, so that a steady drift of the machine favours none
        for number in range(len(recipes)):
            recipe = recipes[(number + seed) % len(recipes)]
            trial = kept[recipe.name]
            if trial is None:
                trial = run_trial(recipe, plan, seed, chip, folder / f"{recipe.name}-{seed}", say)
                write_atomic(_file(recipe, seed, folder), json.dumps(trial._asdict()))
            trials.append(trial)
    return trials


def rows(recipes: Sequence[Recipe], trials: Iterable[Trial], targets: Sequence[float]) -> list[Row]:
    """Return the table's rows, in the order of ``recipes``; ``targets`` are shares of values right, 0 to 1."""
    every = list(trials)
    return [_row(recipe.name, [trial for trial in every if trial.recipe == recipe.name], targets) for recipe in recipes]


def seconds_to(points: Sequence[Point], target: float) -> float | None:
    """Return the processor seconds after which a search has ``target`` of the values right, between checkpoints by a
    straight line; None where it never has."""
    curve = [(point.processor_seconds, point.shares["search_value_share"] or 0.0) for point in points]
    if curve and curve[0][1] >= target:
        return curve[0][0]
    for (before, low), (after, high) in pairwise(curve):
        if low < target <= high:
            return before + (after - before) * (target - low) / (high - low)
    return None


def plot(trials: Sequence[Trial], plan: Plan, path: Path) -> None:
    """Draw shares of values and of winning moves right over processor seconds, a colour a recipe, a line a seed.

    UsageError and SettingsError as `plots.new_figure`.
    """
    figure, first = new_figure(path, 11.0, 4.5)
    first.remove()
    names = list(dict.fromkeys(trial.recipe for trial in trials))
    parts = (("search_value_share", "values right"), ("search_move_share", "winning moves found"))
    for number, (share, title) in enumerate(parts, start=1):
        axes = figure.add_subplot(1, 2, number)
        for trial in trials:
            known = [(point.processor_seconds, point.shares[share]) for point in trial.points]
            xs, ys = [x for x, _ in known], [None if y is None else 100 * y for _, y in known]
            label = trial.recipe if trial.seed == 0 else None
            axes.plot(xs, ys, color=f"C{names.index(trial.recipe)}", marker=".", linewidth=1.2, label=label)  # type: ignore[arg-type]
        axes.set_title(f"{title}, {plan.size}x{plan.size}, a search of {plan.simulations} (%)", fontsize=10)
        axes.set_xlabel("processor seconds since the first game", fontsize=8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_figure(figure, path)


def _row(name: str, trials: Sequence[Trial], targets: Sequence[float]) -> Row:
    def last(share: str) -> Spread:
        return _spread(trial.points[-1].shares[share] for trial in trials)

    opponents = list(dict.fromkeys(opponent for trial in trials for opponent in trial.matches))
    return Row(
        recipe=name,
        seeds=len(trials),
        values=last("search_value_share"),
        moves=last("search_move_share"),
        net_values=last("net_value_share"),
        net_moves=last("net_move_share"),
        processor_seconds=_spread(trial.processor_seconds for trial in trials),
        startup_seconds=_spread(trial.startup_seconds for trial in trials),
        scoring_seconds=_spread(trial.scoring_seconds for trial in trials),
        games=_spread(trial.games for trial in trials),
        evals_a_position=_spread(trial.evals_a_position for trial in trials),
        seconds_to={target: _spread(seconds_to(trial.points, target) for trial in trials) for target in targets},
        matches={
            opponent: _spread(trial.matches[opponent][0] / trial.matches[opponent][1] for trial in trials)
            for opponent in opponents
        },
    )


def _spread(values: Iterable[float | None]) -> Spread:
    every = list(values)
    known = [value for value in every if value is not None]
    if not every or len(known) < len(every):
        return Spread(None, None, None)
    return Spread(statistics.fmean(known), min(known), max(known))


def _check_plan(plan: Plan, folder: Path) -> None:
    """Write the plan into the folder; UsageError where it has another."""
    document = json.loads(json.dumps({**plan._asdict(), "positions": str(plan.positions.resolve())}))
    file = folder / _PLAN
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(document))
        return
    other = read_document(file)
    for name, value in document.items():
        if other.get(name) != value:
            words = f"{folder} has a bench with {name} {other.get(name)}, not {value}: name another folder, or go on so"
            raise UsageError(words, kind="conflict", setting=name, path=folder)


def _file(recipe: Recipe, seed: int, folder: Path) -> Path:
    return folder / f"{recipe.name}-{seed}.json"


def _read(recipe: Recipe, seed: int, folder: Path) -> Trial | None:
    """Return the trial that was done; UsageError where it was one of other arguments."""
    file = _file(recipe, seed, folder)
    if not file.exists():
        return None
    document: dict[str, Any] = read_document(file)
    trial = Trial(**{**document, "arguments": tuple(document["arguments"])})
    if trial.arguments != recipe.arguments:
        words = (
            f"{folder} has a recipe {recipe.name} with other arguments ({' '.join(trial.arguments)}): name it otherwise"
        )
        raise UsageError(words, kind="conflict", setting="--recipe", path=folder)
    matches = {opponent: (points, games) for opponent, (points, games) in trial.matches.items()}
    return trial._replace(points=[Point(*point) for point in trial.points], matches=matches)
