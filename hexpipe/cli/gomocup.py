"""`hexpipe gomocup`: an engine for gomoku managers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexpipe.cli._engine_options import thinker_options
from hexpipe.cli._options import best_device
from hexpipe.cli._streams import standard_input
from hexpipe.config import GameSettings, load_settings, override_settings
from hexpipe.errors import UsageError

if TYPE_CHECKING:
    from hexpipe.arena.engine import Engine
    from hexpipe.arena.thinker import Thinker
    from hexpipe.config import Settings
    from hexpipe.games.inarow import InARow


@click.command(
    epilog="""\b
Examples:
  hexpipe gomocup runs/mine
  hexpipe gomocup runs/mine --simulations 1000
  hexpipe gomocup --random 1         to try a manager with""",
)
@thinker_options
def command(
    checkpoint: Path | None, seconds: float | None, simulations: int | None, device: str | None, chance: int | None
) -> None:
    """Play five in a row over the Gomocup protocol, that of piskvork, on standard input and output.

    The manager says which board. Its time (INFO timeout_turn, timeout_match, time_left) is kept, and its rule (INFO
    rule) must be the one that the net has learned: game.row_rule.
    """
    from hexpipe.arena.lines import Interruption
    from hexpipe.arena.thinker import NetThinker, RandomThinker
    from hexpipe.gomocup.engine import GomocupEngine
    from hexpipe.gomocup.protocol import INTERRUPT, serve

    if (checkpoint is None) == (chance is None):
        raise UsageError("name a checkpoint or a run of n in a row, or give --random SEED")
    interruption = Interruption(INTERRUPT)
    settings = load_settings(overrides={"game.name": "inarow"})
    thinker: Thinker
    if checkpoint is None:
        thinker = RandomThinker(chance or 0, make_game=lambda size, _: _game_of(settings, size))
    else:
        settings = _settings_of(checkpoint)
        path = checkpoint
        thinker = NetThinker(lambda size, _: _engine(path, device, size), simulations, seconds, interruption)
    engine = GomocupEngine(thinker, lambda size: _game_of(settings, size), settings.game.row_rule)
    serve(standard_input(), sys.stdout.buffer, engine.handle, interruption)


def _settings_of(checkpoint: Path) -> Settings:
    """Return the settings of the checkpoint's run, which must be five in a row by two."""
    from hexpipe.nets.checkpoints import load_checkpoint

    settings = load_checkpoint(checkpoint, groups=()).settings
    game: GameSettings = settings.game
    if game.name != "inarow" or game.players != 2 or game.row_length != 5:
        raise UsageError(
            f"{checkpoint} plays {game.title}: the Gomocup protocol is for five in a row by two, name such a checkpoint"
        )
    return settings


def _game_of(settings: Settings, size: int) -> InARow:
    """Return the rules on a board of ``size`` cells a side; SettingsError where there is no such board."""
    from hexpipe.games.inarow import InARow

    rules = {"game.board_size": size, "game.win_length": 5, "curriculum.stages": ()}
    return InARow(override_settings(settings, rules).game)


def _engine(checkpoint: Path, device: str | None, size: int) -> Engine:
    from hexpipe.arena.engine import Engine

    return Engine(checkpoint, board_size=size, device=device or best_device())
