"""Runs that hexpipe 0.1.0 (commit a16a737) has made; tests/runs_of_0_1_0/README.md says how."""

from __future__ import annotations

import importlib
import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hexpipe.games.factory import make_stages
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator, PoolShape
from hexpipe.nets.backend_latent import LatentBackend
from hexpipe.nets.backend_torch import EagerBackend
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.game_list import GameFilter, find_games, moves_of_record
from hexpipe.run_folder import read_settings
from hexpipe.search.evaluator import Moves

FOLDER = Path(__file__).parent / "runs_of_0_1_0"
NAMES = ("hex-5x5", "hex-swap", "inarow-3", "inarow-stages", "tictactoe-muzero", "drop")
OWN_GAME = "mygames.drop:Drop"
"""The game of "drop", of the page about games of one's own."""


def unpack(name: str, parent: Path) -> Path:
    """A copy of the run ``name`` in the folder ``parent``, files 0600 and folders 0700 as a run leaves them."""
    with tarfile.open(FOLDER / f"{name}.tar.gz") as archive:
        archive.extractall(parent, filter="data")
    return parent / name


def write_own_game(parent: Path) -> None:
    """Make mygames/drop.py in the folder ``parent``; put that on the path of whoever is to import it."""
    (parent / "mygames").mkdir()
    code = (Path(__file__).parent / "games" / "drop.py").read_text(encoding="utf-8")
    (parent / "mygames" / "drop.py").write_text(code, encoding="utf-8")


def facts_of(run: Path) -> dict[str, Any]:
    """What must be read in a run for good: its games by their moves, and what its net says of the empty board.

    In runs_of_0_1_0/facts.json is what commit a16a737 read: `python -m tests.old_runs > facts.json`, in its checkout.
    """
    settings = read_settings(run)
    stages = make_stages(settings)
    with ReplayArchive(run / "archive.sqlite", stages, read_only=True) as archive:
        games = [
            [moves_of_record(stages, archive.read(game.number)), game.winner, game.plies, game.weights_version]
            for game in find_games(archive, GameFilter(), None)
        ]
    checkpoint, game = load_checkpoint(run), stages[-1]
    evaluator: LocalEvaluator | LocalLatentEvaluator
    if settings.algorithm == "muzero":
        net = LatentBackend(settings.net, game.shapes, 8, "float32", "cpu")
        evaluator = LocalLatentEvaluator(net, game.shapes, PoolShape(1, 8), groups=1)
    else:
        evaluator = LocalEvaluator(EagerBackend(settings.net, game.shapes), game.shapes, groups=1)
    evaluator.load(checkpoint.step, checkpoint.play_weights)
    states, codes = game.new_states(1), np.zeros((1, game.shapes.code_length), np.int8)
    game.codes(states, np.arange(1), codes)
    none = np.zeros(0, np.int32)
    root = Moves(none, none, np.zeros(1, np.int32)) if settings.algorithm == "muzero" else None
    evaluator.submit(0, codes, root)
    answer = evaluator.collect(0).answers
    return {
        "step": checkpoint.step,
        "games": games,
        "priors": answer.priors[0].astype(float).round(5).tolist(),
        "values": answer.values[0].astype(float).round(5).tolist(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write_own_game(Path(folder))
        sys.path.append(folder)
        importlib.import_module("mygames.drop")
        sys.stdout.write(json.dumps({name: facts_of(unpack(name, Path(folder))) for name in NAMES}) + "\n")
