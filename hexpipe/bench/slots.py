"""`hexpipe bench slots`: real generators through the slots to a server whose net answers at once, and back."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

import numpy as np
import psutil
from numpy.typing import NDArray

from hexpipe.answers import Answers, answer_bytes
from hexpipe.bench.hash_kernels import hash_children, hash_evaluate, hash_roots
from hexpipe.config import Settings, Shapes, load_settings
from hexpipe.errors import ProcessDiedError
from hexpipe.games.factory import make_game
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import InferenceServer, ServerLoop, Station
from hexpipe.inference.latent_server import LatentServer
from hexpipe.inference.lru_kernels import float_to_half
from hexpipe.inference.slots import InferenceSlots
from hexpipe.records import GameRecord
from hexpipe.roles.segments import pool_shape
from hexpipe.selfplay.self_play import SelfPlay
from hexpipe.shm import Field, SharedSegment, set_parent_death_signal, spawn_context

OPTIONS = {
    "generators": "generator processes; one more process is the server",
    "seconds": "length of the measured window, after all generators have warmed up",
    "size": "board size",
    "games": "games at once in a generator, in two groups",
    "simulations": "simulations a move",
    "leaves": "leaves of one game evaluated together",
    "algorithm": "the search whose requests are sent",
}
WARM_UP_SECONDS = 2.0
START_SECONDS = 240.0  # kernels may have to be compiled first
GROUPS = 2


class HashBackend:
    """Answers at once: priors and values from a hash of the position, so that the trees are real ones."""

    name = "hash"
    dtype = "float32"

    def __init__(self, shapes: Shapes, max_batch: int) -> None:
        self._priors = np.zeros((max_batch, shapes.num_actions), np.float32)

    def load(self, weights: Mapping[str, NDArray[np.float32]], slot: int = 0) -> None:
        """There is nothing to load."""

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """Fill ``out``, whose priors are float16, for codes int8 [L, C]; Hex has no focus."""
        priors = self._priors[: len(codes)]
        hash_evaluate(codes, priors, out.values)
        float_to_half(priors, out.priors.view(np.uint16))


class HashLatents(HashBackend):
    """The same for learned dynamics: a latent is one number."""

    def __init__(self, shapes: Shapes, rows: int, max_batch: int) -> None:
        super().__init__(shapes, max_batch)
        self._pool = np.zeros(rows, np.uint64)

    def initial(self, slot: int, codes: NDArray[np.int8], rows: NDArray[Any], out: Answers) -> None:
        """See `inference.latents.LatentNet`."""
        hash_roots(codes, rows, self._pool)
        self.infer(codes, out)

    def recurrent(
        self, slot: int, parents: NDArray[Any], actions: NDArray[Any], rows: NDArray[Any], out: Answers
    ) -> None:
        """See `inference.latents.LatentNet`; no move earns a reward."""
        priors = self._priors[: len(rows)]
        hash_children(parents, actions, rows, self._pool, priors, out.values)
        float_to_half(priors, out.priors.view(np.uint16))
        if out.rewards is not None:
            out.rewards[:] = 0


def run(
    generators: int = 1,
    seconds: float = 8.0,
    size: int = 11,
    games: int = 64,
    simulations: int = 100,
    leaves: int = 8,
    algorithm: Literal["alphazero", "muzero"] = "alphazero",
) -> dict[str, float | int | str]:
    """Self-play generators as `hexpipe run` starts them, without cache and early stop, against one server.

    evals_per_s: rows answered; per_generator_core_evals_per_s: rows over the generators' CPU seconds (user and system);
    bytes_per_simulation: codes (or latent rows and actions), priors, values, rewards, ids and messages, both
    directions, over simulations;
    server_cpu_share: the server's part of all CPU time; mean_batch: rows of a forward pass.
    """
    settings = settings_of(size, games, simulations, leaves, algorithm)
    with stage(settings, generators) as (board, children):
        before = _snapshot(board, children)
        sleep(seconds, children)
        after = _snapshot(board, children)
    shapes, max_leaves = make_game(settings.game).shapes, _max_leaves(settings)
    return {**_figures(before, after, shapes, algorithm == "muzero"), "algorithm": algorithm, "max_leaves": max_leaves}


def settings_of(size: int, games: int, simulations: int, leaves: int, algorithm: str) -> Settings:
    """Return the settings of `run`'s options."""
    return load_settings(
        "standard",
        {
            "algorithm": algorithm,
            "game.board_size": size,
            "search.num_simulations": simulations,
            "search.leaves_per_game": leaves,
            "search.early_stop": False,
            "selfplay.games_per_worker": games,
        },
    )


def _max_leaves(settings: Settings) -> int:
    return -(-settings.selfplay.games_per_worker // GROUPS) * settings.search.leaves_per_game


@contextmanager
def stage(settings: Settings, generators: int) -> Iterator[tuple[SharedSegment, list[SpawnProcess]]]:
    """The processes at work, warmed up, and the board with their counters: "counts" int64 [generators, 4], of which the
    first are rows that were answered; for the length of the block."""
    shapes = make_game(settings.game).shapes
    slots = InferenceSlots.create(
        shapes,
        workers=generators,
        groups=GROUPS,
        max_leaves=_max_leaves(settings),
        servers=1,
        pool=pool_shape(settings),
    )
    fields = [Field("counts", "int64", (generators, 4)), Field("server", "int64", (2,))]
    board = SharedSegment.create("bench-slots", fields)
    context = spawn_context()
    children = [context.Process(target=_serve, args=(slots.for_server(0), board), name="inference-0")]
    for worker in range(generators):
        arguments = (slots.for_worker(worker), board, worker, settings)
        children.append(context.Process(target=_generate, args=arguments, name=f"generator-{worker}"))
    try:
        for child in children:
            child.start()
        _wait_until_warm(board, children)
        yield board, children
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.join()
        slots.close()
        board.close()


def _serve(slots: InferenceSlots, board: SharedSegment) -> None:
    set_parent_death_signal()
    max_batch = 4 * slots.max_leaves

    def export(server: ServerLoop) -> None:
        board.arrays["server"][:] = server.batches, server.evals

    station = Station(slots, 0, max_batch=max_batch, on_progress=export)
    if slots.pool is None:
        InferenceServer(station, HashBackend(slots.shapes, max_batch)).run()
        return
    net = HashLatents(slots.shapes, slots.workers * slots.groups * slots.pool.rows, max_batch)
    LatentServer(station, net).run()


def _generate(slots: InferenceSlots, board: SharedSegment, worker: int, settings: Settings) -> None:
    set_parent_death_signal()
    client = InferenceClient(slots, worker)

    def drop(record: GameRecord) -> None:
        """A finished game has no use here."""

    self_play = SelfPlay(make_game(settings.game), settings, client, worker, drop, GROUPS)
    counts = board.arrays["counts"][worker]
    while True:
        self_play.step()
        counts[0] = client.evals
        counts[1] = client.requests
        counts[2] = self_play.stats.simulations
        counts[3] = client.roots


def _wait_until_warm(board: SharedSegment, children: list[SpawnProcess]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (board.arrays["counts"][:, 2] > 0).all():
        if time.monotonic() > deadline:
            raise ProcessDiedError("bench", f"the generators did not start within {START_SECONDS:.0f} s")
        sleep(0.05, children)
    sleep(WARM_UP_SECONDS, children)


def sleep(seconds: float, children: list[SpawnProcess]) -> None:
    """Sleeps while all children live."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for child in children:
            if child.exitcode is not None:
                raise ProcessDiedError(child.name, f"exit code {child.exitcode}; its traceback is above")
        time.sleep(min(0.1, left))


def _snapshot(board: SharedSegment, children: list[SpawnProcess]) -> NDArray[np.float64]:
    """Time, CPU seconds of the server and of all generators, then all counters."""
    cpu = [sum(psutil.Process(child.pid).cpu_times()[:2]) for child in children]
    counts = board.arrays["counts"].sum(axis=0)
    return np.array([time.perf_counter(), cpu[0], sum(cpu[1:]), *counts, *board.arrays["server"]], np.float64)


def _figures(
    before: NDArray[np.float64], after: NDArray[np.float64], shapes: Shapes, learned: bool
) -> dict[str, float | int | str]:
    elapsed, server_cpu, generator_cpu, evals, requests, simulations, roots, batches, rows = (after - before).tolist()
    # with learned dynamics row, parent and action too
    data_bytes = roots * shapes.code_length + evals * (answer_bytes(shapes, learned) + 3 * 4 * learned)
    # a message with its length, and request id, response id and version
    request_bytes = 4 + len(pickle.dumps((1, 1_000_000, 200, 200))) + 3 * 8
    return {
        "evals_per_s": evals / elapsed,
        "per_generator_core_evals_per_s": evals / generator_cpu,
        "simulations_per_s": simulations / elapsed,
        "bytes_per_simulation": (data_bytes + requests * request_bytes) / simulations,
        "leaves_per_request": evals / requests,
        "mean_batch": rows / max(1.0, batches),
        "server_cpu_share": server_cpu / (server_cpu + generator_cpu),
        "generator_cpu_seconds": generator_cpu,
        "elapsed_seconds": elapsed,
    }
