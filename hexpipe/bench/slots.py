"""`hexpipe bench slots`: real generators through the slots to a server whose net answers at once, and back."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy as np
import psutil
from numpy.typing import NDArray

from hexpipe.answers import Answers, answer_bytes
from hexpipe.bench.hash_kernels import hash_children, hash_evaluate, hash_roots
from hexpipe.bench.options import Figures, LeavesOfAGame, SimulationsAMove, Size, settings_of
from hexpipe.bench.stage import Board, Part, Stage, stage_of
from hexpipe.config import Settings, Shapes
from hexpipe.games.factory import make_game
from hexpipe.inference.client import InferenceClient
from hexpipe.inference.inference_server import InferenceServer, Station
from hexpipe.inference.latent_server import LatentServer
from hexpipe.inference.lru_kernels import float_to_half
from hexpipe.inference.slots import InferenceSlots
from hexpipe.roles.plan import GROUPS
from hexpipe.roles.segments import pool_shape
from hexpipe.selfplay.self_play import SelfPlay
from hexpipe.shm import set_parent_death_signal

WARM_UP_SECONDS = 2.0


class HashBackend:
    """Answers at once: priors and values from a hash of the position, so that the trees are real ones."""

    name = "hash"
    dtype = "float32"

    def __init__(self, shapes: Shapes, max_batch: int) -> None:
        self._priors = np.zeros((max_batch, shapes.num_actions), np.float32)

    def load(self, weights: Mapping[str, NDArray[np.float32]], slot: int = 0) -> None:
        """Load nothing."""

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
    generators: Annotated[int, "generator processes; one more process is the server"] = 1,
    seconds: Annotated[float, "length of the measured window, after all generators have warmed up"] = 8.0,
    size: Size = 11,
    games: Annotated[int, "games at once in a generator, in two groups"] = 64,
    simulations: SimulationsAMove = 100,
    leaves: LeavesOfAGame = 8,
    algorithm: Annotated[Literal["alphazero", "muzero"], "the search whose requests are sent"] = "alphazero",
) -> Figures:
    """Run self-play generators as `hexpipe run` starts them, without cache and early stop, against one server.

    evals_per_s: rows answered; per_generator_core_evals_per_s: rows over the generators' CPU seconds (user and system);
    bytes_per_simulation: codes (or latent rows and actions), priors, values, rewards, ids and messages, both
    directions, over simulations;
    server_cpu_share: the server's part of all CPU time; mean_batch: rows of a forward pass.
    """
    settings = settings_of_play(size, games, simulations, leaves, algorithm)
    with stage_of_slots(settings, generators) as stage:
        before = _snapshot(stage)
        stage.sleep(seconds)
        gained = _snapshot(stage) - before
    shapes, max_leaves = make_game(settings.game).shapes, _max_leaves(settings)
    return {**_figures(gained, shapes, algorithm == "muzero"), "algorithm": algorithm, "max_leaves": max_leaves}


def settings_of_play(size: int, games: int, simulations: int, leaves: int, algorithm: str) -> Settings:
    """Return the settings of `run`'s options."""
    search = {"algorithm": algorithm, "simulations": simulations, "leaves": leaves, "early_stop": False}
    return settings_of("standard", size=size, games=games, **search)


def _max_leaves(settings: Settings) -> int:
    return -(-settings.selfplay.games_per_worker // GROUPS) * settings.search.leaves_per_game


@contextmanager
def stage_of_slots(settings: Settings, generators: int) -> Iterator[Stage]:
    """Give the processes at work, warmed up, the server first."""
    slots = InferenceSlots.create(
        make_game(settings.game).shapes,
        workers=generators,
        groups=GROUPS,
        max_leaves=_max_leaves(settings),
        servers=1,
        pool=pool_shape(settings),
    )
    board = Board.create(1 + generators)
    parts: list[Part] = [("inference-0", _serve, (slots.for_server(0), board))]
    for worker in range(generators):
        parts.append((f"generator-{worker}", _generate, (slots.for_worker(worker), board, worker, settings)))
    with stage_of(board, slots, parts) as stage:
        stage.wait(lambda counters: (counters["simulations"][1:] > 0).all(), "start")
        stage.sleep(WARM_UP_SECONDS)
        yield stage


def _serve(slots: InferenceSlots, board: Board) -> None:
    set_parent_death_signal()
    max_batch = 4 * slots.max_leaves
    station = Station(
        slots,
        0,
        max_batch=max_batch,
        on_progress=lambda server: board.write(0, batches=server.batches, bare_evals=server.evals),
    )
    if slots.pool is None:
        InferenceServer(station, HashBackend(slots.shapes, max_batch)).run()
        return
    net = HashLatents(slots.shapes, slots.workers * slots.groups * slots.pool.rows, max_batch)
    LatentServer(station, net).run()


def _generate(slots: InferenceSlots, board: Board, worker: int, settings: Settings) -> None:
    set_parent_death_signal()
    client = InferenceClient(slots, worker)
    self_play = SelfPlay(make_game(settings.game), settings, client, worker, lambda record: None, GROUPS)
    while True:
        self_play.step()
        board.write(1 + worker, evals=client.evals, requests=client.requests, roots=client.roots)
        board.write(1 + worker, simulations=self_play.stats.simulations)


def _snapshot(stage: Stage) -> NDArray[np.float64]:
    """Return time, CPU seconds of the server and of all generators, then all counters."""
    server, *generators = [sum(psutil.Process(process.pid).cpu_times()[:2]) for process in stage.processes]
    counts = stage.board.read()
    names = ("evals", "requests", "simulations", "roots", "batches", "bare_evals")
    return np.array([time.perf_counter(), server, sum(generators), *(counts[name].sum() for name in names)])


def _figures(gained: NDArray[np.float64], shapes: Shapes, learned: bool) -> Figures:
    elapsed, server_cpu, generator_cpu, evals, requests, simulations, roots, batches, rows = gained.tolist()
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
