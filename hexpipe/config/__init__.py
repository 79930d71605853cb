"""All settings with their defaults and ranges: the only place of defaults.

Settings are frozen pydantic models. `load_settings` starts from a preset and applies dotted overrides
(``search.num_simulations=64``); `dump_settings` writes what `settings_from_json` reads back.
"""

from hexpipe.config.breakthrough_options import BreakthroughOptions
from hexpipe.config.connect4_options import ConnectFourOptions
from hexpipe.config.game import MAX_ACTIONS, MAX_PLANES, NEVER, NUMBERS, OFF_BOARD, GameSettings, Plane, Shapes
from hexpipe.config.game_options import GameOptions
from hexpipe.config.go_options import GoOptions
from hexpipe.config.growing import new_run_settings
from hexpipe.config.hex_options import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.config.inarow_options import MAX_VIEW_SIZE, InARowOptions
from hexpipe.config.loading import (
    changed_settings,
    dump_settings,
    flatten,
    load_settings,
    override_settings,
    settings_from_json,
    settings_on_board,
)
from hexpipe.config.openspiel_options import OpenSpielOptions
from hexpipe.config.othello_options import OthelloOptions
from hexpipe.config.presets import ENGRAM_ENTRIES, PRESETS
from hexpipe.config.sections import (
    AUTO,
    InferenceSettings,
    LearnerSettings,
    LimitSettings,
    NetSettings,
    ReplaySettings,
    SearchSettings,
    TrackingSettings,
    named_devices,
)
from hexpipe.config.settings import Settings

__all__ = [
    "AUTO",
    "ENGRAM_ENTRIES",
    "MAX_ACTIONS",
    "MAX_HEX_SIZE",
    "MAX_PLANES",
    "MAX_VIEW_SIZE",
    "MIN_HEX_SIZE",
    "NEVER",
    "NUMBERS",
    "OFF_BOARD",
    "PRESETS",
    "BreakthroughOptions",
    "ConnectFourOptions",
    "GameOptions",
    "GameSettings",
    "GoOptions",
    "InARowOptions",
    "InferenceSettings",
    "LearnerSettings",
    "LimitSettings",
    "NetSettings",
    "OpenSpielOptions",
    "OthelloOptions",
    "Plane",
    "ReplaySettings",
    "SearchSettings",
    "Settings",
    "Shapes",
    "TrackingSettings",
    "changed_settings",
    "dump_settings",
    "flatten",
    "load_settings",
    "named_devices",
    "new_run_settings",
    "override_settings",
    "settings_from_json",
    "settings_on_board",
]
