"""Settings by the names that the options of benchmarks have, and options that several benchmarks share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from hexpipe.config import Settings, load_settings

Figures = dict[str, float | int | str]
"""Return type of every benchmark: flat keys."""
Size = Annotated[int, "board size"]
Backbone = Annotated[Literal["resnet", "transformer"], "the trunk"]
Blocks = Annotated[int, "blocks of the trunk"]
Channels = Annotated[int, "channels of the trunk"]
Engram = Annotated[int, "entries of the net's memory"]
SimulationsAMove = Annotated[int, "simulations a move"]
LeavesOfAGame = Annotated[int, "leaves of one game evaluated together"]

_SETTINGS = {
    "size": "game.board_size",
    "backbone": "net.backbone",
    "blocks": "net.blocks",
    "channels": "net.channels",
    "engram": "net.engram",
    "simulations": "search.num_simulations",
    "leaves": "search.leaves_per_game",
    "root": "search.root",
    "early_stop": "search.early_stop",
    "workers": "selfplay.workers",
    "games": "selfplay.games_per_worker",
    "backend": "inference.backend",
    "dtype": "inference.dtype",
    "max_batch": "inference.max_batch",
    "batch_size": "learner.batch_size",
    "min_games": "replay.min_games",
}


def settings_of(preset: str, **options: Any) -> Settings:
    """Return ``preset`` with ``options`` put into the settings that they stand for, each by its short name."""
    return load_settings(preset, {_SETTINGS.get(name, name): value for name, value in options.items()})
