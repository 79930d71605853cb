"""Kinds of options and arguments that many commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Any], Any]
ANY_PATH = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def stacked(*options: Decorator) -> Decorator:
    """Return a decorator that gives a command all ``options``, in their order."""

    def apply(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


def best_device() -> str:
    """Return a GPU where there is one, else the CPU."""
    from hexpipe.processes.machine import visible_gpus

    return "cuda:0" if visible_gpus() else "cpu"


def number_option(
    option: str,
    text: str,
    kind: click.ParamType[Any],
    default: float | None = None,
    metavar: str | None = "N",
    name: str | None = None,
) -> Decorator:
    """Return an option of a number of ``kind``, which shows its default where it has one; ``name``: its parameter's."""
    names = (option,) if name is None else (option, name)
    shown = default is not None
    return click.option(*names, type=kind, default=default, show_default=shown, metavar=metavar, help=text)
