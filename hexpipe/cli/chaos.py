"""`hexpipe chaos`: a run through faults."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from hexpipe.cli._options import ANY_PATH, number_option


@click.command(context_settings={"ignore_unknown_options": True})
@number_option("--minutes", "How long.", click.FloatRange(min=0, min_open=True), 10.0, None)
@number_option("--every", "Seconds between faults.", click.FloatRange(min=0.1), 5.0, None)
@number_option("--seed", "Of the faults.", click.IntRange(min=0), 0, None)
@click.option("--run-dir", type=ANY_PATH, help="Keep the run here. Otherwise it is removed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on the last line.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    minutes: float, every: float, seed: int, run_dir: Path | None, as_json: bool, arguments: tuple[str, ...]
) -> int:
    """Try what a run survives: its processes are killed and stopped, its queues and its disk filled, its output and its
    archive taken away, and afterwards no committed game may be missing or there twice, and nothing else be left.

    An archive that is taken away is kept in the run folder, and its games count.

    ARGUMENTS are further ones of `hexpipe run`: hexpipe chaos -- --algorithm muzero
    """
    from hexpipe.chaos.chaos import chaos, check
    from hexpipe.processes.output import may_go_away

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    with may_go_away("stdout", "stderr"), tempfile.TemporaryDirectory(prefix="hexpipe-chaos-") as temporary:
        report = chaos(run_dir or Path(temporary) / "run", minutes, every, seed, arguments, say)
        click.echo(json.dumps(report) if as_json else _table(report))
    check(report)
    return 0


def _table(report: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{count} {name}" for name, count in value.items())
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

    width = max(map(len, report))
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {text(value)}" for name, value in report.items())
