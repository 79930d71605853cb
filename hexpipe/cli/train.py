"""`hexpipe train`: train in one process, reproducibly."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hexpipe import kernel_cache
from hexpipe.cli._run_options import SETTINGS_HINT, run_options, run_request
from hexpipe.config import LimitSettings
from hexpipe.config.limits import share_done
from hexpipe.wording import counted

if TYPE_CHECKING:
    from hexpipe.pipeline.train import TrainProgress

_LINE_SECONDS = 5.0


@click.command(epilog=SETTINGS_HINT)
@run_options
def command(**options: Any) -> int:
    """Train in one process, without prefetch: the same result, bit for bit, from the same --seed.

    Slower than `hexpipe run`, whose parts it uses in turn; --servers means nothing here, nor --workers but for 0
    (nothing is played). Two runs are the same if they end by --steps or --games (--minutes ends wherever the clock has
    it). Ctrl-C ends with a checkpoint.
    """
    from hexpipe.nets.checkpoints import latest_checkpoint
    from hexpipe.pipeline.train import train
    from hexpipe.processes.child import logging_to
    from hexpipe.processes.interrupts import Interrupts
    from hexpipe.processes.output import may_go_away
    from hexpipe.run_folder import RunFolder, check_resume, read_settings, resume_arguments

    request = run_request(**options)
    settings, path = request.settings, request.run_dir
    if request.resume:
        check_resume(read_settings(path), settings, latest_checkpoint(path) is not None)
    kernel_cache.need(*kernel_cache.to_train(settings.game.name, settings.algorithm))
    with (
        Interrupts() as interrupts,
        may_go_away("stdout", "stderr"),
        RunFolder.open(path, resume=request.resume) as folder,
        logging_to(folder.path),
    ):
        click.echo(f"training in {path}")
        with _progress(settings.limits) as on_progress:
            end = train(settings, folder, request.init_from, on_progress, interrupts.asked, click.echo)
        go_on = f"go on with: hexpipe train {resume_arguments(path, settings)}"
        click.echo(f"{counted(end.games, 'game')}, {counted(end.steps, 'step')} in {end.elapsed:.0f} s; {go_on}")
    return 0


def describe_progress(progress: TrainProgress) -> str:
    """Return where training stands, in one line."""
    counts = ((progress.games, "game"), (progress.positions, "position"), (progress.steps, "step"))
    line = ", ".join(counted(number, noun) for number, noun in counts)
    if progress.losses:
        losses = progress.losses
        line += (
            f", policy loss {losses['policy_loss']:.3f} (KL {losses['policy_kl']:.3f}), value loss "
            f"{losses['value_loss']:.3f}, value sign {losses['value_sign_accuracy']:.0%}"
        )
    if progress.league_games:
        line += f", league {progress.league_share:.2f} of last {progress.league_games}"
    if progress.stage:
        line += f", {progress.stage}"
    return line


@contextmanager
def _progress(limits: LimitSettings) -> Iterator[Callable[[TrainProgress], None]]:
    """Show a progress bar on a terminal, a plain line every few seconds elsewhere."""
    from hexpipe.watch.view import redraws

    if not redraws(sys.stdout):
        yield _plain_lines()
        return
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console()) as bar:
        task = bar.add_task("starting", total=None)

        def show(progress: TrainProgress) -> None:
            share = share_done(limits, progress.elapsed / 60, progress.games, progress.steps)
            bar.update(
                task, description=describe_progress(progress), total=None if share is None else 1.0, completed=share
            )

        yield show


def _plain_lines() -> Callable[[TrainProgress], None]:
    due = 0.0

    def show(progress: TrainProgress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            click.echo(f"{progress.elapsed:.0f} s: {describe_progress(progress)}")

    return show
