"""Agreement of the net in training with an exact solver."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hexpipe.arena.solved_positions import QUICKLY_SOLVED, has_solved_positions, packaged_positions, read_positions
from hexpipe.games.game_env import ONGOING, Game, States
from hexpipe.games.hex_solver import HexSolver
from hexpipe.nets.factory import Net
from hexpipe.random_streams import Stream, generator

log = logging.getLogger(__name__)

_POSITIONS = 256
_BUDGET_SECONDS = 20.0


class SolverCheck:
    """Solved positions, made on a background thread; `score` tests a net on them.

    On boards that are quickly solved they are of random play, else those of hexpipe's own file.
    """

    def __init__(self, game: Game, seed: int) -> None:
        self._game = game
        self._codes: NDArray[np.int8] = np.zeros((0, game.shapes.code_length), np.int8)
        self._values: NDArray[np.int8] = np.zeros(0, np.int8)
        self._winning: NDArray[np.bool_] = np.zeros((0, game.num_actions), np.bool_)
        self._ready = threading.Event()
        threading.Thread(target=self._make, args=(seed,), name="solver-check", daemon=True).start()

    @classmethod
    def create(cls, game: Game, seed: int) -> SolverCheck | None:
        """Return a check for ``game``, None where no solver supports its boards."""
        return cls(game, seed) if has_solved_positions(game) else None

    def wait(self, timeout: float) -> bool:
        """Wait for the positions, ``timeout`` seconds at most; return whether they are ready."""
        return self._ready.wait(timeout)

    @torch.no_grad()
    def score(self, net: Net, device: torch.device) -> tuple[float, float] | None:
        """Return (share of positions whose value has the right sign, share of won positions whose likeliest move wins).

        Won and lost positions count half each, so an untrained net scores 0.5 in the first. None until the positions
        are made.
        """
        if not self._ready.is_set() or not 0 < int((self._values > 0).sum()) < len(self._values):
            return None
        policy, value = net.root_logits(torch.from_numpy(self._codes).to(device))
        mover_wins = (value[:, 0] > value[:, 1]).cpu().numpy()
        chosen = policy.argmax(dim=1).cpu().numpy()
        won = self._values > 0
        right = 0.5 * float(mover_wins[won].mean() + (~mover_wins[~won]).mean())
        found = self._winning[np.arange(len(chosen)), chosen]
        return right, float(found[won].mean())

    def _make(self, seed: int) -> None:
        game = self._game
        codes: list[NDArray[np.int8]] = []
        values: list[int] = []
        winning: list[NDArray[np.bool_]] = []
        row, end = np.zeros(1, np.int32), time.monotonic() + _BUDGET_SECONDS
        solved = self._random(seed) if game.board_size <= QUICKLY_SOLVED else self._read()
        for states, best in solved:
            code = np.zeros((1, game.shapes.code_length), np.int8)
            game.codes(states, row, code)
            moves = np.zeros(game.num_actions, np.bool_)
            moves[game.action_view[int(states.view[0]), np.array(best, np.int64)]] = True
            codes.append(code[0])
            values.append(1 if best else -1)
            winning.append(moves)
            if time.monotonic() > end:
                break
            time.sleep(0)  # yields to training
        self._codes, self._values, self._winning = np.array(codes), np.array(values, np.int8), np.array(winning)
        self._ready.set()
        log.info("%d solved positions to hold the net against", len(values))

    def _random(self, seed: int) -> Iterator[tuple[States, list[int]]]:
        """Yield `_POSITIONS` positions after 0 to 2/3 n*n random stones, with their winning moves."""
        game, rng = self._game, generator(Stream.SOLVER_CHECK, seed)
        solver = HexSolver(game.board_size)
        area, row, found = game.board_size**2, np.zeros(1, np.int32), 0
        while found < _POSITIONS:
            states = game.new_states(1)
            for move in rng.permutation(area)[: int(rng.integers(0, 2 * area // 3))]:
                game.step(states, row, np.array([move], np.int32), row)
                if states.winner[0] != ONGOING:
                    break
            if states.winner[0] != ONGOING or (game.swap and states.ply[0] == 1):
                continue  # the solver does not support swap
            found += 1
            yield states, solver.winning_moves(states.cells[0], int(states.view[0]))

    def _read(self) -> Iterator[tuple[States, list[int]]]:
        """Yield about `_POSITIONS` of hexpipe's own file, except those in which a swap is legal."""
        every = read_positions(packaged_positions(self._game.board_size))
        for position in every[:: -(-len(every) // _POSITIONS)]:
            if not (self._game.swap and len(position.moves) == 1):
                yield self._game.play(position.moves), sorted(position.winning_moves)
