"""`hexpipe memory-report`: where the memory of a run goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hexpipe.cli._options import ANY_PATH
from hexpipe.cli._run_options import import_named_game, overrides_of, settings_options
from hexpipe.errors import RunFolderError


@click.command()
@click.argument("run_dir", metavar="[RUN]", type=ANY_PATH, required=False)
@click.option("--estimate", is_flag=True, help="Say what the given settings would take; allocates nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def command(
    run_dir: Path | None,
    estimate: bool,
    as_json: bool,
    preset: str | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Show the memory of a live run: its shared segments field by field, its budget, each process's own memory.

    RUN is a run folder, or a folder of such; default: runs, where the newest live run is taken. With no live run, or
    with --estimate or any setting, it is an estimate for these settings. Looking does a run no harm.
    """
    from hexpipe.config import new_run_settings
    from hexpipe.pipeline.memory_report import estimated_report, find_live_run, live_report

    overrides = overrides_of(options, assignments)
    wants_estimate = estimate or preset is not None or bool(overrides)
    if wants_estimate and run_dir is not None:
        raise click.UsageError("name a run or give settings, not both")
    live = None if wants_estimate else find_live_run(run_dir or Path("runs"))
    if live is None and run_dir is not None:
        raise RunFolderError(
            f"no run is at work in {run_dir}; without a folder you get an estimate", kind="missing", path=run_dir
        )
    if live is not None:
        report = live_report(live)
    else:
        settings = import_named_game(new_run_settings(preset or "quick", overrides), overrides)
        report = estimated_report(settings)
    if as_json:
        click.echo(json.dumps(report))
        return
    if live is None and not wants_estimate:
        click.echo("No run is at work in runs: this is an estimate for the preset quick.")
    _show(report)


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    from hexpipe.cli._tables import print_table

    shared = Table("segment", "field", "size", title="shared memory", title_justify="left")
    shared.columns[2].justify = "right"
    for segment in report["segments"]:
        shared.add_row(segment["name"], "", human(segment["bytes"]))
        for field, size in segment.get("fields", {}).items():
            shared.add_row("", field, human(size))
    shared.add_row("all", "", human(report["shared_bytes"]))
    print_table(shared)
    processes = Table("process", "own", "shared", title="processes", title_justify="left")
    for process in report["processes"]:
        name = process.get("name") or f"{process['count']} x {process['role']}"
        own = process["own_bytes"] * process.get("count", 1)
        processes.add_row(name, human(own), human(process["shared_bytes"]) if "shared_bytes" in process else "")
    processes.columns[1].justify = processes.columns[2].justify = "right"
    processes.add_row("all", human(report["own_bytes"]), "")
    print_table(processes)
    for line in _sentences(report):
        click.echo(line)


def _sentences(report: dict[str, Any]) -> list[str]:
    engram = f"engram: {human(report['engram_bytes'])} of the learner and each inference server, twice in the weights"
    memory = [engram] if report["engram_bytes"] else []
    if report.get("estimate"):
        pools = (("inference", report["latent_pool_bytes"]), ("league", report["league_pool_bytes"]))
        return [
            *(f"latents: {human(size)} of each {role} server, on its device" for role, size in pools if size),
            *memory,
            f"replay: budget {human(report['budget_bytes'])}; at least {report['games_at_least']:,} games of "
            f"{human(report['largest_game_bytes'])} at most",
            _total(report),
        ]
    replay = report["replay"]
    return [
        f"run: {report['run']} (process {report['pid']})",
        f"replay: {replay['games']:,} games and {replay['positions']:,} positions now, {replay['total_games']:,} and "
        f"{replay['total_positions']:,} in all; {replay['bytes_per_position']:.0f} bytes a position",
        f"replay: {human(replay['total_bytes'])} of a budget of {human(replay['budget_bytes'])}, ring "
        f"{human(replay['used_bytes'])} of {human(replay['capacity_bytes'])} used",
        *memory,
        "in the ring: " + ", ".join(f"{name} {human(size)}" for name, size in replay["sections"].items()),
        _total(report),
    ]


def _total(report: dict[str, Any]) -> str:
    parts = f"{human(report['shared_bytes'])} shared, {human(report['own_bytes'])} own"
    return f"in all about {human(report['total_bytes'])} ({parts}); {human(report['available_bytes'])} free here"


def human(size: float) -> str:
    """Show bytes in a unit that suits them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.{1 if size < 100 * scale else 0}f} {unit}"
    return f"{size:.0f} B"
