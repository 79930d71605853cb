"""Exact results of Hex positions: the ground truth for tests and scores.

Boards up to 6x6 are solved from anywhere, 7x7 and 8x8 where enough stones are on the board for the work allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.config import MIN_HEX_SIZE
from hexpipe.errors import NotationError, SettingsError, UnsolvedError, UsageError
from hexpipe.games import hex_bits_kernels as bits
from hexpipe.games import hex_solver_kernels as kernels
from hexpipe.games import player_utils
from hexpipe.games.coordinates import action_name
from hexpipe.games.game_env import ONGOING, Float32Array, Game, Int8Array, Int32Array, States
from hexpipe.games.hex import Hex
from hexpipe.games.hex_proof_kernels import prove

MAX_SOLVER_SIZE = bits.MAX_SIZE
MAX_SOLVABLE_SIZE = 6
"""The largest boards that are solved from anywhere."""
_DRAWS_WITHOUT_NEWS = 10_000
_PROVER_ENTRIES = 1 << 16
_TABLE_ENTRIES = {3: 1 << 12, 4: 1 << 16, 5: 1 << 20, 6: 1 << 22, 7: 1 << 23, 8: 1 << 23}
_ENTRY_BYTES = 8 * len(kernels.Table._fields)
_NO_LIMIT = 1 << 62
_USUAL_EFFORT = 2_000_000


def is_solvable(game: Game) -> bool:
    """Return whether any position of ``game`` can be solved. A solver ignores the swap rule: the caller must handle
    it."""
    return isinstance(game, Hex) and game.board_size <= MAX_SOLVABLE_SIZE


class HexSolver:
    """A solver of n x n boards: the winner of a position, and the winning moves; the swap rule is ignored.

    Positions are absolute cells int8 [n * n] (0 empty, 1 black, 2 white) with the colour to move (0 black, 1 white),
    for any numbers of stones. ``effort`` is how many positions may be judged for each move of a position, some 300,000
    a second; unset there is no limit up to 6x6, and above two million. A solver caches its results in a transposition
    table and is not thread-safe.
    """

    def __init__(self, board_size: int, effort: int | None = None) -> None:
        if not MIN_HEX_SIZE <= board_size <= MAX_SOLVER_SIZE:
            words = f"the solver knows boards of {MIN_HEX_SIZE} to {MAX_SOLVER_SIZE} cells a side, not {board_size}"
            raise SettingsError(words, kind="range", setting="game.board_size", low=MIN_HEX_SIZE, high=MAX_SOLVER_SIZE)
        kernel_cache.need("solver")
        self.board_size = board_size
        usual = _NO_LIMIT if board_size <= MAX_SOLVABLE_SIZE else _USUAL_EFFORT
        self._effort = usual if effort is None else effort
        self._geometry = bits.geometry(board_size)
        self._table, self._path = _new_table(_TABLE_ENTRIES[board_size]), _new_path(board_size**2)

    def value(self, cells: Int8Array, colour: int) -> int:
        """Return 1 if ``colour``, which is to move, wins with best play, else -1.

        UnsolvedError where the effort does not suffice.
        """
        black, white = self._bits(cells)
        for side, stones in enumerate((black, white)):
            if bits.connects(stones, side, self._geometry):
                return 1 if side == colour else -1
        found, _ = kernels.solve(black, white, colour, self._effort, self._geometry, self._table, self._path)
        if found == 0:
            raise self._unsolved()
        return int(found)

    def winning_moves(self, cells: Int8Array, colour: int) -> list[int]:
        """Return every winning cell of ``colour``, which is to move, in order; none if the game is over.

        UnsolvedError where the effort does not suffice.
        """
        black, white = self._bits(cells)
        if self.winner(cells) is not None:
            return []
        found, known = kernels.winning_moves(
            black, white, colour, self._effort, self._geometry, self._table, self._path
        )
        if not known:
            raise self._unsolved()
        return [cell for cell in range(self.board_size**2) if found >> cell & 1]

    def winner(self, cells: Int8Array) -> int | None:
        """Return the colour that has connected its edges, if one has."""
        for colour, stones in enumerate(self._bits(cells)):
            if bits.connects(stones, colour, self._geometry):
                return colour
        return None

    def _bits(self, cells: Int8Array) -> tuple[int, int]:
        flat = np.asarray(cells).reshape(-1)
        if len(flat) != self.board_size**2:
            words = f"the position has {len(flat)} cells, the solver's board {self.board_size**2}"
            raise NotationError(words, kind="board")
        black, white = (sum(1 << int(cell) for cell in np.flatnonzero(flat == stone)) for stone in (1, 2))
        return bits.signed(black), bits.signed(white)

    def _unsolved(self) -> UnsolvedError:
        words = f"not solved by judging {self._effort:,} positions a move: allow more, or play more moves first"
        return UnsolvedError(words, kind="range", low=self._effort)


class HexProver:
    """A solver of the leaves of a search, on boards of up to 8x8 cells: it judges ``effort`` positions for each."""

    def __init__(self, game: Hex, effort: int) -> None:
        kernel_cache.need("solver")
        board_size = game.board_size
        self._effort, self._first_ply = effort, 2 if game.swap else 0  # a swap is known to no solver
        self._geometry = bits.geometry(board_size)
        self._table, self._path = _new_table(_prover_entries(board_size)), _new_path(board_size**2)

    def prove(self, states: States, rows: Int32Array, ends: Int8Array, values: Float32Array) -> None:
        """Run `hex_proof_kernels.prove` on the rows ``rows`` int32 [k] of ``states``."""
        prove(
            states.cells,
            states.view,
            states.to_move,
            states.ply,
            rows,
            self._first_ply,
            self._effort,
            self._geometry,
            self._table,
            self._path,
            ends,
            values,
        )


def make_prover(game: Game, effort: int) -> HexProver | None:
    """Return a prover for ``game``; None where ``effort`` is 0, or it is not Hex or too large."""
    return HexProver(game, effort) if isinstance(game, Hex) and _is_proved(game, effort) else None


def prover_bytes(game: Game, effort: int) -> int:
    """Return the bytes of the table of `make_prover`, 0 without one."""
    return _ENTRY_BYTES * _prover_entries(game.board_size) if _is_proved(game, effort) else 0


def _is_proved(game: Game, effort: int) -> bool:
    return effort > 0 and isinstance(game, Hex) and game.board_size <= MAX_SOLVER_SIZE


def _prover_entries(board_size: int) -> int:
    return min(_PROVER_ENTRIES, _TABLE_ENTRIES[board_size])


def _new_table(entries: int) -> kernels.Table:
    return kernels.Table._make(np.zeros(entries, np.int64) for _ in kernels.Table._fields)


def _new_path(area: int) -> kernels.Levels:
    of_levels = [np.zeros(area + 1, np.int64) for _ in kernels.Levels._fields[:-2]]
    return kernels.Levels._make([*of_levels, np.zeros((area + 1, area), np.int64), np.zeros(area, np.int64)])


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


def random_positions(board_size: int, count: int, seed: int, effort: int | None = None) -> Iterator[LabelledPosition]:
    """Yield ``count`` different undecided positions of random play, with uniform numbers of plies.

    They are determined by the seed, without those that take more than the solver's ``effort``. UsageError if there are
    not so many.
    """
    area, solver = board_size**2, HexSolver(board_size, effort)
    return _different_positions(solver, count, seed, lambda rng: rng.permutation(area)[: rng.integers(area)])


def positions_of_games(
    board_size: int, games: Sequence[NDArray[np.int16]], count: int, seed: int, effort: int | None = None
) -> Iterator[LabelledPosition]:
    """Yield ``count`` different positions of ``games``, each given by its moves int16 [T] without swap.

    Game, then ply, are drawn uniformly, determined by the seed; positions that take more than the solver's ``effort``
    are left out. UsageError if there are not so many.
    """

    def draw(rng: np.random.Generator) -> NDArray[np.int16]:
        moves = games[int(rng.integers(len(games)))]
        played: NDArray[np.int16] = moves[: int(rng.integers(len(moves)))]
        return played

    return _different_positions(HexSolver(board_size, effort), count, seed, draw)


def _different_positions(
    solver: HexSolver, count: int, seed: int, draw: Callable[[np.random.Generator], NDArray[np.integer[Any]]]
) -> Iterator[LabelledPosition]:
    """Yield positions after the moves of ``draw``, except decided, repeated or unsolved ones."""
    # not a stream of `random_streams`: files of positions are identified by their seed, as drawn by version 0.1.0
    board_size, generator = solver.board_size, np.random.default_rng(seed)
    area = board_size**2
    seen: set[bytes] = set()
    found = misses = 0
    while found < count:
        moves = draw(generator)
        cells = np.zeros(area, np.int8)
        cells[moves[::2]], cells[moves[1::2]] = 1, 2
        solved = None
        if cells.tobytes() not in seen and solver.winner(cells) is None:
            seen.add(cells.tobytes())
            with suppress(UnsolvedError):
                solved = label(solver, [int(move) for move in moves])
        if solved is not None:
            misses, found = 0, found + 1
            yield solved
            continue
        misses += 1
        if misses == _DRAWS_WITHOUT_NEWS:
            words = f"found only {found} different {board_size}x{board_size} positions; ask for fewer"
            raise UsageError(words, kind="range", high=found)
