"""The progress bar of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, ProgressColumn

from hexpipe.processes.output import may_go_away


@contextmanager
def progress_bar(*more: ProgressColumn, hidden: bool = False) -> Iterator[Progress]:
    """Show a bar on standard error while it is a terminal, so that results can be piped; it goes when it is done."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), *more)
    hidden = hidden or not console.is_terminal
    with may_go_away("stderr"), Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield bar
