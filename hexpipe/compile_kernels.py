"""Fill numba's on-disk cache: run every kernel once, on tiny inputs, through the classes that call them.

`bin/hexpipe` runs this once for each state of the kernel sources, so that no command waits for a compiler and no two
processes compile the same kernel side by side.
"""

from __future__ import annotations

import importlib
import pkgutil
import types

import numpy as np
from numpy.typing import NDArray

import hexpipe
from hexpipe.config import Settings, Shapes, load_settings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.inference import lru_kernels
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.records import GameRecord
from hexpipe.replay.data_augment import apply_board_augment
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.self_play import SelfPlay

_SIZE = 4
_TINY = {
    "game.board_size": _SIZE,
    "game.swap": True,
    "search.num_simulations": 8,
    "selfplay.games_per_worker": 4,
    "selfplay.opening_random_plies": 2,
}


def kernel_modules() -> list[types.ModuleType]:
    """All modules that hold kernels, imported, in the order of their names."""
    walked = pkgutil.walk_packages(hexpipe.__path__, prefix="hexpipe.")
    names = sorted(module.name for module in walked if module.name.endswith("kernels") and module.name != __name__)
    return [importlib.import_module(name) for name in names]


def compile_all() -> None:
    """Run every kernel with the types that the pipeline gives it."""
    game = Hex(_SIZE, swap=True)
    _replay(game, compile_selfplay())
    _rules(game)
    _nets(game.shapes)
    _benchmarks()


def compile_selfplay() -> list[GameRecord]:
    """Run the kernels of a generator alone, with both kinds of root and model; returns the games it played."""
    game = Hex(_SIZE, swap=True)
    records: list[GameRecord] = []
    # what the slots carry
    half, single = np.zeros((2, game.num_actions), np.uint16), np.zeros((2, game.num_actions), np.float32)
    lru_kernels.half_to_float(half, single)
    lru_kernels.float_to_half(single, half)
    for root, algorithm in (("puct", "alphazero"), ("gumbel", "alphazero"), ("puct", "muzero")):
        records += play_games(game, load_settings("quick", {**_TINY, "algorithm": algorithm, "search.root": root}))
    return records


class FlatEvaluator:
    """Even priors and values of 0 at once: an evaluator without a net, shaped like `inference.client`'s."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._rows: dict[int, int] = {}
        self._learned = False

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Note how many rows of codes int8 [L, C] came."""
        self._rows[group] = len(codes) if moves is None else len(moves.rows)
        self._learned = moves is not None

    def collect(self, group: int) -> Evaluation:
        """Priors 1 / A and values 0."""
        rows = self._rows.pop(group)
        priors = np.full((rows, self._shapes.num_actions), 1 / self._shapes.num_actions, np.float32)
        values = np.zeros((rows, self._shapes.num_seats), np.float32)
        return Evaluation(priors, values, 1, np.zeros_like(values) if self._learned else None)


def play_games(game: Game, settings: Settings, count: int = 4) -> list[GameRecord]:
    """At least ``count`` finished games of self-play without a net; with true rules through the evaluation cache."""
    records: list[GameRecord] = []
    evaluator: Evaluator = FlatEvaluator(game.shapes)
    if settings.algorithm == "alphazero":
        evaluator = CachedEvaluator(evaluator, LRUCache(64, game.shapes), game.shapes)
    selfplay = SelfPlay(game, settings, evaluator, settings.seed, records.append)
    while len(records) < count:
        selfplay.step()
    return records


def _replay(game: Game, records: list[GameRecord]) -> None:
    small = {"replay.max_games": 16, "replay.min_games": 1, "replay.max_memory_gb": 0.1}
    for td_steps, share in ((0, 0.0), (2, 0.5)):
        changed = {**small, "replay.td_steps": td_steps, "replay.priority_share": share}
        settings = load_settings("quick", changed).replay
        buffer = ReplayBuffer.create(settings, game, private=True)
        for record in records:
            buffer.add_game(record)
        batch = buffer.sample_batch(8, np.random.default_rng(0), unroll_steps=2, observations=True)
        apply_board_augment(batch, game, np.random.default_rng(0))
    # a smaller budget than settings can have, so that it is used up and the tail moves on
    small_budget = {"max_games": 1000, "max_memory_gb": 0.00016}
    buffer = ReplayBuffer.create(settings.model_copy(update=small_budget), game, private=True)
    for k in range(1000):
        buffer.add_game(records[k % len(records)])
    buffer.refresh_game(buffer.total_games, records[999 % len(records)])


def _rules(game: Game) -> None:
    from hexpipe.games.hex_solver import HexSolver

    states = game.play([0, 1])
    game.terminal_values(states, np.zeros(1, np.int32), np.zeros((1, game.num_seats), np.float32))
    _inarow()
    solver = HexSolver(3)
    empty = np.zeros(9, np.int8)
    solver.value(empty, 0)
    solver.winning_moves(empty, 0)


def _inarow() -> None:
    settings = load_settings("quick", {"game.name": "inarow", "game.view_size": 3})
    game = InARow(settings.game)
    _replay(game, play_games(game, settings))
    states, row = game.play([0]), np.zeros(1, np.int32)
    game.place_views(states, row, row)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    game.codes_from_cells(states.cells, states.view, states.ply, states.origin, codes)
    actions = game.local_view.actions_of_cells(row, states.origin)
    game.local_view.cells_of_actions(actions, states.origin)
    game.cell_of_action(game.action_of_cell(0, states.origin[0]), states.origin[0])
    game.threat_levels(states, row, np.zeros(1, np.uint8))


def _nets(shapes: Shapes) -> None:
    from hexpipe.nets.backend_winograd import WinogradBackend

    net = load_settings("quick", {"net.blocks": 3, "net.channels": 16}).net
    codes = np.zeros((3, shapes.code_length), np.int8)
    priors = np.zeros((3, shapes.num_actions), np.float16)
    WinogradBackend(net, shapes).infer(codes, priors, np.zeros((3, shapes.num_seats), np.float32))


def _benchmarks() -> None:
    from hexpipe.bench import rules, search

    rules.run(seconds=0.0)
    rules.run(seconds=0.0, game="inarow")
    search.run(seconds=0.0, size=_SIZE, games=2, simulations=4)
    search.run(seconds=0.0, size=_SIZE, games=2, simulations=4, algorithm="muzero")


if __name__ == "__main__":
    compile_all()
