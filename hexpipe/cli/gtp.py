"""`hexpipe gtp`: an engine for Go and Othello, for GUIs and other controllers."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexpipe.cli._engine_options import engine_options
from hexpipe.cli._options import best_device
from hexpipe.cli._streams import standard_input
from hexpipe.config import Settings, load_settings, settings_on_board
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.arena.engine import Engine
    from hexpipe.arena.thinker import Thinker
    from hexpipe.games.game_env import Game


@click.command(
    epilog="""\b
Examples:
  hexpipe gtp runs/go --seconds 5
  hexpipe gtp runs/go --simulations 1000 --komi 6.5 --resign-below 0.05
  hexpipe gtp --random 1 --game othello""",
)
@engine_options
@click.option("--game", metavar="NAME", help="go or othello, of --random; default: go.")
@click.option("--komi", type=float, metavar="K", help="Of Go, at the start; default: the run's.")
def command(
    checkpoint: Path | None,
    size: int | None,
    seconds: float | None,
    simulations: int | None,
    resign_below: float,
    device: str | None,
    chance: int | None,
    seed: int,
    game: str | None,
    komi: float | None,
) -> None:
    """Play Go or Othello over GTP, the text protocol of GNU Go, GoGui and Sabaki, on standard input and output.

    The net serves boards of any size that its game has. Points of Go are GTP's: A1 at the bottom left, no column I. A
    controller's clock (time_settings, time_left) is kept.
    """
    from hexpipe.arena.lines import Interruption
    from hexpipe.arena.thinker import NetThinker, RandomThinker
    from hexpipe.htp.gtp_engine import GtpEngine
    from hexpipe.htp.protocol import INTERRUPT, serve
    from hexpipe.nets.checkpoints import load_checkpoint

    if (checkpoint is None) == (chance is None):
        raise UsageError("name a checkpoint or a run folder of Go or Othello, or give --random SEED, one of them")
    interruption = Interruption(INTERRUPT)
    thinker: Thinker
    if checkpoint is None:
        settings = load_settings(overrides={"game.name": game or "go"})
        thinker = RandomThinker(chance or 0, seed, partial(_game, settings))
    else:
        if game is not None:
            raise UsageError("--game is for --random: a checkpoint has its own")
        settings = load_checkpoint(checkpoint, groups=()).settings
        thinker = NetThinker(partial(_engine, checkpoint, device or best_device()), simulations, seconds, interruption)
    rules = {} if komi is None else {"komi": komi}
    engine = GtpEngine(thinker, settings_on_board(settings, size, None, rules), resign_below)
    serve(standard_input(), sys.stdout.buffer, engine.handle, interruption)


def _engine(checkpoint: Path, device: str, size: int, swap: bool, **rules: float) -> Engine:
    from hexpipe.arena.engine import Engine

    return Engine(checkpoint, board_size=size, rules=rules, device=device)


def _game(settings: Settings, size: int, swap: bool, **rules: Any) -> Game:
    from hexpipe.games.factory import make_game

    return make_game(settings_on_board(settings, size, None, rules).game)
