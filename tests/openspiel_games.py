"""Play, train and resume every game of OpenSpiel that is deterministic, open and sequential, and print a table.

    python -P tests/openspiel_games.py [NAME ...] [--json FILE] [--seconds 1]

One process a game, so that one that ends it is a row. Moves/s are of random games through `OpenSpiel`, by one core,
with the codes of each position; "trains" means 20 steps of a small net, then 20 more by --resume.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.games.factory import make_game

_SMALL = (
    "net.blocks=1", "net.channels=8", "net.value_hidden=8", "search.num_simulations=2", "search.leaves_per_game=2",
    "selfplay.games_per_worker=2", "learner.batch_size=8", "replay.min_games=1",
)  # fmt: skip
_STEPS = 20


def names() -> list[str]:
    """Return OpenSpiel's names of the games that may be played."""
    import pyspiel

    kinds = pyspiel.GameType
    return [
        kind.short_name
        for kind in pyspiel.registered_games()
        if kind.chance_mode == kinds.ChanceMode.DETERMINISTIC
        and kind.information == kinds.Information.PERFECT_INFORMATION
        and kind.dynamics == kinds.Dynamics.SEQUENTIAL
    ]


def play(name: str, seconds: float) -> dict[str, Any]:
    """Return what the game is, and moves/s of random play."""
    try:
        game = make_game(load_settings("quick", {"game.name": f"openspiel:{name}"}).game)
    except SettingsError as error:
        return {"refused": str(error)}
    shapes, rng, row = game.shapes, np.random.default_rng(0), np.zeros(1, np.int32)
    mask, codes = np.zeros((1, game.num_actions), np.bool_), np.zeros((1, shapes.code_length), np.int8)
    moves, passes, games, began = 0, 0, 0, time.perf_counter()
    while games == 0 or time.perf_counter() - began < seconds:
        states = game.new_states(1)
        while states.winner[0] < 0:
            game.codes(states, row, codes)
            game.legal_mask(states, row, mask)
            action = int(rng.choice(np.flatnonzero(mask[0])))
            passes += action == game.num_actions - 1
            game.step(states, row, np.array([action]), row)
            moves += 1
        games += 1
    return {
        "board": f"{shapes.board_size}x{shapes.board_width}",
        "planes": shapes.num_planes,
        "actions": game.num_actions - 1,
        "policy": "cells" if shapes.cell_actions else "dense",
        "passes": passes > 0,
        "plies": moves / games,
        "moves_a_second": moves / (time.perf_counter() - began),
    }


def train(name: str) -> dict[str, Any]:
    """Return whether a small net is trained and its run resumed; what a failure said."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        settings = [word for setting in _SMALL for word in ("--set", setting)]
        first = ["--game", f"openspiel:{name}", "--steps", str(_STEPS), "--run-dir", run, *settings]
        for words in (first, ["--resume", run, "--steps", str(2 * _STEPS)]):
            done = subprocess.run(
                [sys.executable, "-P", "-m", "hexpipe", "train", *words], capture_output=True, text=True, check=False
            )
            if done.returncode:
                said = done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"]
                return {"trains": False, "why": said[-1]}
    return {"trains": True}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(play(given.names[0], given.seconds)))  # noqa: T201
        return
    found: dict[str, dict[str, Any]] = {}
    for name in given.names or names():
        words = [sys.executable, "-P", __file__, name, "--one", "--seconds", str(given.seconds)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        ended = {"refused": f"its process ended ({done.returncode})"}
        told = json.loads(done.stdout) if done.returncode == 0 else ended
        found[name] = told if "refused" in told else told | train(name)
        print(_row(name, found[name]), flush=True)  # noqa: T201
        if given.json is not None:
            given.json.write_text(json.dumps(found, indent=1))


def _row(name: str, told: dict[str, Any]) -> str:
    if "refused" in told:
        return f"| {name} | no: {told['refused'].partition(': ')[2] or told['refused']} | | | | | |"
    trains = "yes" if told["trains"] else f"no: {told['why']}"
    passes = ", passes" if told["passes"] else ""
    return (
        f"| {name} | {told['board']}, {told['planes']} planes{passes} | {told['actions']:,} | {told['policy']} "
        f"| {told['plies']:,.0f} | {told['moves_a_second']:,.0f} | {trains} |"
    )


if __name__ == "__main__":
    main()
