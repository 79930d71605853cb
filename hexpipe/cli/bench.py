"""`hexpipe bench NAME`: one benchmark, its figures as a table or as one line of JSON."""

from __future__ import annotations

import importlib
import inspect
import json
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import click
from rich.table import Table

from hexpipe import kernel_cache
from hexpipe.bench import BENCHMARKS
from hexpipe.bench.against import TURNS, compare
from hexpipe.bench.environment import describe
from hexpipe.cli._lazy import LazyGroup
from hexpipe.cli._options import ANY_PATH, number_option
from hexpipe.cli._tables import print_table

Result = dict[str, Any]
MOST_LOSS = "by which this one may be slower; it is where the whole interval is  [default: 3]"


class BenchGroup(LazyGroup):
    """Commands of all benchmarks."""

    sections: ClassVar = {"Benchmarks": BENCHMARKS}

    def load(self, name: str) -> click.Command:
        """Return the benchmark's command, its options read off the signature of its ``run``; `learn` has its own."""
        if name == "learn":
            from hexpipe.cli import _bench_learn

            return _bench_learn.command
        return _command(name, importlib.import_module(f"hexpipe.bench.{name}").run)


@click.command(cls=BenchGroup, name="bench", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Measure one part of the pipeline; most take under a minute as they are, cluster and memory longer.

    A virtual core may drift between half and full speed without showing it: only ratios of slices measured in turn,
    in one call, mean much. With --against another checkout of hexpipe runs the same benchmark in turns with this one,
    and what is shown is how this one compares.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _command(name: str, run: Callable[..., Result]) -> click.Command:
    """Return a click command whose options are the parameters of ``run``."""
    hints = get_type_hints(run, include_extras=True)
    parameters = inspect.signature(run).parameters
    options: list[click.Parameter] = [_option(parameter, hints[name]) for name, parameter in parameters.items()]

    @click.option("--json", "as_json", is_flag=True, help="end with one JSON object on the last line")
    @click.option(
        "--against",
        type=ANY_PATH,
        metavar="CHECKOUT",
        help="another checkout of hexpipe, to compare with: exit code 1 where this one is slower",
    )
    @number_option("--turns", f"turns of both  [default: {TURNS}]", click.IntRange(1))
    @number_option("--most-loss", MOST_LOSS, click.FloatRange(0, 100), metavar="PERCENT")
    @click.pass_context
    def invoke(
        ctx: click.Context,
        /,
        as_json: bool,
        against: Path | None,
        turns: int | None,
        most_loss: float | None,
        **options: Any,
    ) -> None:
        if against is None:
            if turns is not None or most_loss is not None:
                raise click.UsageError("--turns and --most-loss are of a comparison: name a checkout with --against")
            kernel_cache.need(*kernel_cache.GROUPS)
            machine = describe()  # before the benchmark loads it
            _report(name, options, run(**options), machine, as_json)
            return
        given = _given(ctx, parameters)
        loss = 3.0 if most_loss is None else most_loss
        found = compare(name, given, against, turns or TURNS, loss, lambda line: click.echo(line, err=True))
        click.echo(json.dumps(found) if as_json else _in_words(found, against))
        ctx.exit(int(found["worse"]))

    command = click.command(name, help=BENCHMARKS[name])(invoke)
    command.params = options + command.params
    return command


def _given(ctx: click.Context, names: Iterable[str]) -> list[str]:
    """Return the options of ``names`` that were written in the command line, as they may be written again."""
    words: list[str] = []
    for name in names:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            flag, value = name.replace("_", "-"), ctx.params[name]
            words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def _in_words(found: Result, against: Path) -> str:
    """Return the outcome of a comparison, the figure that decides first."""
    figure = found["figure"]
    medians = ", ".join(f"{_readable(found[f'{figure}_{where}'])} {where}" for where in ("here", "there"))
    verdict = "slower" if found["worse"] else "not slower"  # as far as can be told
    others = [f"  {key}: {value:.3f}" for key, value in found.items() if key.endswith("_per_s_ratio")]
    return "\n".join(
        [
            f"{figure} against {against}: {found['ratio']:.3f} ({found['interval']}: {found['ratio_low']:.3f} to "
            f"{found['ratio_high']:.3f}; {medians}; above 1 is better here)",
            f"{verdict} by more than {found['most_loss']:g} %",
            *(["medians of the other figures' ratios:", *others] if others else []),
        ]
    )


def _option(parameter: inspect.Parameter, hint: Any) -> click.Option:
    """Return the option for one parameter: type, help and default come from the signature."""
    text = ""
    if get_origin(hint) is Annotated:
        hint, text = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(inner for inner in get_args(hint) if inner is not type(None))
    flag = "--" + parameter.name.replace("_", "-")
    given: Result = {"help": text, "show_default": True}
    if parameter.default is inspect.Parameter.empty:
        given["required"] = True
    else:
        given["default"] = parameter.default
    if hint is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], **given)
    kind: Any = click.Choice([str(choice) for choice in get_args(hint)]) if get_origin(hint) is Literal else hint
    return click.Option([flag], type=kind, **given)


def _report(name: str, options: Result, figures: Result, machine: Result, as_json: bool) -> None:
    """Print figures first, then the options, then the machine; never two values under one key."""
    settings = {key: value for key, value in options.items() if value is not None}
    if not as_json:
        print_table(_table(name, figures, settings, machine))
        return
    flat = {"benchmark": name, **machine, **settings, **figures}
    click.echo(json.dumps(flat))


def _table(name: str, figures: Result, settings: Result, machine: Result) -> Table:
    table = Table(title=f"hexpipe bench {name}", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for part in (figures, {key: value for key, value in settings.items() if key not in figures}, machine):
        for key, value in part.items():
            table.add_row(key, _readable(value))
        table.add_section()
    return table


def _readable(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
