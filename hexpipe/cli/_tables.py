"""Tables on standard output that lose nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_WIDEST = 100_000


def make_table(title: str, left: Sequence[str], right: Sequence[str] = ()) -> Table:
    """Return an empty table with columns of the names ``left``, then such of the names ``right``, aligned there."""
    table = Table(*left, title=title)
    for name in right:
        table.add_column(name, justify="right")
    return table


def print_table(table: Table) -> None:
    """Print ``table``: fitted to a terminal, but never so narrow that a word of it is cut; in a pipe or a file as wide
    as its cells are. Cells are plain text: nothing in them is taken for markup."""
    console = Console(markup=False, emoji=False, highlight=False)
    width = _WIDEST
    if console.is_terminal and not console.is_dumb_terminal:
        options = console.options.update(width=_WIDEST, max_width=_WIDEST)
        for column in table.columns:  # as wide as its longest word
            cells = [column.header, *column.cells]
            column.min_width = max(Measurement.get(console, options, cell).minimum for cell in cells)
        width = max(console.width, Measurement.get(console, options, table).minimum)
    console.width = width
    console.print(table, crop=False)
