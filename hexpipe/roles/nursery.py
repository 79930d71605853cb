"""What the nursery of a run loads (`processes.nursery`): the modules of its roles, and the kernels of self-play."""

from __future__ import annotations

import os

from hexpipe.config import Settings
from hexpipe.processes.nursery import Nursery

_VARIABLE = "HEXPIPE_NURSERY"


def nursery_for(settings: Settings) -> Nursery:
    """Return the nursery of a run of ``settings``, not yet begun."""
    return Nursery("hexpipe.roles.preloaded", {_VARIABLE: f"{settings.game.name} {settings.algorithm}"})


def begun_here() -> bool:
    """Return whether this process is to be a nursery."""
    return _VARIABLE in os.environ


def load() -> None:
    """Play some games as the run that the environment names will, so that their kernels are loaded."""
    from hexpipe.selfplay import dry_play

    game, algorithm = os.environ.pop(_VARIABLE).split()
    if algorithm == "muzero":
        dry_play.play_learned()
    else:
        dry_play.play_true_rules()
    if game == "inarow":
        dry_play.play_in_a_row()
