"""Named sets of settings: presets, and those of an algorithm."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "game": {"board_size": 5},
        "net": {"blocks": 4, "channels": 32, "value_hidden": 32},
        "search": {"root": "gumbel", "num_simulations": 32, "gumbel_c_scale": 0.2},
        "selfplay": {"opening_random_plies": 3},
        "replay": {"max_games": 24_000},
        "learner": {"batch_size": 128, "learning_rate": 6e-3, "replay_ratio": 2.0, "checkpoint_minutes": 1.0},
        "limits": {"minutes": 10.0},
    },
    "small": {
        "game": {"board_size": 7},
        "net": {"blocks": 5, "channels": 48, "value_hidden": 48},
        "search": {"root": "gumbel", "num_simulations": 32, "gumbel_c_scale": 0.2},
        "selfplay": {"opening_random_plies": 3},
        "replay": {"max_games": 50_000},
        "learner": {"batch_size": 128, "learning_rate": 6e-3, "replay_ratio": 2.0},
    },
    "standard": {
        "game": {"board_size": 11},
        "net": {"blocks": 6, "channels": 64},
        "search": {"num_simulations": 200},
        "selfplay": {"temperature_plies": 16},
        "replay": {"max_memory_gb": 4.0},
    },
    "eight": {
        "game": {"name": "inarow", "board_size": 100, "players": 3, "win_length": 8},
        "net": {"blocks": 4, "channels": 32, "value_hidden": 32},
        "search": {"root": "gumbel", "num_simulations": 32, "gumbel_considered": 32},
        "replay": {"max_games": 20_000, "min_games": 50},
        "learner": {"batch_size": 128, "learning_rate": 3e-3, "replay_ratio": 6.0, "checkpoint_minutes": 1.0},
    },
    "large": {
        "game": {"board_size": 13},
        "net": {"blocks": 12, "channels": 128, "value_hidden": 128},
        "search": {"num_simulations": 400, "leaves_per_game": 8},
        "selfplay": {"games_per_worker": 128, "temperature_plies": 20},
        "inference": {"max_batch": 1024},
        "replay": {"max_memory_gb": 16.0, "max_games": 1_000_000},
        "learner": {"batch_size": 1024},
    },
}


ALGORITHMS: dict[str, dict[str, Any]] = {
    "alphazero": {"net.dynamics_blocks": 0},
    "muzero": {"net.dynamics_blocks": 2, "replay.td_steps": 5},
}
"""Settings that an algorithm sets beside the preset."""

ENGRAM_ENTRIES = 4096
"""Value of ``net.engram`` with the option --engram."""

QUICK_MUZERO = {
    "net.blocks": 2,
    "net.dynamics_blocks": 1,
    "search.gumbel_c_scale": 1.0,
    "replay.td_steps": 2,
    "replay.max_games": 4000,
    "learner.learning_rate": 2e-3,
    "learner.replay_ratio": 8.0,
}
"""Settings of muzero in the preset quick, where an unrolled step has to be cheap."""

QUICK_GROWN = {
    "search.gumbel_considered": 32,
    "search.gumbel_c_scale": 1.0,
    "replay.min_games": 50,
    "replay.max_games": 4000,
    "learner.learning_rate": 3e-3,
    "learner.replay_ratio": 6.0,
}
"""Settings of automatic growing boards in the preset quick, as in the preset eight: an untrained net's values of all
moves are nearly equal, and games on the first boards are short."""
