"""What the nursery of a run loads (`processes.nursery`): the modules of its roles, and the kernels of self-play."""

from __future__ import annotations

import importlib

from hexpipe.config import Settings
from hexpipe.processes.nursery import Nursery

_ROLES = ("generator", "rating", "reanalyze", "replay", "server")  # none of their modules imports torch


def nursery_for(settings: Settings) -> Nursery:
    """Return the nursery of a run of ``settings``, not yet begun."""
    return Nursery(f"{__name__}:load", settings.game.name, settings.algorithm, str(settings.game.players))


def load(game: str, algorithm: str, players: str) -> None:
    """Import what roles need, and play some short games of ``game`` by ``algorithm``, so that their kernels are loaded.

    Their kernels are compiled by then (`kernel_cache.need`). Those of a user's own game are its own matter.
    """
    from hexpipe.selfplay import dry_play

    for role in _ROLES:
        importlib.import_module(f"hexpipe.roles.{role}")
    if game == "inarow":
        dry_play.play_in_a_row(int(players), algorithm)
    elif game == "hex" and algorithm == "muzero":
        dry_play.play_learned()
    elif game == "hex":
        dry_play.play_true_rules()
    elif ":" not in game:
        dry_play.play_other(game, algorithm)
