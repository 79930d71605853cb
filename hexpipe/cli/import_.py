"""`hexpipe import`: games of other programs become games of a run, for training to learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hexpipe.cli._game_files import game_texts, swap_means_option, tell
from hexpipe.cli._options import ANY_PATH
from hexpipe.cli._progress import progress_bar
from hexpipe.cli._run_options import overrides_of, settings_options
from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.wording import counted


@click.command(
    epilog="""\b
Examples:
  hexpipe import games.sgf more.trmph --run-dir runs/mine --preset standard
  hexpipe train --resume runs/mine --workers 0 --steps 5000     learns from them alone
  hexpipe run --resume runs/mine --workers 4 --steps 0          plays on from there""",
)
@click.argument("sources", nargs=-1, metavar="[GAMES|FILES]...")
@click.option("--run-dir", type=ANY_PATH, metavar="RUN", help="Default: runs/<date-time>-<preset>.")
@swap_means_option
@click.option("--skip-bad", is_flag=True, help="Leave out what cannot be read or does not fit, and say how many.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object: what came in, what was left out.")
@settings_options
def command(
    sources: tuple[str, ...],
    run_dir: Path | None,
    swap_means: str,
    skip_bad: bool,
    as_json: bool,
    preset: str | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Bring games of Hex into a run: TRMPH, SGF (collections too), HexWorld links, JSON, lists of moves, one a line.

    RUN is a run, which keeps its settings, or a new one with those given here; its boards are as large as the games'.
    Each game is played by the rules and needs a result: what its text says, or stones that connect. One that is there
    already, or comes again, is left out and counted. If a game cannot be used, none is imported, unless --skip-bad.
    """
    from hexpipe.bulk.game_import import board_size_of, import_games, keep_fitting, read_games
    from hexpipe.run_folder import RunFolder, default_run_folder, read_settings, resume_arguments

    overrides = overrides_of(options, assignments)
    known = run_dir if run_dir is not None and (run_dir / "settings.json").is_file() else None
    if known is not None:
        given = [*(["--preset"] if preset is not None else []), *overrides]
        if given:
            words = f"{known} has settings of its own: leave out {', '.join(given)}, or name a new run"
            raise SettingsError(words, kind="conflict", setting=given[0])
        settings = read_settings(known)
        size: int | None = settings.game.board_size
    else:
        settings = load_settings(preset or "quick", overrides)
        size = overrides.get("game.board_size")
    texts = game_texts(sources)
    with progress_bar() as bar:
        found = read_games(bar.track(texts, description="reading"), size, skip_bad, swap_means)
        if size is None:
            settings = load_settings(preset or "quick", {**overrides, "game.board_size": board_size_of(found)})
        keep_fitting(found, settings.game, skip_bad)
        path = run_dir or default_run_folder(settings.preset)
        with RunFolder.open(path, resume=known is not None) as folder:
            done = import_games(folder, settings, found, lambda new: bar.track(new, description="importing"))
    tell(found.notes)
    refused, held = found.refused, settings.replay.max_games
    if refused:
        tell([f"{len(refused):,} of {counted(len(texts), 'game')} left out", *refused])
    if as_json:
        click.echo(json.dumps({"run": str(path), **done._asdict(), "refused": refused}))
        return
    before = done.duplicates - done.repeats
    click.echo(
        f"{counted(done.games, 'game')} ({counted(done.positions, 'position')}) of {settings.game.title} into {path}; "
        + (f"{before:,} {'was' if before == 1 else 'were'} there already; " if before else "")
        + (f"{done.repeats:,} came again in the input; " if done.repeats else "")
        + f"{counted(done.total_games, 'game')} in all"
    )
    if done.total_games > held:
        click.echo(f"training holds the newest {held:,} of them (replay.max_games)")
    there = resume_arguments(path, settings)
    click.echo(f"learn from them alone: hexpipe train {there} --workers 0 --steps 1000")
    click.echo(f"then play on from there: hexpipe run {there} --workers 4 --steps 0")
