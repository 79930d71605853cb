"""`hexpipe games`: the games of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from hexpipe.cli._game_files import write_text
from hexpipe.cli._options import ANY_PATH, FILE
from hexpipe.cli._progress import progress_bar
from hexpipe.cli._run_options import own_game_option
from hexpipe.cli._tables import print_table
from hexpipe.cli.convert import WRITERS
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.games.game_env import Game
    from hexpipe.replay.archive import ReplayArchive
    from hexpipe.replay.game_list import ListedGame

_SHOWN = 20
_VERSIONS = "Played by these weights (training steps + 1)."
_SINCE = "Committed at this local time or later."
_FORMS = ("trmph", "sgf", "hexworld", "moves", "json")


def _range(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int | None, int | None]:
    """Read a number, or two with a colon between them, either of which may be missing."""
    low, colon, high = (text or ":").partition(":")
    try:
        first, last = (int(end) if end else None for end in (low, high if colon else low))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no range: write 40, 40:60, 40: or :60", ctx, param) from None
    return first, last


def _winner(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Read a seat, or "draw"."""
    from hexpipe.replay.game_list import DRAW

    if text is None or text == "draw":
        return None if text is None else DRAW
    if not (text.isdecimal() and int(text) <= 2):
        raise UsageError(f"--winner {text}: name a seat (0, 1 or 2), or draw")
    return int(text)


def _time(ctx: click.Context, param: click.Parameter, when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()


@click.command(
    epilog="""\b
Examples:
  hexpipe games runs/NAME --newest 5
  hexpipe games runs/NAME --winner 1 --plies :30 --count
  hexpipe games runs/NAME --version 2000: --to sgf --output strong.sgf""",
)
@click.argument("run", type=ANY_PATH)
@click.option("--newest", type=click.IntRange(min=1), help=f"So many at the most, the newest; shown without: {_SHOWN}.")
@click.option("--winner", metavar="SEAT", callback=_winner, help="Won by this seat, from 0; or draw.")
@click.option("--size", "board_size", type=int, help="On boards of this size.")
@click.option("--plies", metavar="FROM:TO", callback=_range, help="As long as this.")
@click.option(
    "--version", "versions", metavar="FROM:TO", callback=_range, help="Played by these weights (training steps + 1)."
)
@click.option("--since", type=click.DateTime(), callback=_time, metavar="DATE[ TIME]", help=_SINCE)
@click.option("--session", type=int, help="Of this part of the run: 0, one more with each resume.")
@click.option("--worker", type=int, help="Of this worker.")
@click.option("--settings", metavar="SHA256", help="Played under these settings; the first characters are enough.")
@click.option("--to", "form", type=click.Choice(_FORMS), help="Write the games themselves.")
@click.option("--output", type=FILE, metavar="FILE", help="Write to FILE.")
@click.option("--count", is_flag=True, help="Only how many there are.")
@click.option("--json", "as_json", is_flag=True, help="List them as a JSON object a line.")
@own_game_option
def command(
    run: Path, newest: int | None, form: str | None, output: Path | None, count: bool, as_json: bool, **filters: Any
) -> None:
    """List the games of RUN, count them, or write them to a file that `hexpipe import` and other programs read.

    The run may be at work. TRMPH, SGF and HexWorld links are for Hex; lists of moves and JSON for every game.
    """
    from hexpipe.games.factory import make_stages
    from hexpipe.replay.archive import ReplayArchive
    from hexpipe.replay.game_list import GameFilter, find_games
    from hexpipe.run_folder import ARCHIVE_NAME, read_settings

    stages = make_stages(read_settings(run))
    if not (run / ARCHIVE_NAME).exists():
        raise UsageError(f"{run} has no archive of games yet: let it play first")
    if form is not None and form not in ("moves", "json") and stages[0].name != "hex":
        raise UsageError(f"{form} is for Hex: write these games --to moves or --to json")
    lists = form is None and not (count or as_json)
    with ReplayArchive(run / ARCHIVE_NAME, stages, read_only=True) as archive:
        found = find_games(archive, GameFilter(**filters), _SHOWN if lists and newest is None else newest)
        if form is not None:
            write_text("\n".join(_texts(archive, stages, found, form)) + "\n" if found else "", output)
        elif count:
            write_text(f"{len(found)}\n", output)
        elif as_json:
            write_text("".join(json.dumps(game._asdict()) + "\n" for game in found), output)
        else:
            print_table(_table(found, f"newest of the {archive.total_games:,} games of {run}"))


def _texts(archive: ReplayArchive, stages: Sequence[Game], found: list[ListedGame], form: str) -> Iterator[str]:
    from hexpipe.games.board_moves import move_names
    from hexpipe.notation import format_conversion as notation
    from hexpipe.replay.game_list import moves_of_record

    with progress_bar() as bar:
        for listed in bar.track(found, description="reading"):
            record = archive.read(listed.number)
            moves = moves_of_record(stages, record)
            game = next(stage for stage in stages if stage.board_size == record.board_size)
            names = move_names(game, moves)
            if form == "moves":
                yield " ".join(names)
            elif form == "json":
                values = [round(float(value), 4) for value in record.outcome]
                yield json.dumps({**listed._asdict(), "game": record.game, "moves": names, "outcome": values})
            else:
                yield WRITERS[form](notation.HexGame(record.board_size, tuple(moves), _colour(moves, listed)))


def _colour(moves: list[int], listed: ListedGame) -> int | None:
    """Return the colour that won: after a swap the seats have changed theirs."""
    swapped = listed.board_size**2 in moves
    return None if listed.winner is None else listed.winner ^ swapped


def _table(found: list[ListedGame], title: str) -> Table:
    table = Table(title=title)
    for name in ("game", "committed", "board", "plies", "winner", "weights", "session", "worker", "settings"):
        table.add_column(name, justify="left" if name in ("committed", "settings") else "right")
    for game in found:
        when = "-" if game.committed is None else f"{datetime.fromtimestamp(game.committed):%Y-%m-%d %H:%M:%S}"
        known = ["-" if value is None else f"{value}" for value in (game.session, game.worker)]
        winner = "draw" if game.winner is None else f"seat {game.winner}"
        weights = "imported" if game.weights_version < 0 else f"{game.weights_version:,}"
        table.add_row(
            f"{game.number:,}", when, f"{game.board_size}", f"{game.plies}", winner, weights, *known,
            (game.settings or "-")[:12],
        )  # fmt: skip
    return table
