"""What the commands of HTP and GTP share: how one is found, numbers, and those about time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import hexpipe
from hexpipe.arena.clock import Clock
from hexpipe.errors import NotationError, UsageError
from hexpipe.games.player_utils import parse_side

_DIGITS = re.compile(r"-?[0-9]{1,9}(\.[0-9]{0,9})?")


class Handler(NamedTuple):
    """The function of a command, and how many arguments it takes."""

    call: Callable[[Sequence[str]], str]
    least: int
    most: int


def basics(commands: Mapping[str, Handler]) -> dict[str, Handler]:
    """Return the commands that every engine has; ``commands`` are all of this one's, when it is asked for them."""
    return {
        "name": Handler(lambda _: "hexpipe", 0, 0),
        "version": Handler(lambda _: hexpipe.__version__, 0, 0),
        "protocol_version": Handler(lambda _: "2", 0, 0),
        "list_commands": Handler(lambda _: "\n".join(commands), 0, 0),
        "known_command": Handler(lambda words: str(words[0] in commands).lower(), 1, 1),
        "quit": Handler(lambda _: "", 0, 0),
    }


def answer(commands: Mapping[str, Handler], name: str, arguments: Sequence[str]) -> str:
    """Return the reply to one command; UsageError where there is none, NotationError for too few or many arguments."""
    command = commands.get(name)
    if command is None:
        raise UsageError("unknown command")
    if not command.least <= len(arguments) <= command.most:
        wanted = f"{command.least}" if command.least == command.most else f"{command.least} to {command.most}"
        raise NotationError(
            f"{name} takes {wanted} argument{'s' * (command.most != 1)}, not {len(arguments)}", kind="type"
        )
    return command.call(arguments)


def number(word: str) -> float:
    """Return a number in digits, as GTP writes it."""
    if not _DIGITS.fullmatch(word):
        raise NotationError(f"{word!r} is no number", kind="type")
    return float(word)


def time_settings(clock: Clock, words: Sequence[str]) -> str:
    """Configure ``clock`` by main time, time of a period and its moves."""
    main, period, moves = map(number, words)
    if min(main, period, moves) < 0:
        raise NotationError("times and numbers of moves cannot be negative", kind="range", low=0)
    clock.configure(main, period, int(moves))
    return ""


def time_left(clock: Clock, words: Sequence[str]) -> str:
    """Set what a colour has left, a time and perhaps moves; without a time say what it has, without a colour both."""
    if not words:
        return f"Black: {_left(clock, 0)}, White: {_left(clock, 1)}"
    colour = parse_side(words[0])
    if len(words) == 1:
        return _left(clock, colour)
    clock.set_left(colour, number(words[1]), int(number(words[2])) if len(words) > 2 else 0)
    return ""


def _left(clock: Clock, colour: int) -> str:
    left = clock.left(colour)
    if left is None:
        return "unlimited"
    seconds, moves = left
    return f"{seconds:.1f}" + (f" for {moves} moves" if moves else "")
