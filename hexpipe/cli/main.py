"""The `hexpipe` command: subcommands are found by name and imported only when they are asked for.

A bad input ends with one line and exit code 2, a failure of the program with one message and exit code 1. This module
is imported by every process of a run (a spawned child imports the main module), so it imports next to nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import pkgutil
import sys
from collections.abc import Sequence

import click

import hexpipe
from hexpipe import kernel_cache
from hexpipe.cli._streams import LostOutputError, check_output, give_up_output, prepare_streams
from hexpipe.errors import HexpipeError, ProcessDiedError, UsageError


class LazyCommands(click.Group):
    """A group whose commands are the modules beside this one that hold a ``command``: ``memory_report.py``, and
    ``import_.py`` where the name is a word of Python's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        package = importlib.import_module("hexpipe.cli")
        names = [module.name for module in pkgutil.iter_modules(package.__path__)]
        return sorted(
            name.rstrip("_").replace("_", "-") for name in names if name != "main" and not name.startswith("_")
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``, imported now; None if there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = cmd_name.replace("-", "_") + "_" * keyword.iskeyword(cmd_name)
        command = importlib.import_module(f"hexpipe.cli.{module}").command
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(hexpipe.__version__, prog_name="hexpipe")
@click.pass_context
def group(context: click.Context) -> None:
    """AlphaZero and MuZero training for board games on one machine: many processes, one loop."""
    check_output(context.invoked_subcommand or "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (a failure), 2 (bad input) or 130 (interrupted)."""
    prepare_streams()
    sys.exit(run(arguments))


def prepare(arguments: Sequence[str]) -> None:
    """Compile the kernels that the command line ``arguments`` will need, with lines on standard error."""
    kernel_cache.tell(_tell)
    kernel_cache.need(*kernel_cache.likely(arguments))


def _tell(line: str) -> None:
    click.echo(f"hexpipe: {line}", err=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    kernel_cache.tell(_tell)
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except LostOutputError as error:
        give_up_output()
        _tell(str(error))
        return 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = group.main(list(arguments) if arguments is not None else None, "hexpipe", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("hexpipe: interrupted", err=True)
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"hexpipe: {error.format_message()}{hint}", err=True)
        return 2
    except LostOutputError:
        raise
    except HexpipeError as error:
        text = str(error)
        if isinstance(error, ProcessDiedError):
            text = f"{error.process} died and ended the run:\n{error.details}"
        click.echo(f"hexpipe: {text}", err=True)
        return 2 if isinstance(error, UsageError) else 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
