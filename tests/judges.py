"""Make a file of solved positions of Hex to hold nets against, by quota, and never train on it.

    python -P tests/judges.py SIZE FILE --count 1000 --run RUN [--run RUN ...] [--effort N] [--seed N]

Half are positions of random play, half of games of the runs' archives, all ages alike; of each half 30 % are lost for
the side to move, 20 % have one winning move, 25 % two to four, 25 % more. No two are the same, also turned by half.
Positions that take the solver more than the effort are left out. ``source`` of a line says where it is from. Called
again with a FILE that is not whole yet, it goes on with that.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hexpipe import kernel_cache
from hexpipe.errors import UnsolvedError
from hexpipe.games.coordinates import parse_cell
from hexpipe.games.factory import make_stages
from hexpipe.games.hex_solver import HexSolver, label
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, read_settings

QUOTA = {"lost": 0.30, "one": 0.20, "few": 0.25, "many": 0.25}
Draw = Callable[[np.random.Generator], list[int]]


def kind(winning: int) -> str:
    return "lost" if winning == 0 else "one" if winning == 1 else "few" if winning <= 4 else "many"


def key_of(moves: list[int], size: int) -> tuple[np.ndarray, bytes]:
    """The cells int8 after ``moves``, and what they and their half turn have in common."""
    cells = np.zeros(size**2, np.int8)
    cells[moves[::2]], cells[moves[1::2]] = 1, 2
    return cells, min(cells.tobytes(), cells[::-1].tobytes())


def random_draw(size: int) -> Draw:
    area = size * size
    return lambda rng: rng.permutation(area)[: rng.integers(area)].tolist()


def games_draw(size: int, runs: list[Path]) -> Draw:
    """Positions of all games of that size in the runs' archives, without swap."""
    games: list[np.ndarray] = []
    for run in runs:
        with ReplayArchive(run / ARCHIVE_NAME, make_stages(read_settings(run)), read_only=True) as archive:
            found = archive.newest(10**9, 10**9, lambda plies, policy_bytes: 0, [size])
            games += [record.actions for _, record in found]
    print(f"{len(games)} games", file=sys.stderr)  # noqa: T201

    def draw(rng: np.random.Generator) -> list[int]:
        moves = games[int(rng.integers(len(games)))]
        return [int(move) for move in moves[: int(rng.integers(len(moves)))]]

    return draw


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("size", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--run", type=Path, action="append", default=[])
    parser.add_argument("--effort", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    kernel_cache.take_as_ready()
    rng, solver = np.random.default_rng(given.seed), HexSolver(given.size, given.effort)
    seen: set[bytes] = set()
    there = Counter[tuple[str, str]]()
    for line in given.file.read_text().splitlines() if given.file.exists() else ():
        told = json.loads(line)
        seen.add(key_of([parse_cell(move, given.size) for move in told["moves"]], given.size)[1])
        there[told["source"], kind(len(told["winning_moves"]))] += 1
    for source, draw in (("random", random_draw(given.size)), ("games", games_draw(given.size, given.run))):
        wanted = {name: round(share * given.count / 2) for name, share in QUOTA.items()}
        unsolved, began = 0, time.monotonic()
        found = Counter({name: there[source, name] for name in wanted})
        while any(found[name] < wanted[name] for name in wanted):
            moves = draw(rng)
            cells, key = key_of(moves, given.size)
            if solver.winner(cells) is not None or key in seen:
                continue
            seen.add(key)
            try:
                solved = label(solver, moves)
            except UnsolvedError:
                unsolved += 1
                continue
            name = kind(len(solved.winning_moves))
            if found[name] < wanted[name]:
                found[name] += 1
                with given.file.open("a") as file:
                    file.write(json.dumps({**solved.as_json(given.size), "source": source}) + "\n")
                said = f"\r{source}: {dict(found)}, {unsolved} unsolved, {time.monotonic() - began:.0f} s"
                print(said, end="", file=sys.stderr)  # noqa: T201
        print(file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
