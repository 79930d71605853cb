"""What a run knows of the 49 first moves of Hex 7x7, of which it is known who wins (`FIRST_MOVES`).

    python -P tests/first_moves.py RUN [--simulations 100] [--sign-simulations 800] [--playouts 10000] [--size 7]

First the signs of the values after each move, by a search of ``--sign-simulations``. Then games that begin with each,
one as either colour, ``--simulations`` a move against plain UCT of ``--playouts`` (the arena's uct:N): of each two
games theory gives one to the net.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from hexpipe.arena.contestants import EnginePlayer
from hexpipe.arena.engine import Engine
from hexpipe.arena.match import play_match
from hexpipe.arena.uct import UctPlayer
from tests.games.test_hex_solver import FIRST_MOVES


def main() -> None:
    """Print the signs that are right, and the games that were won."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--size", type=int, default=7)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--sign-simulations", type=int, default=800)
    parser.add_argument("--playouts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began, engine = time.monotonic(), Engine(given.run, board_size=given.size, swap=False)
    wins = np.array([mark == "#" for mark in "".join(FIRST_MOVES[given.size])])
    openings = [[cell] for cell in range(len(wins))]
    # the second player is to move: where the move wins, it is losing
    found = [float(analysis.values[0]) > 0 for analysis in engine.analyse(openings, given.sign_simulations)]
    signs = int((np.array(found) == wins).sum())
    print(f"signs by a search of {given.sign_simulations}: {signs} of {len(wins)} right")  # noqa: T201
    seats = np.array([(0, 1), (1, 0)] * len(wins), np.int64)
    players = (EnginePlayer(engine, given.simulations), UctPlayer(engine.game, given.playouts, given.seed))
    played = play_match(engine.game, players, seats, [opening for opening in openings for _ in range(2)])
    won = (played.outcomes[:, 0] > 0).reshape(-1, 2) == (True, False)  # by the net, as first and as second
    due = np.stack([wins, ~wins], axis=1)
    print(  # noqa: T201
        f"{given.simulations} simulations against uct:{given.playouts}: won {won[due].sum()} of the {due.sum()} games "
        f"that theory gives to the net and {won[~due].sum()} of the other {(~due).sum()}; "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
