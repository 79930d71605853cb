"""How well a run for three players learned: its newest net in one seat, random players or another net in both others.

    python -P tests/three_players.py RUN [--against CHECKPOINT] [--games 60] [--simulations 32] [--seed 7]

Every seat is sat in equally often. Games are on the run's own board to their ends, without the step cap of self-play,
and begin with three random plies, as nets play one game alike. Prints first places (a third is chance), and the plies
of the games.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from hexpipe.arena.contestants import EnginePlayer
from hexpipe.arena.engine import Engine
from hexpipe.arena.match import play_match
from hexpipe.arena.players import Player, RandomPlayer


def first_places(engine: Engine, own: Player, others: Player, games: int, seed: int) -> tuple[list[int], list[int]]:
    """First places of ``own`` by seat in ``games`` games with ``others`` in both other seats, and the games' plies."""
    mine = np.arange(games) % 3
    seats = np.ones((games, 3), np.int64)
    seats[np.arange(games), mine] = 0
    rng = np.random.default_rng(seed)
    openings = [rng.choice(engine.game.board_size**2, 3, replace=False).tolist() for _ in range(games)]
    played = play_match(engine.game, [own, others], seats, openings)
    first = played.outcomes[np.arange(games), mine] == played.outcomes.max(axis=1)
    return [int(first[mine == seat].sum()) for seat in range(3)], [len(moves) for moves in played.moves]


def main() -> None:
    """Play the games that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--games", type=int, default=60)
    parser.add_argument("--simulations", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    began, engine = time.monotonic(), Engine(given.run)
    others: Player = RandomPlayer(engine.game, given.seed)
    if given.against is not None:
        others = EnginePlayer(Engine(given.against), given.simulations)
    by_seat, plies = first_places(engine, EnginePlayer(engine, given.simulations), others, given.games, given.seed)
    least, median, most = np.percentile(plies, [0, 50, 100]).astype(int).tolist()
    print(  # noqa: T201
        f"{engine.checkpoint.path.name} against two of {given.against or 'random'}: first in {sum(by_seat)} of "
        f"{given.games} games ({by_seat} by seat), {least} to {most} plies, median {median}; "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
