"""How often a net of Connect Four keeps the value of a position, by a perfect solver.

    python -P tests/connect_four.py RUN [--simulations 100] [--positions 1000] [--seed 0]

The solver is the package bitbully. Positions come from balanced openings: eight plies at random that nobody has won and
that are a draw by perfect play. Half of them are such openings, half are 1 to 16 random moves further on. A move keeps
the value if the mover's result by perfect play (won, drawn, lost) is the same after it; from a lost position every move
does, so that those are left out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from hexpipe.arena.engine import Engine
from hexpipe.games.board_moves import legal_moves
from hexpipe.games.connect4.rules import ConnectFour
from hexpipe.games.game_env import ONGOING
from hexpipe.wording import counted

_OPENING, _FURTHER = 8, 16


def scores(columns: list[int]) -> dict[int, int]:
    """Return the mover's score of each column that is not full after ``columns``: above 0 won, 0 drawn, below lost."""
    import bitbully

    board = bitbully.Board()
    for column in columns:
        assert board.play(column)
    solver = bitbully.BitBully()
    return {int(column): int(score) for column, score in solver.score_all_moves(board).items()}


def draw(game: ConnectFour, rng: np.random.Generator, further: bool) -> list[int] | None:
    """Return the moves of one position, None if these do not lead to one."""
    moves: list[int] = []
    plies = _OPENING + (int(rng.integers(1, _FURTHER + 1)) if further else 0)
    for ply in range(plies):
        states = game.play(moves)
        if states.winner[0] != ONGOING:
            return None
        if ply == _OPENING and max(scores(columns(game, moves)).values()) != 0:
            return None
        moves.append(int(rng.choice(legal_moves(game, states))))
    if game.play(moves).winner[0] != ONGOING:
        return None
    return moves


def columns(game: ConnectFour, moves: list[int]) -> list[int]:
    """Return the columns of ``moves``."""
    return [move % game.board_width for move in moves]


def main() -> None:
    """Print the share of positions whose value the net keeps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    engine, rng = Engine(given.run), np.random.default_rng(given.seed)
    game = engine.game
    assert isinstance(game, ConnectFour)
    asked: list[list[int]] = []
    truth: list[dict[int, int]] = []
    seen: set[bytes] = set()
    while len(asked) < given.positions:
        moves = draw(game, rng, further=2 * len(asked) >= given.positions)
        if moves is None or (key := game.play(moves).cells.tobytes()) in seen:
            continue
        told = scores(columns(game, moves))
        best = max(told.values())
        if best < 0 or (best != 0 and 2 * len(asked) < given.positions):
            continue
        seen.add(key)
        asked.append(moves)
        truth.append(told)
    kept = Counter[str]()
    number = Counter[str]()
    for told, move in zip(truth, engine.choose(asked, given.simulations).tolist(), strict=True):
        best, chosen = max(told.values()), told[move % game.board_width]
        kind = "won" if best > 0 else "drawn"
        hard = any(np.sign(score) != np.sign(best) for score in told.values())
        for name in ("all", kind, *(["where some moves lose it"] if hard else [])):
            number[name] += 1
            kept[name] += int(np.sign(chosen) == np.sign(best))
    for name, count in number.items():
        print(f"{name}: {kept[name]} of {counted(count, 'position')}, {kept[name] / count:.1%}")  # noqa: T201


if __name__ == "__main__":
    main()
