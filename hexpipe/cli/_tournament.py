"""Parts that `hexpipe match` and `hexpipe tournament` share: playing on until it is decided, and showing how it
stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from hexpipe.cli._options import FILE, number_option, stacked
from hexpipe.cli._progress import progress_bar
from hexpipe.cli._run_options import own_game_option
from hexpipe.cli._tables import make_table
from hexpipe.wording import counted

if TYPE_CHECKING:
    from hexpipe.arena.results import Results
    from hexpipe.arena.tournament import Tournament


_MOST_PAIRS = 100
_PAIRS = (
    "Pairs of games between two players at most, each of one opening, colours swapped; default: "
    f"{_MOST_PAIRS}, or a pair for each of --openings."
)
_OPENINGS = (
    "Begin pair after pair with the next game of a file (a line a game, or SGF), and not at random; pairs in --results "
    "count as its first."
)
_MARGIN = "A match ends once it is clear which side of this margin the players are."
_ERROR = "Chance of ending it wrongly; 0 plays all pairs."
tournament_options = stacked(
    click.option("--pairs", type=click.IntRange(1), metavar="N", help=_PAIRS),
    click.option("--openings", type=FILE, metavar="FILE", help=_OPENINGS),
    number_option("--opening-plies", "Random plies that a pair begins with.", click.IntRange(0), 2),
    number_option("--simulations", "Simulations a move of every net; default: those of its run.", click.IntRange(2)),
    number_option("--size", "Cells along a side; default: the first checkpoint's.", click.INT),
    click.option("--swap/--no-swap", default=None, help="The swap rule; default: the first checkpoint's."),
    number_option("--margin", _MARGIN, click.FloatRange(0, min_open=True), 20.0, metavar="ELO"),
    number_option("--error", _ERROR, click.FloatRange(0, 0.5, max_open=True), 0.05, None),
    click.option(
        "--results", type=FILE, metavar="FILE", help="SQLite file that the games are added to; those in it count."
    ),
    click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda:0, ..."),
    number_option("--seed", "Of openings and players.", click.IntRange(0), 0, metavar=None),
    own_game_option,
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)
"""Options of both commands."""


def begin(
    specs: Sequence[str], options: Mapping[str, Any], round_pairs: int, resources: ExitStack
) -> tuple[Tournament, Results | None, str]:
    """Return the tournament that the options describe, with the games that its results file has already, and its
    rules."""
    from hexpipe.arena.contestants import common_game, make_contestants, split_name
    from hexpipe.arena.results import Results
    from hexpipe.arena.tournament import Plan, Tournament
    from hexpipe.errors import UsageError
    from hexpipe.games.factory import make_game
    from hexpipe.nets.box import BOX, BOX_NAME, net_in_words
    from hexpipe.nets.checkpoints import load_checkpoint
    from hexpipe.selfplay.openings import read_openings

    rules = common_game(specs, options["size"], options["swap"])
    if BOX_NAME in [player for _, player in map(split_name, specs)]:
        click.echo(f"{BOX_NAME} is {net_in_words(load_checkpoint(BOX, groups=()))}", err=True)
    game = make_game(rules)
    listed = options["openings"]
    openings = () if listed is None else read_openings(listed, game)
    pairs = options["pairs"] or len(openings) or _MOST_PAIRS
    if openings and pairs > len(openings):
        words = f"{listed} has {counted(len(openings), 'opening')} for {pairs} pairs: name more, or ask for fewer"
        raise UsageError(words, kind="range", setting="--pairs", path=listed)
    file = options["results"]
    results = None if file is None else resources.enter_context(Results(file.resolve()))
    contestants = make_contestants(specs, rules, resources, options["simulations"], options["device"], options["seed"])
    plan = Plan(pairs, min(round_pairs, pairs), options["opening_plies"], options["margin"], options["error"], openings)
    tournament = Tournament(game, contestants, plan, options["seed"])
    if results is not None:
        names = [contestant.name for contestant in contestants]
        tournament.units += results.units(rules.title, names)
        tournament.forfeits.update(results.forfeits(rules.title, names))
    return tournament, results, rules.title


def play_out(tournament: Tournament, results: Results | None, rules: str, quiet: bool) -> None:
    """Play round after round until nothing is open; every round's games go to ``results`` as they are done."""
    with progress_bar(hidden=quiet) as bar:
        task = bar.add_task("games", total=None)
        done = 0

        def on_progress(over: int) -> None:
            bar.update(task, completed=done + over)

        while open_pairs := tournament.open_pairs():
            most = sum(2 * (tournament.plan.pairs - len(tournament.between(a, b))) for a, b in open_pairs)
            bar.update(task, total=done + most)
            units = tournament.play_round(on_progress)
            done += sum(map(len, units))
            if results is not None:
                results.add_units(rules, units)


def rating_table(tournament: Tournament, anchor: int) -> Table:
    """Return the players by rating, with errors and scores."""
    from hexpipe.arena.tournament import crosstable

    ratings, cross = tournament.ratings(anchor), crosstable(tournament)
    title = counted(sum(unit.games for unit in tournament.units), "game")
    table = make_table(title, ["player"], ["Elo", "+/-", "points", "games"])
    for number in by_rating(tournament, anchor):
        rating, row = ratings[number], cross[number]
        points, games = sum(score for score, _ in row), sum(count for _, count in row)
        error = "anchor" if number == anchor else f"{1.96 * rating.error:.0f}"
        table.add_row(tournament.contestants[number].name, f"{rating.elo:.0f}", error, f"{points:g}", f"{games}")
    return table


def forfeits(tournament: Tournament) -> list[str]:
    """Return a line for each player that could not go on in some of its games, with what it did the last time."""
    lines = []
    for name, player in tournament.contestants:
        if count := tournament.forfeits[name]:
            failures = getattr(player, "failures", [])
            why = f", the last time because {failures[-1]}" if failures else ""
            lines.append(f"{name} forfeited {count} game{'s' * (count != 1)}{why}")
    return lines


def cross_table(tournament: Tournament, anchor: int) -> Table:
    """Return how many points each took from each, the best first."""
    from hexpipe.arena.tournament import crosstable

    order, cross = by_rating(tournament, anchor), crosstable(tournament)
    table = make_table("points against each other", [""], [f"{place + 1}" for place in range(len(order))])
    for place, number in enumerate(order):
        cells = [f"{cross[number][other][0]:g}/{cross[number][other][1]}" for other in order]
        cells[place] = "-"
        table.add_row(f"{place + 1} {tournament.contestants[number].name}", *cells)
    return table


def by_rating(tournament: Tournament, anchor: int) -> list[int]:
    """Return the numbers of the players, the highest rating first."""
    ratings = tournament.ratings(anchor)
    return sorted(range(len(ratings)), key=lambda number: -ratings[number].elo)


def as_json(tournament: Tournament, anchor: int, rules: str) -> dict[str, Any]:
    """Return everything of `rating_table` and `cross_table`; ratings without games are null."""
    from hexpipe.arena.tournament import crosstable

    ratings = tournament.ratings(anchor)
    return {
        "game": rules,
        "games": sum(unit.games for unit in tournament.units),
        "anchor": tournament.contestants[anchor].name,
        "players": [
            {
                "name": contestant.name,
                "elo": None if math.isnan(rating.elo) else rating.elo,
                "error": None if math.isnan(rating.error) else rating.error,
                "forfeits": tournament.forfeits[contestant.name],
            }
            for contestant, rating in zip(tournament.contestants, ratings, strict=True)
        ],
        "crosstable": crosstable(tournament),
    }
