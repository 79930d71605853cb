"""`hexpipe htp`: a Hex engine for HexGui and other controllers."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexpipe.cli._options import ANY_PATH, best_device
from hexpipe.cli._streams import standard_input
from hexpipe.config import GameSettings
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.arena.engine import Engine
    from hexpipe.arena.thinker import Thinker

_RESIGN = "Resign where the chance to win is lower; default: never."
_IGNORED = "Ignored: benzene's twogtp.py adds it, and --seed, to every command."


@click.command(
    epilog="""\b
Examples:
  hexpipe htp                        the net in the box
  hexpipe htp runs/mine --seconds 5
  hexpipe htp runs/mine --simulations 1000 --resign-below 0.05""",
)
@click.argument("checkpoint", required=False, type=ANY_PATH, metavar="[CHECKPOINT|RUN]")
@click.option("--size", type=int, metavar="N", help="Board at the start; default: the net's, of --random 11.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Time for a move at the most.")
@click.option("--simulations", type=click.IntRange(2), metavar="N", help="For a move; default: the run's, or by time.")
@click.option("--swap/--no-swap", default=None, help="The swap rule; default: as the run has it.")
@click.option("--resign-below", type=click.FloatRange(0, 1), default=0.0, metavar="P", help=_RESIGN)
@click.option("--device", metavar="NAME", help="cpu, cuda:0, ...; default: a GPU where there is one.")
@click.option(
    "--random", "chance", type=click.IntRange(0), metavar="SEED", help="Play at random, without a checkpoint."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, metavar="N", help="Which game of --random; a net draws nothing."
)
@click.option("--logfile-name", metavar="F", expose_value=False, help=_IGNORED)
@click.option("--config", metavar="F", expose_value=False, help="Ignored: benzene's scripts add it.")
def command(
    checkpoint: Path | None,
    size: int | None,
    seconds: float | None,
    simulations: int | None,
    swap: bool | None,
    resign_below: float,
    device: str | None,
    chance: int | None,
    seed: int,
) -> None:
    """Play Hex over HTP, the text protocol of HexGui and benzene, on standard input and output.

    The net serves boards of any size. A controller's clock (time_settings, time_left) is kept.
    """
    from hexpipe.arena.lines import Interruption
    from hexpipe.arena.thinker import NetThinker, RandomThinker
    from hexpipe.htp.engine import HtpEngine
    from hexpipe.htp.protocol import INTERRUPT, serve
    from hexpipe.nets.box import BOX, net_in_words
    from hexpipe.nets.checkpoints import load_checkpoint

    if checkpoint is not None and chance is not None:
        raise UsageError("name a checkpoint or a run folder, or give --random SEED, not both")
    game = GameSettings()
    interruption = Interruption(INTERRUPT)
    thinker: Thinker
    if chance is not None:
        thinker = RandomThinker(chance, seed)
    else:
        if checkpoint is None:
            checkpoint = BOX
            click.echo(net_in_words(load_checkpoint(BOX, groups=())), err=True)  # standard output speaks HTP
        game = _game_of(checkpoint)
        make = partial(_engine, checkpoint, device or best_device())
        thinker = NetThinker(make, simulations, seconds, interruption)
    engine = HtpEngine(
        thinker,
        game.board_size if size is None else size,
        allow_swap=game.swap if swap is None else swap,
        resign_below=resign_below,
        interrupted=interruption,
    )
    serve(standard_input(), sys.stdout.buffer, engine.handle, interruption)


def _game_of(checkpoint: Path) -> GameSettings:
    """Return the rules of the checkpoint's run, which must be Hex."""
    from hexpipe.games.factory import plays_hex
    from hexpipe.nets.checkpoints import load_checkpoint

    game = load_checkpoint(checkpoint, groups=()).settings.game
    if not plays_hex(game):
        raise UsageError(f"{checkpoint} plays {game.title}: HTP is for Hex, name a checkpoint of Hex")
    return game


def _engine(checkpoint: Path, device: str, size: int, swap: bool) -> Engine:
    from hexpipe.arena.engine import Engine

    return Engine(checkpoint, board_size=size, swap=swap, device=device)
