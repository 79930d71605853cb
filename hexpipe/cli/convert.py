"""`hexpipe convert`: games of Hex from any notation into any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from hexpipe.cli._game_files import game_texts, swap_means_option, tell, write_text
from hexpipe.cli._options import FILE
from hexpipe.cli._progress import progress_bar
from hexpipe.errors import NotationError, UsageError
from hexpipe.games.hex import checked_game
from hexpipe.notation import format_conversion as notation
from hexpipe.notation.game_texts import as_document
from hexpipe.notation.hex_sgf import DIALECTS
from hexpipe.wording import counted

WRITERS: dict[str, Callable[[notation.HexGame], str]] = {
    "trmph": notation.to_trmph,
    "sgf": notation.to_sgf,
    "hexworld": notation.to_hexworld,
    "moves": notation.to_moves,
    "json": notation.to_json,
    "ascii": lambda game: notation.render(notation.cells_from_moves(game.moves, game.size), game.size),
}


@click.command(
    epilog="""\b
Examples:
  hexpipe convert "https://hexworld.org/board/#11c1,a2:sf6" --to sgf
  hexpipe convert games.sgf more.trmph --to trmph --output all.trmph --skip-bad
  hexpipe convert --size 5 "1. a1 2. c3 3. b2" --to ascii
  hexpipe convert games.sgf --dialect hexgui-0.9 --output for-hexgui.sgf""",
)
@click.argument("games", nargs=-1, metavar="[GAMES|FILES]...")
@click.option("--to", "form", type=click.Choice(list(WRITERS)), default="sgf", show_default=True, help="What to write.")
@click.option("--size", type=int, metavar="N", help="Cells along a side, for plain lists of moves.")
@swap_means_option
@click.option("--dialect", type=click.Choice(DIALECTS), help="Write SGF as a program reads it that knows less of it.")
@click.option("--output", type=FILE, metavar="FILE", help="Write to FILE.")
@click.option("--skip-bad", is_flag=True, help="Leave out what cannot be read or written, and say how many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each game: its place, moves, text.")
def command(
    games: tuple[str, ...],
    form: str,
    size: int | None,
    swap_means: str,
    dialect: str | None,
    output: Path | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Convert games of Hex between TRMPH, SGF, HexWorld links, JSON and lists of moves.

    Games come from the arguments, from files (a game a line, or a collection in SGF), or from standard input. Files
    are UTF-8, or what their byte order mark or CA says; others are taken where it cannot matter what they are. Each
    game is played by the rules; its result is kept where the form has words for it. If a game cannot be read or
    written, nothing is written, unless --skip-bad.
    """
    if dialect is not None and form != "sgf":
        raise UsageError(f"--dialect is of SGF, and this is --to {form}: leave one of them out")
    write = WRITERS[form] if dialect is None else partial(notation.to_sgf, dialect=dialect)
    sources = game_texts(games)
    bad: list[str] = []
    notes: list[str] = []
    texts: list[str] = []
    with progress_bar() as bar:
        for source in bar.track(sources, description="converting"):
            try:
                game = checked_game(notation.read_game(source.text, size, swap_means=swap_means))
                text = write(game)
            except NotationError as error:
                if not skip_bad:
                    hint = "; --skip-bad leaves such games out" if len(sources) > 1 else ""
                    raise UsageError(f"{source.place}: {error}{hint}") from error
                bad.append(f"{source.place}: {error}")
                continue
            notes += [f"{source.place}: {note}" for note in game.notes]
            facts = {"source": source.place, **as_document(game), "notes": game.notes, "to": form, "text": text}
            texts.append(json.dumps(facts) if as_json else text)
    if not texts:
        raise UsageError(f"none of {counted(len(sources), 'game')} could be converted; the first: {bad[0]}")
    write_text(("\n\n" if form == "ascii" and not as_json else "\n").join(texts) + "\n", output)
    tell(notes)
    if bad:
        tell([f"{len(bad):,} of {counted(len(sources), 'game')} left out", *bad])
