"""Agreement of the net in training with an exact solver, on small boards."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import torch
from numpy.typing import NDArray

from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.hex_solver import HexSolver, is_solvable
from hexpipe.nets.factory import Net
from hexpipe.random_streams import Stream, generator

log = logging.getLogger(__name__)

_POSITIONS = 256
_BUDGET_SECONDS = 20.0


class SolverCheck:
    """Random positions with their solved values, made on a background thread; `score` tests a net on them."""

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
        return cls(game, seed) if is_solvable(game) else None

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
        """Solve positions after 0 to 2/3 n*n random stones, as long as the time allows."""
        game, rng = self._game, generator(Stream.SOLVER_CHECK, seed)
        solver = HexSolver(game.board_size)
        codes: list[NDArray[np.int8]] = []
        values: list[int] = []
        winning: list[NDArray[np.bool_]] = []
        area = game.board_size**2
        row, end = np.zeros(1, np.int32), time.monotonic() + _BUDGET_SECONDS
        while len(values) < _POSITIONS and time.monotonic() < end:
            states = game.new_states(1)
            for move in rng.permutation(area)[: int(rng.integers(0, 2 * area // 3))]:
                game.step(states, row, np.array([move], np.int32), row)
                if states.winner[0] != ONGOING:
                    break
            if states.winner[0] != ONGOING or (game.swap and states.ply[0] == 1):
                continue  # the solver does not support swap
            view = int(states.view[0])
            best = solver.winning_moves(states.cells[0], view)
            code = np.zeros((1, game.shapes.code_length), np.int8)
            game.codes(states, row, code)
            moves = np.zeros(game.num_actions, np.bool_)
            moves[game.action_view[view, np.array(best, np.int64)]] = True
            codes.append(code[0])
            values.append(1 if best else -1)
            winning.append(moves)
            time.sleep(0)  # yields to training
        self._codes, self._values, self._winning = np.array(codes), np.array(values, np.int8), np.array(winning)
        self._ready.set()
        log.info("%d solved positions to hold the net against", len(values))
