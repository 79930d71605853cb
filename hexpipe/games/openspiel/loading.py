"""The package OpenSpiel (``open_spiel`` 2.x, module pyspiel) and its games, or words that say why not."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hexpipe.config import MAX_ACTIONS, MAX_PLANES, MAX_VIEW_SIZE
from hexpipe.errors import SettingsError, install_command

MAX_OBSERVATION = 100_000
"""Numbers of an observation at the most."""


def import_pyspiel() -> Any:
    """Return the module pyspiel; SettingsError without the package."""
    try:
        import pyspiel
    except ImportError as error:
        words = f"games of OpenSpiel need open_spiel: {install_command('open_spiel==2.*')}"
        raise SettingsError(words, kind="missing", setting="game.name") from error
    return pyspiel


def load_spiel_game(name: str) -> Any:
    """Return the ``pyspiel.Game`` called ``name``, "hex(board_size=5)".

    SettingsError if the package or the game is not there, its parameters are wrong, or hexpipe cannot play it: it plays
    deterministic games of perfect information for two or three who move one at a time, with rewards of 1, 0 and -1 at
    the end and an observation tensor.
    """
    pyspiel = import_pyspiel()
    short, kinds = name.partition("(")[0], pyspiel.GameType
    known = {kind.short_name: kind for kind in pyspiel.registered_games()}
    if short not in known:
        words = f"OpenSpiel has no game {short!r}; its names are those of pyspiel.registered_names()"
        raise SettingsError(words, kind="unknown", setting="game.name")
    _require(known[short].chance_mode == kinds.ChanceMode.DETERMINISTIC, short, "it has chance")
    _require(known[short].information == kinds.Information.PERFECT_INFORMATION, short, "some of it is hidden")
    _require(known[short].dynamics == kinds.Dynamics.SEQUENTIAL, short, "its players move at once")
    _require(known[short].reward_model == kinds.RewardModel.TERMINAL, short, "it has rewards before its end")
    _require(known[short].provides_observation_tensor, short, "it has no observation tensor")
    try:
        with _without_stderr():
            game = pyspiel.load_game(name)
    except pyspiel.SpielError as error:
        reason = str(error).partition("\n")[0][:200]
        words = f"OpenSpiel refuses {name}: {reason}"
        raise SettingsError(words, kind="range", setting="game.name") from error
    shape, actions = game.observation_tensor_shape(), game.num_distinct_actions()
    numbers = game.observation_tensor_size()
    _require(2 <= game.num_players() <= 3, name, f"it is for {game.num_players()} players, not 2 or 3")
    _require((game.min_utility(), game.max_utility()) == (-1, 1), name, "its rewards are not from -1 to 1")
    _require(0 < numbers <= MAX_OBSERVATION, name, f"its observation has {numbers:,} numbers, not 1 to 100,000")
    _require(0 < actions < MAX_ACTIONS, name, f"it has {actions:,} actions, not 1 to {MAX_ACTIONS - 1:,}")
    planes, *sides = tensor_planes(shape)
    most = MAX_PLANES - game.num_players()  # beside those that say who is to move
    _require(planes <= most, name, f"its observation has {planes:,} planes, not 1 to {most}")
    _require(max(sides) <= MAX_VIEW_SIZE, name, f"its board has {max(sides)} cells a side, not 1 to {MAX_VIEW_SIZE}")
    return game


def tensor_planes(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return planes, rows and columns by which an observation tensor of ``shape`` is shown.

    One of planes of a square that lie in rows, [3, 225], is taken for planes, too; any other is a vector, of as many
    planes of one cell.
    """
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 2 and math.isqrt(shape[1]) ** 2 == shape[1] and shape[1] > 1:
        side = math.isqrt(shape[1])
        return shape[0], side, side
    return math.prod(shape), 1, 1


def _require(holds: bool, name: str, why: str) -> None:
    if not holds:
        raise SettingsError(f"hexpipe cannot play OpenSpiel's {name}: {why}", kind="range", setting="game.name")


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Leave out what OpenSpiel writes to stderr beside the errors that it raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    unread, written = os.pipe()  # which has room for more than an error's few lines
    try:
        os.dup2(written, 2)
        yield
    finally:
        os.dup2(kept, 2)
        for descriptor in (kept, unread, written):
            os.close(descriptor)
