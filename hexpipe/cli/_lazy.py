"""Groups of commands that import one only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """Commands by the titles and with the lines of ``sections``; `load` imports one."""

    sections: ClassVar[Mapping[str, Mapping[str, str]]]

    def load(self, name: str) -> click.Command:
        """Return the command called ``name``, imported now."""
        raise NotImplementedError

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of ``sections``."""
        return [name for lines in self.sections.values() for name in lines]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command called ``cmd_name``; None if there is none."""
        return self.load(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line a command under its section's title, all in one column, without importing any."""
        width = max(map(len, self.list_commands(ctx)))
        for title, lines in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in lines.items()])
