"""hexpipe: AlphaZero and MuZero training for board games on one machine: many processes, one loop.

Exports the names that a user's script starts from; each is imported on first access.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hexpipe.kernel_cache import choose_folder

if TYPE_CHECKING:
    from hexpipe.arena.contestants import EnginePlayer as EnginePlayer
    from hexpipe.arena.engine import Engine as Engine
    from hexpipe.arena.match import play_match as play_match
    from hexpipe.arena.players import NetPlayer as NetPlayer
    from hexpipe.arena.players import RandomPlayer as RandomPlayer
    from hexpipe.config import load_settings as load_settings
    from hexpipe.games.factory import make_game as make_game
    from hexpipe.inference.inference_server import LocalEvaluator as LocalEvaluator
    from hexpipe.inference.simple_model_inference import SimpleModelInference as SimpleModelInference
    from hexpipe.learner.batches import training_batch as training_batch
    from hexpipe.learner.learner import Learner as Learner
    from hexpipe.nets.backend_torch import EagerBackend as EagerBackend
    from hexpipe.nets.checkpoints import load_checkpoint as load_checkpoint
    from hexpipe.replay.replay_buffer import ReplayBuffer as ReplayBuffer
    from hexpipe.search.mcts import Mcts as Mcts
    from hexpipe.selfplay.self_play import SelfPlay as SelfPlay

__version__ = "0.1.0"

choose_folder()

_WHERE = {
    "Engine": "arena.engine",
    "EnginePlayer": "arena.contestants",
    "play_match": "arena.match",
    "NetPlayer": "arena.players",
    "RandomPlayer": "arena.players",
    "load_settings": "config",
    "make_game": "games.factory",
    "LocalEvaluator": "inference.inference_server",
    "SimpleModelInference": "inference.simple_model_inference",
    "training_batch": "learner.batches",
    "Learner": "learner.learner",
    "EagerBackend": "nets.backend_torch",
    "load_checkpoint": "nets.checkpoints",
    "ReplayBuffer": "replay.replay_buffer",
    "Mcts": "search.mcts",
    "SelfPlay": "selfplay.self_play",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"hexpipe.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'hexpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
