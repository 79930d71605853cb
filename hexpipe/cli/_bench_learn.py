"""`hexpipe bench learn`: its options, its table and its picture; the work is `hexpipe.bench.learn`'s."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from hexpipe.cli._options import ANY_PATH, FILE, number_option
from hexpipe.cli._tables import make_table, print_table
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.bench.learn import Row, Spread
    from hexpipe.bench.trial import Plan, Recipe

_RECIPE = "A recipe, NAME or NAME=more arguments of `hexpipe run`; again for others. Default: one called default."
_AGAINST = "Another checkout of hexpipe, a recipe under its folder's name; only its run and score are used."
_NAME = re.compile(r"[\w.+-]+")


@click.command(
    "learn",
    epilog="""\b
Examples:
  hexpipe bench learn --minutes 5 --seeds 2 --folder runs/try --opponent uct:300 \\
      --recipe default --recipe "often=--set learner.replay_ratio=12"
  hexpipe bench learn --size 7 --minutes 20 --against ../before --target 89""",
)
@number_option("--size", "Cells along a side.", click.IntRange(3, 27), 5)
@click.option("--recipe", "written", multiple=True, metavar="NAME[=ARGUMENTS]", help=_RECIPE)
@click.option("--against", type=ANY_PATH, metavar="CHECKOUT", help=_AGAINST)
@number_option("--seeds", "Runs of each recipe.", click.IntRange(1), 2)
@number_option("--minutes", "Length of each run.", click.FloatRange(0, min_open=True), 5.0, "M")
@click.option(
    "--positions", type=ANY_PATH, metavar="FILE", help="Solved positions; default: hexpipe's own of that size."
)
@number_option("--simulations", "Simulations a position, and a move of matches.", click.IntRange(2), 100)
@click.option(
    "--target",
    "targets",
    type=float,
    multiple=True,
    metavar="PERCENT",
    help="Values right, to be timed; again for others. Default: 90, 97.",
)
@click.option(
    "--opponent",
    "opponents",
    multiple=True,
    metavar="PLAYER",
    help="A player of `hexpipe match` to play; again for others.",
)
@number_option("--pairs", "Pairs of games against each opponent.", click.IntRange(1), 20)
@number_option("--checkpoint-steps", "Training steps between checkpoints.", click.IntRange(1), 250)
@number_option("--points", "Checkpoints of a run that are scored.", click.IntRange(2), 10)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs/bench-learn",
    show_default=True,
    metavar="DIR",
    help="Where runs and figures are kept; what is done there is not done again.",
)
@click.option("--plot", type=FILE, metavar="FILE", help="Draw the curves (.png, .svg).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    size: int, written: tuple[str, ...], against: Path | None, seeds: int, minutes: float, positions: Path | None,
    simulations: int, targets: tuple[float, ...], opponents: tuple[str, ...], pairs: int, checkpoint_steps: int,
    points: int, folder: Path, plot: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Train by several recipes of Hex in turn, the same minutes each, and tell what they have learned for it.

    Strength is the share of solved positions that the net and a search get right, and points against fixed opponents.
    Processor seconds are user and system time of all processes of a run, from its first game on; no checkpoint is rated
    meanwhile, and start-up and scoring are told beside. Leave the machine alone.
    """
    from hexpipe.arena.solved_positions import packaged_positions
    from hexpipe.bench.learn import learn, rows
    from hexpipe.bench.learn import plot as draw
    from hexpipe.bench.trial import Plan
    from hexpipe.watch.plots import check_picture

    recipes = _recipes(written, against)
    file = positions or packaged_positions(size)
    plan = Plan(size, minutes, checkpoint_steps, points, simulations, file, opponents, pairs)
    if plot is not None:
        check_picture(plot)
    _check_judges(plan)
    trials = learn(recipes, plan, seeds, folder, lambda line: click.echo(line, err=True))
    table = rows(recipes, trials, [target / 100 for target in targets or (90.0, 97.0)])
    if plot is not None:
        draw(trials, plan, plot)
    if as_json:
        click.echo(
            json.dumps({"trials": [trial._asdict() for trial in trials], "recipes": [row._asdict() for row in table]})
        )
    else:
        print_table(_table(table, plan))


def _recipes(written: tuple[str, ...], against: Path | None) -> list[Recipe]:
    from hexpipe.bench.against import check_checkout
    from hexpipe.bench.trial import Recipe

    recipes = []
    for text in written or ("default",):
        name, _, arguments = text.partition("=")
        try:
            words = tuple(shlex.split(arguments))
        except ValueError as error:
            raise UsageError(f"--recipe {text}: {error}", kind="syntax", setting="--recipe") from error
        recipes.append(Recipe(name, words))
    if against is not None:
        check_checkout(against)
        recipes.append(Recipe(against.resolve().name, (), against.resolve()))
    names = [recipe.name for recipe in recipes]
    for name in names:
        if not _NAME.fullmatch(name):
            problem = (
                f"--recipe {name!r}: a name has letters, digits and . + - _, as in often=--set learner.replay_ratio=12"
            )
            raise UsageError(problem, kind="syntax", setting="--recipe")
        if names.count(name) > 1:
            raise UsageError(f"two recipes are called {name}: name one otherwise", kind="conflict", setting="--recipe")
    return recipes


def _check_judges(plan: Plan) -> None:
    """Raise UsageError, before hours of training, where the positions or an opponent cannot judge."""
    from contextlib import ExitStack

    from hexpipe.arena.contestants import common_game, make_contestants
    from hexpipe.arena.solved_positions import read_positions

    for position in read_positions(plan.positions):
        size = position.board_size
        if size != plan.size:
            words = (
                f"{plan.positions}, line {position.line}: a position of {size}x{size}, the runs are of "
                f"{plan.size}x{plan.size}: name a file of their size"
            )
            raise UsageError(words, kind="board", setting="--positions", path=plan.positions)
    rules = common_game(plan.opponents, plan.size, swap=False)
    with ExitStack() as resources:
        make_contestants(plan.opponents, rules, resources)


def _table(rows: list[Row], plan: Plan) -> Table:
    targets, opponents = list(rows[0].seconds_to), list(rows[0].matches)
    columns = ["values right", "moves found", "net's values", "net's moves", "games", "evals a position", "processor s"]
    columns += [f"s to {100 * target:g} %" for target in targets] + [f"against {name}" for name in opponents]
    title = (
        f"{plan.size}x{plan.size}, {plan.minutes:g} minutes, a search of {plan.simulations}: mean (lowest to highest)"
    )
    table = make_table(title, ["recipe", "seeds"], columns)
    for row in rows:
        shares = [_percent(part) for part in (row.values, row.moves, row.net_values, row.net_moves)]
        figures = [_number(row.games), _number(row.evals_a_position, 1), _number(row.processor_seconds)]
        times = [_number(row.seconds_to[target]) for target in targets]
        table.add_row(
            row.recipe, str(row.seeds), *shares, *figures, *times, *(_percent(row.matches[o]) for o in opponents)
        )
    return table


def _percent(part: Spread) -> str:
    scaled: list[Any] = [None if value is None else 100 * value for value in part]
    return _number(type(part)(*scaled), 1)


def _number(part: Spread, digits: int = 0) -> str:
    if part.mean is None:
        return "-"
    mean, low, high = (f"{value:,.{digits}f}" for value in part if value is not None)
    return mean if low == high else f"{mean} ({low} to {high})"
