"""`hexpipe settings`: every setting, what it is in a preset, and what it does."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table

from hexpipe.cli._run_options import import_named_game
from hexpipe.cli._tables import print_table
from hexpipe.config import PRESETS, GameOptions, GameSettings, Settings, flatten, new_run_settings
from hexpipe.errors import UsageError
from hexpipe.games.own_games import options_model


@click.command(
    epilog="""\b
Examples:
  hexpipe settings search             what the search can be told
  hexpipe settings --preset large --algorithm muzero
  hexpipe settings --game mygames.drop:Drop game.     what your own game can be told
A value as it is shown is one that --set takes: hexpipe run --set 'search.phase_plies=[20,60]'""",
)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--preset", default="quick", show_default=True, metavar="NAME", help=f"{', '.join(PRESETS)}.")
@click.option("--algorithm", metavar="NAME", help="alphazero or muzero, which sets some others.")
@click.option(
    "--game", metavar="NAME", help="Of game.KEY, those of hex, inarow or your own package.module:Class alone."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: name to value and description.")
def command(words: tuple[str, ...], preset: str, algorithm: str | None, game: str | None, as_json: bool) -> None:
    """List the settings that have a WORD in their names, or all of them.

    SCALABILITY.md has their ranges too, and what bounds them.
    """
    asked = {"algorithm": algorithm, "game.name": game}
    overrides = {name: value for name, value in asked.items() if value is not None}
    settings = import_named_game(new_run_settings(preset, overrides), overrides)
    values = flatten(settings)
    chosen = {
        name: {"value": values[name], "description": text}
        for name, text in descriptions(options_model(settings.game) if game else GameSettings).items()
        if not words or any(word in name for word in words)
    }
    if not chosen:
        raise UsageError(f"no setting has {' or '.join(words)} in its name: `hexpipe settings` lists them all")
    if as_json:
        click.echo(json.dumps(chosen))
        return
    table = Table("setting", preset, "what it does", title="settings")
    table.columns[0].no_wrap = True
    for name, about in chosen.items():
        table.add_row(name, shown(about["value"]), about["description"])
    print_table(table)


def descriptions(game: type[GameOptions] = GameSettings) -> dict[str, str]:
    """Return what each setting is for, by its dotted name; of a game those that its model has."""
    found: dict[str, str] = {}
    for section, outer in Settings.model_fields.items():
        fields = getattr(game if section == "game" else outer.annotation, "model_fields", None)
        for name, info in ({"": outer} if fields is None else fields).items():
            found[f"{section}.{name}" if name else section] = str(info.description)
    return found


def shown(value: Any) -> str:
    """Return a value as --set takes it."""
    if value is None or isinstance(value, bool):
        return {None: "unset", True: "on", False: "off"}[value]
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (list, tuple)) else str(value)
