"""Fill numba's on-disk cache: run every kernel once, on tiny inputs, through the classes that call them.

`python -m hexpipe.compile_kernels GROUP...` is what `kernel_cache.need` starts: one process for each core takes groups
until none is left. No process compiles what another one is compiling at that moment: it waits, and loads that. Neither
torch nor any other package than those of a generator is imported, so that it can begin before they are installed.
"""

from __future__ import annotations

import fcntl
import functools
import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
import types
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

import hexpipe
from hexpipe import kernel_cache
from hexpipe.answers import Answers
from hexpipe.arena.uct import UctPlayer
from hexpipe.config import GoOptions, Shapes, load_settings
from hexpipe.games import renju_kernels
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.game_records import recorded_rules
from hexpipe.games.go.rules import Go
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexProver, HexSolver
from hexpipe.games.inarow import InARow
from hexpipe.inference import lru_kernels
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.nets import winograd_kernels
from hexpipe.records import GameRecord, pack_policies
from hexpipe.replay.data_augment import apply_board_augment
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.dry_play import (
    IN_A_ROW,
    SIZE,
    FlatEvaluator,
    play_in_a_row,
    play_learned,
    play_other,
    play_true_rules,
)


def kernel_modules() -> list[types.ModuleType]:
    """All modules that hold kernels, imported, in the order of their names."""
    walked = pkgutil.walk_packages(hexpipe.__path__, prefix="hexpipe.")
    names = sorted(module.name for module in walked if module.name.endswith("kernels") and module.name != __name__)
    return [importlib.import_module(name) for name in names]


def compile_all() -> None:
    """Run every kernel with the types that the pipeline gives it."""
    kernel_cache.take_as_ready()
    for name in kernel_cache.GROUPS:
        _WORK[name]()


def main(groups: Sequence[str]) -> int:
    """Compile ``groups``, with as many processes as there are cores for them; 0, or 1 if one of them has failed."""
    kernel_cache.take_as_ready()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with _one_at_a_time(folder / "kernels.lock"):
        return _share(groups, min(cores, len(groups)), functools.partial(_compile_group, folder))


def _compile_group(folder: Path, name: str) -> None:
    _WORK[name]()
    kernel_cache.mark_ready(folder, name)


def _share(names: Sequence[str], workers: int, work: Callable[[str], None]) -> int:
    """``work`` on each name, by ``workers`` forked processes that take them in turn from a pipe; 0, or the exit code of
    one that has failed.

    They are forked after all imports and before any thread, which spares each of them a second.
    """
    if workers < 2:
        for name in names:
            work(name)
        return 0
    read, write = os.pipe()
    os.write(write, bytes(range(len(names))))
    os.close(write)
    asked_by, running = os.getppid(), set()
    try:
        for _ in range(workers):
            child = os.fork()
            if child == 0:
                os._exit(_take(read, names, work))
            running.add(child)
        failed = 0
        while running:
            child, status = os.waitpid(-1, os.WNOHANG)
            running.discard(child)
            failed = failed or (child and os.waitstatus_to_exitcode(status))
            if failed or os.getppid() != asked_by:  # the command was killed
                break
            time.sleep(0.02)
        return failed
    except KeyboardInterrupt:
        return kernel_cache.INTERRUPTED
    finally:
        for child in running:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(read)


def _take(queue: int, names: Sequence[str], work: Callable[[str], None]) -> int:
    """The life of a worker."""
    try:
        while number := os.read(queue, 1):
            work(names[number[0]])
    except KeyboardInterrupt:
        return kernel_cache.INTERRUPTED
    except BaseException:  # noqa: BLE001  (nothing is above it)
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Have each kernel compiled by one process at a time, so that the others find it in the cache.

    A kernel's lock is one byte of the file ``lock``, at a place that its name says. Kernels call each other without
    circles, so that no two processes wait for each other. numba reads its cache after the lock is taken, and its index
    of a kernel is never written by two.
    """
    dispatcher: Any = Dispatcher
    compile_kernel, taken = dispatcher.compile, list[int]()

    def locked(self: Any, signature: Any) -> Any:
        place = zlib.crc32(f"{self.py_func.__module__}.{self.py_func.__qualname__}".encode())
        if place in taken or not self.py_func.__module__.startswith(f"{hexpipe.__name__}."):
            return compile_kernel(self, signature)
        fcntl.lockf(file, fcntl.LOCK_EX, 1, place)
        taken.append(place)
        try:
            return compile_kernel(self, signature)
        finally:
            taken.pop()
            fcntl.lockf(file, fcntl.LOCK_UN, 1, place)

    with lock.open("a") as file:
        dispatcher.compile = locked
        try:
            yield
        finally:
            dispatcher.compile = compile_kernel


def _cache() -> None:
    """What slots and the cache of evaluations carry."""
    half, single = np.zeros((2, 9), np.uint16), np.zeros((2, 9), np.float32)
    lru_kernels.half_to_float(half, single)
    lru_kernels.float_to_half(single, half)
    shapes = Shapes(9, 9, 2, 36, view_size=3, thumbnail=True)  # answers have all parts that are ever kept
    for sent in (False, True):
        cache, codes = LRUCache(2, shapes, half=sent), np.arange(4 * 36, dtype=np.int8).reshape(4, 36)
        cache.insert(codes, *Answers.allocate(4, shapes).parts())
        cache.lookup(codes, *Answers.allocate(4, shapes).parts())
        evaluator = CachedEvaluator(FlatEvaluator(shapes), cache, shapes)
        evaluator.submit(0, codes)
        evaluator.collect(0)


def _replay() -> None:
    game, rng = Hex(SIZE, swap=True), np.random.default_rng(0)
    _fill_buffer(game, [_random_game(game, rng) for _ in range(4)])


def _fill_buffer(game: Game, records: list[GameRecord]) -> None:
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
    rng = np.random.default_rng(0)
    for k in range(1000):
        buffer.add_game(records[k % len(records)])
        number = buffer.held_game(rng)
        buffer.refresh_game(number, records[(number - 1) % len(records)])


def _random_game(game: Game, rng: np.random.Generator) -> GameRecord:
    """The record of a game in which every legal move was as likely: it needs no search."""
    states, row = game.new_states(1), np.zeros(1, np.int32)
    legal, values = np.zeros((1, game.num_actions), np.bool_), np.zeros((1, game.num_seats), np.float32)
    actions, seats, views, policies = [], [], [], []
    while states.winner[0] == ONGOING:
        game.legal_mask(states, row, legal)
        policies.append(legal[0] / legal.sum())
        seats.append(states.to_move[0])
        views.append(states.view[0])
        actions.append(rng.choice(np.flatnonzero(legal[0])))
        game.step(states, row, np.array(actions[-1:], np.int32), row)
    game.terminal_values(states, row, values)
    offsets, packed = pack_policies(np.array(policies, np.float32))
    return GameRecord(
        **recorded_rules(game),
        actions=np.array(actions, np.int16),
        seats=np.array(seats, np.int8),
        views=np.array(views, np.int8),
        root_values=np.tile(values, (len(actions), 1)),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=values[0],
        weights_version=1,
        simulations=0,
    )


def _hex() -> None:
    game = Hex(SIZE, swap=True)
    states, row = game.play([0, 1]), np.zeros(1, np.int32)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    game.codes(states, row, codes)
    game.codes_from_cells(states.cells, states.view, states.ply, states.origin, codes)
    game.terminal_values(states, row, np.zeros((1, game.num_seats), np.float32))


def _solver() -> None:
    solver = HexSolver(3)
    empty = np.zeros(9, np.int8)
    solver.value(empty, 0)
    solver.winning_moves(empty, 0)
    states, rows = Hex(3).new_states(1), np.zeros(1, np.int32)
    HexProver(Hex(3), 1).prove(states, rows, states.winner.copy(), np.zeros((1, 2), np.float32))


def _uct() -> None:
    UctPlayer(Hex(SIZE), 2, 0).choose([()])


def _inarow() -> None:
    for algorithm in ("alphazero", "muzero"):  # a node of the search has room for as many seats as there are
        play_in_a_row(3, algorithm)
    records = play_in_a_row(2, "alphazero")
    game = InARow(load_settings("quick", IN_A_ROW).game)
    _fill_buffer(game, records)
    states, row = game.play([0]), np.zeros(1, np.int32)
    game.place_views(states, row, row)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    game.codes_from_cells(states.cells, states.view, states.ply, states.origin, codes)
    actions = game.local_view.actions_of_cells(row, states.origin)
    game.local_view.cells_of_actions(actions, states.origin)
    game.cell_of_action(game.action_of_cell(0, states.origin[0]), states.origin[0])
    game.threat_levels(states, row, np.zeros(1, np.uint8))
    renju = InARow(load_settings("quick", {"game.name": "inarow", "game.board_size": 5, "game.row_rule": "renju"}).game)
    states, codes = renju.play([0]), np.zeros((1, renju.shapes.code_length), np.int8)
    renju.codes(states, row, codes)
    renju_kernels.judged(states.cells, 0, 1, 1, 5)


def _connect4() -> None:
    """Play Connect Four on its own board, and describe cells."""
    name = "connect4"
    play_other(name, "alphazero")
    game = make_game(load_settings("quick", {"game.name": name}).game)
    states, row = game.new_states(1), np.zeros(1, np.int32)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    game.codes(states, row, codes)
    game.codes_from_cells(states.cells, states.view, states.ply, states.origin, codes)


def _othello() -> None:
    play_other("othello", "alphazero")


def _breakthrough() -> None:
    play_other("breakthrough", "alphazero")


def _go() -> None:
    """Play Go on its own board, ask why a move is not legal, and count."""
    play_other("go", "alphazero")
    game = Go(load_settings("quick", {"game.name": "go"}).game.options(GoOptions))
    states = game.play([0])
    game.why_illegal(states, 0)
    game.lead(states.cells[0])


def _nets() -> None:
    """A convolution as `nets.backend_winograd` lays it out, without torch."""
    boards, blocks, size, tile = 1, 1, SIZE, 4
    width = (blocks, winograd_kernels.BLOCK)
    x = np.zeros((boards, blocks, tile + 2, tile + 2, winograd_kernels.BLOCK), np.float32)
    tiles = np.zeros((boards, (tile + 2) ** 2, *width), np.float32)
    products = np.zeros(((tile + 2) ** 2, boards + 1, *width), np.float32)
    a, b = np.zeros((2, 64 * winograd_kernels.BLOCK), np.float32)
    codes, kinds = np.zeros((boards, size**2), np.int8), np.zeros((size + 2, size + 2), np.int32)
    table, bias = np.zeros((blocks, 9, 9, winograd_kernels.BLOCK), np.float32), np.zeros(width, np.float32)
    winograd_kernels.stem(codes, table, bias, x, size, kinds)
    winograd_kernels.input_transform(x, tiles, boards, a, b)
    biases = np.zeros((boards, *width), np.float32)
    winograd_kernels.output_transform(products, biases, True, x, size, size, tiles, boards, a, b)
    winograd_kernels.pool(x, size, size, np.zeros((boards, 2, *width), np.float32), boards)
    winograd_kernels.unblock(x, size, size, np.zeros((boards, size, size, *width), np.float32), boards)


def _bench() -> None:
    from hexpipe.bench import rules, search

    rules.run(seconds=0.0)
    rules.run(seconds=0.0, game="inarow")
    rules.run(seconds=0.0, game="connect4")
    rules.run(seconds=0.0, game="othello")
    rules.run(seconds=0.0, game="breakthrough")
    rules.run(seconds=0.0, game="go")
    search.run(seconds=0.0, size=SIZE, games=2, simulations=4)
    search.run(seconds=0.0, size=SIZE, games=2, simulations=4, algorithm="muzero")


_WORK: dict[str, Callable[[], object]] = {
    "search": play_true_rules,
    "replay": _replay,
    "cache": _cache,
    "inarow": _inarow,
    "nets": _nets,
    "learned": play_learned,
    "solver": _solver,
    "uct": _uct,
    "bench": _bench,
    "hex": _hex,
    "connect4": _connect4,
    "othello": _othello,
    "breakthrough": _breakthrough,
    "go": _go,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
