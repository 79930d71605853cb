"""Nets of Hex, for commands that play a checkpoint, or the net in the box, on a board of any size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexpipe.config import GameSettings
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.arena.engine import Engine


def checkpoint_or_box(checkpoint: Path | None) -> Path:
    """Return ``checkpoint``, or the net in the box, which standard error is told of then."""
    from hexpipe.nets.box import BOX, net_in_words
    from hexpipe.nets.checkpoints import load_checkpoint

    if checkpoint is None:
        click.echo(net_in_words(load_checkpoint(BOX, groups=())), err=True)
    return checkpoint or BOX


def rules_of(checkpoint: Path, what: str) -> GameSettings:
    """Return the rules of the checkpoint's run; UsageError where they are not those of Hex, which ``what`` is for."""
    from hexpipe.games.factory import plays_hex
    from hexpipe.nets.checkpoints import load_checkpoint

    game = load_checkpoint(checkpoint, groups=()).settings.game
    if not plays_hex(game):
        raise UsageError(f"{checkpoint} plays {game.title}: {what} is for Hex, name a checkpoint of Hex")
    return game


def engine_on(checkpoint: Path, device: str, size: int, swap: bool) -> Engine:
    """Return the engine of ``checkpoint`` on a board of ``size``."""
    from hexpipe.arena.engine import Engine

    return Engine(checkpoint, board_size=size, swap=swap, device=device)
