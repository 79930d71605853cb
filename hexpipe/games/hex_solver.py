"""Exact results of Hex positions on boards up to 5x5: the ground truth for tests and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.config import MIN_HEX_SIZE
from hexpipe.errors import NotationError, SettingsError, UsageError
from hexpipe.games import hex_solver_kernels as kernels
from hexpipe.games import player_utils
from hexpipe.games.coordinates import action_name
from hexpipe.games.game_env import ONGOING, Game, Int8Array
from hexpipe.games.hex import Hex

MAX_SOLVER_SIZE = 5
_DRAWS_WITHOUT_NEWS = 10_000
_TABLE_ENTRIES = 1 << 20  # 16 MiB; all first moves of 5x5 fill a fifth of it


def is_solvable(game: Game) -> bool:
    """Return whether a solver supports the boards of ``game``. It ignores the swap rule: the caller must handle it."""
    return isinstance(game, Hex) and game.board_size <= MAX_SOLVER_SIZE


class HexSolver:
    """A solver of n x n boards: the winner of a position, and the winning moves; the swap rule is ignored.

    Positions are absolute cells int8 [n * n] (0 empty, 1 black, 2 white) with the colour to move (0 black, 1 white),
    for any numbers of stones. A solver caches its results in a transposition table and is not thread-safe.
    """

    def __init__(self, board_size: int) -> None:
        if not MIN_HEX_SIZE <= board_size <= MAX_SOLVER_SIZE:
            words = (
                f"the solver is exact for boards of {MIN_HEX_SIZE} to {MAX_SOLVER_SIZE} cells a side, not {board_size}"
            )
            raise SettingsError(words, kind="range", setting="game.board_size", low=MIN_HEX_SIZE, high=MAX_SOLVER_SIZE)
        kernel_cache.need("solver")
        area = board_size**2
        self.board_size = board_size
        top, left = (1 << board_size) - 1, sum(1 << (row * board_size) for row in range(board_size))
        self._edges = (top, top << (area - board_size), left, left << (board_size - 1))
        keys, results = np.zeros(_TABLE_ENTRIES, np.int64), np.zeros(_TABLE_ENTRIES, np.int64)
        frames, scratch = np.zeros((area + 1, 7), np.int64), np.zeros((area + 1, 3, area), np.int64)
        self._tables = (board_size, self._edges, keys, results, frames, scratch)
        self._weights = np.left_shift(1, np.arange(area, dtype=np.int64))

    def value(self, cells: Int8Array, colour: int) -> int:
        """Return 1 if ``colour``, which is to move, wins with best play, else -1."""
        black, white = self._bits(cells)
        for side, stones in enumerate((black, white)):
            if kernels.connects(stones, side, self.board_size, self._edges):
                return 1 if side == colour else -1
        found = kernels.solve(black, white, colour, *self._tables)
        return 1 if found & 1 else -1

    def winning_moves(self, cells: Int8Array, colour: int) -> list[int]:
        """Return every winning cell of ``colour``, which is to move, in order; none if the game is over."""
        black, white = self._bits(cells)
        if self.winner(cells) is not None:
            return []
        found = kernels.winning_moves(black, white, colour, *self._tables)
        return [cell for cell in range(self.board_size**2) if found >> cell & 1]

    def winner(self, cells: Int8Array) -> int | None:
        """Return the colour that has connected its edges, if one has."""
        for colour, stones in enumerate(self._bits(cells)):
            if kernels.connects(stones, colour, self.board_size, self._edges):
                return colour
        return None

    def _bits(self, cells: Int8Array) -> tuple[int, int]:
        flat = np.asarray(cells).reshape(-1)
        if len(flat) != len(self._weights):
            raise NotationError(
                f"the position has {len(flat)} cells, the solver's board {len(self._weights)}", kind="board"
            )
        return int(self._weights[flat == 1].sum()), int(self._weights[flat == 2].sum())


class LabelledPosition(NamedTuple):
    """A solved position: absolute moves, the colour to move, 1 or -1 for it, and its winning moves."""

    moves: list[int]
    to_move: int
    value: int
    winning_moves: list[int]

    def as_json(self, board_size: int) -> dict[str, Any]:
        """Return the position as JSON, a line of a file of solved positions."""
        names = [[action_name(move, board_size) for move in moves] for moves in (self.moves, self.winning_moves)]
        return {
            "n": board_size,
            "moves": names[0],
            "to_move": player_utils.COLOURS[self.to_move],
            "value": self.value,
            "winning_moves": names[1],
        }


def label(solver: HexSolver, moves: Sequence[int]) -> LabelledPosition:
    """Solve the position after ``moves``.

    IllegalMoveError if one of them is illegal; NotationError if the game is over.
    """
    states = Hex(solver.board_size).play(moves)
    if states.winner[0] != ONGOING:
        raise NotationError(
            f"{player_utils.COLOURS[states.winner[0]]} has already won: there is nothing to solve", kind="over"
        )
    to_move = int(states.view[0])
    winning = solver.winning_moves(states.cells[0], to_move)
    return LabelledPosition(list(moves), to_move, 1 if winning else -1, winning)


def random_positions(board_size: int, count: int, seed: int) -> Iterator[LabelledPosition]:
    """Yield ``count`` different undecided positions of random play, with uniform numbers of plies.

    They are determined by the seed. UsageError if there are not so many.
    """
    area = board_size**2
    return _different_positions(board_size, count, seed, lambda rng: rng.permutation(area)[: rng.integers(area)])


def positions_of_games(
    board_size: int, games: Sequence[NDArray[np.int16]], count: int, seed: int
) -> Iterator[LabelledPosition]:
    """Yield ``count`` different positions of ``games``, each given by its moves int16 [T] without swap.

    Game, then ply, are drawn uniformly, determined by the seed. UsageError if there are not so many.
    """

    def draw(rng: np.random.Generator) -> NDArray[np.int16]:
        moves = games[int(rng.integers(len(games)))]
        played: NDArray[np.int16] = moves[: int(rng.integers(len(moves)))]
        return played

    return _different_positions(board_size, count, seed, draw)


def _different_positions(
    board_size: int, count: int, seed: int, draw: Callable[[np.random.Generator], NDArray[np.integer[Any]]]
) -> Iterator[LabelledPosition]:
    """Yield positions after the moves of ``draw``, except decided or repeated ones."""
    # not a stream of `random_streams`: files of positions are identified by their seed, as drawn by version 0.1.0
    solver, generator = HexSolver(board_size), np.random.default_rng(seed)
    area = board_size**2
    seen: set[bytes] = set()
    misses = 0
    while len(seen) < count:
        moves = draw(generator)
        cells = np.zeros(area, np.int8)
        cells[moves[::2]], cells[moves[1::2]] = 1, 2
        if cells.tobytes() in seen or solver.winner(cells) is not None:
            misses += 1
            if misses == _DRAWS_WITHOUT_NEWS:
                words = f"found only {len(seen)} different {board_size}x{board_size} positions; ask for fewer"
                raise UsageError(words, kind="range", high=len(seen))
            continue
        misses = 0
        seen.add(cells.tobytes())
        yield label(solver, [int(move) for move in moves])
