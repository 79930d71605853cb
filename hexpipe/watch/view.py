"""The display of a run: a live table on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import IO, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hexpipe.watch.progress import Figures, NodeFigures

_LINE_SECONDS = 5.0


class View(Protocol):
    """A display of a run."""

    def update(self, figures: Figures) -> None:
        """Show the newest figures."""

    def say(self, text: str) -> None:
        """Show one message that stays."""

    def close(self, figures: Figures | None = None) -> None:
        """Show the last figures and stop."""


def make_view(stream: IO[str] | None = None, title: str = "") -> View:
    """Return a live view if ``stream`` (standard output) `redraws`, else plain lines."""
    target = stream or sys.stdout
    return LiveView(target, title) if redraws(target) else PlainView(target)


def redraws(stream: IO[str]) -> bool:
    """Return whether ``stream`` is a terminal that can redraw lines: not if TERM=dumb."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class PlainView:
    """One line of figures every few seconds."""

    def __init__(self, stream: IO[str], seconds: float = _LINE_SECONDS) -> None:
        self._stream, self._seconds = stream, seconds
        self._next = 0.0

    def update(self, figures: Figures) -> None:
        """Write a line if the last is some seconds old."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._seconds
            self.say(plain_line(figures))

    def say(self, text: str) -> None:
        """Write one line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self, figures: Figures | None = None) -> None:
        """Write the last figures."""
        if figures is not None:
            self.say(plain_line(figures))


class LiveView:
    """A table that is redrawn every second."""

    def __init__(self, stream: IO[str], title: str = "") -> None:
        self._console = Console(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._title = title
        self._live.start()

    def update(self, figures: Figures) -> None:
        """Draw the figures."""
        self._live.update(render(figures, self._title), refresh=True)

    def say(self, text: str) -> None:
        """Write one line above the table."""
        self._live.console.print(Text(text))

    def close(self, figures: Figures | None = None) -> None:
        """Draw a last time and leave the table there."""
        if figures is not None:
            self.update(figures)
        self._live.stop()


def plain_line(figures: Figures) -> str:
    """Return the most important figures in one line."""
    parts = [f"{clock(figures.elapsed)}"]
    parts += [f"{label} {text}" for label, text in _summary(figures)]
    waiting = [f"{p.name} {p.waiting}" for p in figures.processes if p.waiting not in ("working", "ended")]
    parts += [f"{node.name} {node.evals_per_s:,.0f} evals/s" for node in figures.nodes if node.waiting != "lost"]
    if not figures.get("games"):
        parts.append("; ".join(waiting))
    return "  ".join(part for part in parts if part)


def render(figures: Figures, title: str = "") -> Group:
    """Return the live table."""
    left, right = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    rows = _summary(figures)
    half = (len(rows) + 1) // 2
    for table, part in ((left, rows[:half]), (right, rows[half:])):
        for label, text in part:
            table.add_row(Text(label, style="dim"), Text(text))
    both = Table.grid(padding=(0, 4))
    both.add_row(left, right)
    processes = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("process", "CPU", "memory", "now", ""):
        processes.add_column(heading, justify="right" if heading in ("CPU", "memory") else "left")
    for p in figures.processes:
        note = f"{p.note}{f'  replaced {p.restarts} times' if p.restarts else ''}"
        processes.add_row(p.name, f"{p.cpu_percent:.0f}%", f"{p.own_bytes / 1e6:.0f} MB", p.waiting, Text(note))
    panel = Panel(both, title=_above(figures, title), title_align="left")
    return Group(panel, processes, *([_node_table(figures.nodes)] if figures.nodes else []))


def _above(figures: Figures, title: str) -> Text:
    return Text("  ".join(part for part in (title, clock(figures.elapsed), figures.stage) if part))


def _node_table(nodes: list[NodeFigures]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    numbers = ("generators", "servers", "games", "positions/s", "evals/s")
    for heading in ("node", *numbers, "now", ""):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    for n in nodes:
        rates = (f"{n.games:,.0f}", f"{n.positions_per_s:,.1f}", f"{n.evals_per_s:,.0f}")
        table.add_row(n.name, str(n.generators), str(n.servers), *rates, n.waiting, Text(n.note))
    return table


def clock(seconds: float) -> str:
    """Format seconds as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _summary(figures: Figures) -> list[tuple[str, str]]:
    """Return label and text of every known figure."""
    formats = (
        ("games", "games", "{:,.0f}"),
        ("positions", "positions", "{:,.0f}"),
        ("positions/s", "positions_per_s", "{:,.1f}"),
        ("searched anew", "refreshed", "{:,.0f}"),
        ("anew/s", "refreshed_per_s", "{:,.1f}"),
        ("evals/s", "evals_per_s", "{:,.0f}"),
        ("mean batch", "mean_batch", "{:.1f}"),
        ("cache hits", "cache_hit_rate", "{:.0%}"),
        ("steps", "steps", "{:,.0f}"),
        ("policy loss", "policy_loss", "{:.3f}"),
        ("value loss", "value_loss", "{:.3f}"),
        ("threat loss", "threat_loss", "{:.3f}"),
        ("focus loss", "focus_loss", "{:.3f}"),
        ("policy lag", "policy_lag", "{:.0f} steps"),
        ("agrees with solver", "solver_score", "{:.0%}"),
        ("winning moves found", "solver_policy", "{:.0%}"),
        ("plies/game", "mean_plies", "{:.1f}"),
    )
    rows = []
    for label, name, form in formats:
        value = figures.get(name)
        if value is not None:
            rows.append((label, form.format(value)))
    if figures.get("stage"):
        rows.append(("stage", f"{figures.get('stage'):.0f}, {figures.get('stage_games'):,.0f} games"))
    share = figures.get("league_share")
    if share is not None:
        rows.append(("league", f"{share:.2f} of last {figures.get('league_window'):.0f}"))
    elo, error = figures.get("rating_elo"), figures.get("rating_elo_error")
    if elo is not None and error is not None:
        rows.append(("rating", f"{elo:+.0f} +/- {1.96 * error:.0f} at step {figures.get('rating_step'):,.0f}"))
    fill = figures.get("replay_fill")
    if fill is not None:
        rows.append(("replay", f"{fill:.0%} full, {figures.get('replay_games') or 0:,.0f} games"))
    if figures.get("skipped_steps"):
        back = figures.get("recoveries")
        again = f", back to a checkpoint {back:.0f} times" if back else ""
        rows.append(("steps skipped", f"{figures.get('skipped_steps'):.0f} (gradients not finite){again}"))
    if figures.get("restarts"):
        rows.append(("processes replaced", f"{figures.get('restarts'):.0f}"))
    for number, (busy, used, total) in enumerate(figures.gpus):
        rows.append((f"GPU {number}", f"{busy}% busy, {used:,} of {total:,} MB"))
    left = figures.get("seconds_left")
    if left is not None:
        rows.append(("left", clock(left)))
    return rows
