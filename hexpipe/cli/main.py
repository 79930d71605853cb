"""The `hexpipe` command: subcommands are listed here and imported only when they are asked for.

A bad input ends with one line and exit code 2, a failure of the program with one message and exit code 1. This module
is imported by every process of a run (a spawned child imports the main module), so it imports next to nothing.
"""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Sequence

import click

import hexpipe
from hexpipe import kernel_cache
from hexpipe.cli._lazy import LazyGroup
from hexpipe.cli._streams import LostOutputError, check_output, give_up_output, prepare_streams
from hexpipe.errors import HexpipeError, ProcessDiedError, UsageError

COMMANDS = {
    "Train": {
        "run": "Train with all processes, with a live view.",
        "train": "Train in one process, repeatable bit for bit.",
        "settings": "List every setting: what it is in a preset, what it does.",
        "export": "Write a net as ONNX, checked against torch.",
    },
    "Watch": {
        "runs": "List runs: state, games, steps, rating, size.",
        "plot": "Draw the curves of a run as a picture.",
        "memory-report": "Say where the memory of a run goes, while it runs.",
        "clean": "Remove what dead runs have left.",
    },
    "Games": {
        "games": "List, count or write out a run's games.",
        "selfplay": "Play many games of one net against itself.",
        "import": "Bring games played elsewhere into a run.",
        "convert": "Convert games of Hex between notations.",
    },
    "Play": {
        "serve": "Play a net and watch a run, in a browser.",
        "htp": "Play Hex in HexGui, over its text protocol.",
        "play-server": "Play Hex at a server of games.",
        "gtp": "Play Go or Othello for GUIs, over their text protocol.",
        "gomocup": "Play five in a row, over the protocol of piskvork.",
        "match": "Play two players until it is clear who is better.",
        "tournament": "Play everyone against everyone, and rate them.",
        "analyze": "Analyse positions for programs, by JSON lines.",
    },
    "Measure": {
        "score": "Hold a net against solved positions.",
        "solve": "Solve small Hex positions exactly.",
        "bench": "Measure one part of the pipeline.",
        "chaos": "Put a run through kills, stops and full disks.",
    },
}
"""Every command, in the groups and with the lines of `hexpipe --help`. Each is the ``command`` of a module beside this
one: ``memory_report.py``, and ``import_.py`` where the name is a word of Python's."""


class LazyCommands(LazyGroup):
    """The group of `COMMANDS`."""

    sections = COMMANDS

    def load(self, name: str) -> click.Command:
        """Return the command called ``name``, imported now."""
        module = name.replace("-", "_") + "_" * keyword.iskeyword(name)
        command: click.Command = importlib.import_module(f"hexpipe.cli.{module}").command
        command.short_help = next(lines[name] for lines in COMMANDS.values() if name in lines)
        return command


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
