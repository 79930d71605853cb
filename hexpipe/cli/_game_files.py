"""Games from the arguments of a command, from files, or from standard input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from hexpipe.cli._streams import standard_input
from hexpipe.errors import NotationError, UsageError
from hexpipe.notation.game_sources import games_in
from hexpipe.notation.game_texts import SWAP_MEANINGS, GameText
from hexpipe.plain_files import write_output

_MOST_SHOWN = 5
_FILE_NAME = re.compile(r"[^\s()#,;:]*\.(sgf|hsgf|trmph|txt|json|jsonl|hexworld)", re.IGNORECASE)
"""No game in any notation looks so."""


swap_means_option = click.option(
    "--swap-means",
    type=click.Choice(SWAP_MEANINGS),
    default="sides",
    show_default=True,
    help='What "swap" is in lists of moves: stones stay, or the stone is turned over (OpenSpiel, pgx).',
)


def game_texts(arguments: Sequence[str]) -> list[GameText]:
    """Return every game that ``arguments`` (games, files, or "-") name, unread; UsageError where there is none."""
    texts = [text for number, argument in enumerate(arguments or ("-",), start=1) for text in _texts(number, argument)]
    if not texts:
        raise UsageError("there is no game in the input; give games, or files that hold some")
    return texts


def tell(lines: Sequence[str]) -> None:
    """Print the first of ``lines`` on standard error, and how many more there are."""
    for line in lines[: _MOST_SHOWN + 1]:
        click.echo(f"hexpipe: {line}", err=True)
    if len(lines) > _MOST_SHOWN + 1:
        click.echo(f"hexpipe: and {len(lines) - _MOST_SHOWN - 1} more", err=True)


def write_text(text: str, output: Path | None) -> None:
    """Write a file whole or not at all; to standard output where none is named. UsageError if it cannot be."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_output(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}); name another file") from error


def _texts(number: int, argument: str) -> Iterator[GameText]:
    if argument == "-":
        yield from _games("standard input", standard_input())
    elif _exists(path := Path(argument)):
        try:
            with path.open("rb") as stream:
                yield from _games(str(path), stream)
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}); name a file of games") from error
    elif _FILE_NAME.fullmatch(argument):
        raise UsageError(f"there is no file {argument}: name one that there is, or give the game itself")
    else:
        yield GameText(f"argument {number}", argument)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a game may be longer than any name can be
        return False


def _games(name: str, stream: BinaryIO) -> list[GameText]:
    """Return the games of a file."""
    try:
        return [GameText(f"{name}, line {piece.line}", piece.text) for piece in games_in(stream)]
    except NotationError as error:
        raise UsageError(f"{name}: {error}") from error
