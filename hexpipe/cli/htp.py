"""`hexpipe htp`: a Hex engine for HexGui and other controllers."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexpipe.cli._engine_options import engine_options
from hexpipe.cli._hex_nets import checkpoint_or_box, engine_on, rules_of
from hexpipe.cli._options import best_device
from hexpipe.cli._streams import standard_input
from hexpipe.config import GameSettings
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.arena.thinker import Thinker


@click.command(
    epilog="""\b
Examples:
  hexpipe htp                        the net in the box
  hexpipe htp runs/mine --seconds 5
  hexpipe htp runs/mine --simulations 1000 --resign-below 0.05""",
)
@engine_options
@click.option("--swap/--no-swap", default=None, help="The swap rule; default: as the run has it.")
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

    if checkpoint is not None and chance is not None:
        raise UsageError("name a checkpoint or a run folder, or give --random SEED, not both")
    game = GameSettings()
    interruption = Interruption(INTERRUPT)
    thinker: Thinker
    if chance is not None:
        thinker = RandomThinker(chance, seed)
    else:
        net = checkpoint_or_box(checkpoint)  # told on standard error: standard output speaks HTP
        game = rules_of(net, "HTP")
        make = partial(engine_on, net, device or best_device())
        thinker = NetThinker(make, simulations, seconds, interruption)
    engine = HtpEngine(
        thinker,
        game.board_size if size is None else size,
        allow_swap=game.swap if swap is None else swap,
        resign_below=resign_below,
        interrupted=interruption,
    )
    serve(standard_input(), sys.stdout.buffer, engine.handle, interruption)
