"""`hexpipe solve`: exact results of small Hex positions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from hexpipe.cli._game_files import write_text
from hexpipe.cli._options import FILE, number_option
from hexpipe.errors import IllegalMoveError, UsageError
from hexpipe.games.factory import make_game, make_stages, plays_hex
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import (
    MAX_SOLVER_SIZE,
    HexSolver,
    LabelledPosition,
    label,
    positions_of_games,
    random_positions,
)
from hexpipe.games.player_utils import COLOURS
from hexpipe.notation.format_conversion import column_name, format_moves, parse_moves
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, read_settings
from hexpipe.wording import counted

_NEWEST_GAMES = 2000
_LABEL = "Write solved positions of random play instead, one JSON object a line."
_EFFORT = "Positions that may be judged for each move, some 300,000 a second; default: 2,000,000 on 7x7 and 8x8."
_FROM = f"Take positions of the run's newest {_NEWEST_GAMES} games, for --label."


@click.command(
    epilog="""\b
Examples:
  hexpipe solve --size 5 a1 c3
  hexpipe solve --size 4 --moves "b2 c3" --json
  hexpipe solve --size 5 --label positions.jsonl --count 1000 --seed 1
  hexpipe solve --label selfplay.jsonl --from runs/mine --count 500""",
)
@click.argument("cells", nargs=-1, metavar="[MOVES]...")
@click.option("--size", type=int, default=5, show_default=True, metavar="N", help="Cells along a side, 3 to 8.")
@click.option("--moves", default="", metavar="LIST", help='Moves so far in one text, such as "a1 c3"; black is first.')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--label", "file", type=FILE, metavar="FILE", help=_LABEL)
@click.option("--from", "run", type=click.Path(file_okay=False, path_type=Path), metavar="RUN", help=_FROM)
@number_option("--count", "How many, for --label.", click.IntRange(1), 1000)
@number_option("--seed", "Which ones, for --label.", click.IntRange(0), 0)
@number_option("--effort", _EFFORT, click.IntRange(1))
def command(
    cells: tuple[str, ...],
    size: int,
    moves: str,
    as_json: bool,
    file: Path | None,
    run: Path | None,
    count: int,
    seed: int,
    effort: int | None,
) -> None:
    """Solve a Hex position: who wins, and with which moves.

    Black moves first and connects top to bottom, white left to right; a1 is top left. No swap.
    """
    text = " ".join([moves, *cells]).strip()
    if file is not None:
        if text:
            raise UsageError("--label takes positions of random play or of a run; leave the moves away")
        if run is None:
            _write_labels(file, size, random_positions(size, count, seed, effort))
        else:
            size, games = _games_of(run)
            _write_labels(file, size, positions_of_games(size, games, count, seed, effort))
        return
    if run is not None:
        raise UsageError("--from goes with --label FILE: the positions of a run are written to a file")
    solver = HexSolver(size, effort)
    try:
        solved = label(solver, parse_moves(text, size))
    except IllegalMoveError as error:
        raise UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps(solved.as_json(size)))
    else:
        Console(highlight=False).print(_picture(solved, size), soft_wrap=True)


def _games_of(run: Path) -> tuple[int, list[NDArray[np.int16]]]:
    """Return the board size of a run and the moves of its newest games."""
    settings = read_settings(run)
    title = settings.game.title
    known = plays_hex(settings.game) and settings.game.board_size <= MAX_SOLVER_SIZE and not settings.game.swap
    if not known:
        largest = f"{MAX_SOLVER_SIZE}x{MAX_SOLVER_SIZE}"
        raise UsageError(f"{run} plays {title}, which no solver knows: name a run of Hex to {largest} without swap")
    game = make_game(settings.game)
    if not (run / ARCHIVE_NAME).exists():
        raise UsageError(f"{run} has no archive of games; name the folder of a run that has played")
    with ReplayArchive(run / ARCHIVE_NAME, make_stages(settings), read_only=True) as archive:
        newest = archive.newest(_NEWEST_GAMES, 1, lambda plies, policy_bytes: 0, [game.board_size])
        games = [record.actions for _, record in newest]
    if not games:
        raise UsageError(f"{run} has no finished game yet; let it play first")
    return game.board_size, games


def _write_labels(file: Path, size: int, positions: Iterator[LabelledPosition]) -> None:
    lines = [json.dumps(position.as_json(size)) + "\n" for position in positions]
    write_text("".join(lines), file)
    written = counted(len(lines), f"solved {size}x{size} position")
    click.echo(f"{written} written to {file}")


def _picture(solved: LabelledPosition, size: int) -> Text:
    """Return the board with a + on each move that wins and a - on each that loses."""
    mover, other = COLOURS[solved.to_move], COLOURS[1 - solved.to_move]
    text = Text("   " + " ".join(column_name(column) for column in range(size)) + "\n", style="default")
    cells = Hex(size).play(solved.moves).cells[0].reshape(size, size)
    for row in range(size):
        text.append(" " * row + f"{row + 1:>2} ")
        for column in range(size):
            stone = cells[row, column]
            if stone:
                text.append("XO"[stone - 1], style=("bold red", "bold blue")[stone - 1])
            elif row * size + column in solved.winning_moves:
                text.append("+", style="bold green")
            else:
                text.append("-", style="dim")
            text.append(" ")
        text.append("\n")
    text.append("\nX black (top to bottom), O white (left to right), + winning, - losing move\n", style="dim")
    if solved.winning_moves:
        count = len(solved.winning_moves)
        text.append(f"{mover} to move wins with {count} of {counted(size**2 - len(solved.moves), 'move')}: ")
        text.append(format_moves(solved.winning_moves, size), style="bold green")
    else:
        text.append(f"{mover} to move loses: {other} wins against every move")
    return text
