"""A fixed piece of work of each benchmark, to be timed in rounds by pytest-benchmark.

`hexpipe bench` measures for a time, and its figures are rates; what is compared from one commit to the next by the time
that it takes must be the same work each time. Each function is a context, in which all is made and warmed up; it gives
a function that does the work once and returns how much it was.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from hexpipe.answers import Answers
from hexpipe.bench import learner, library, replay, rules, search, selfplay, serve, slots
from hexpipe.bench.fresh_checkpoint import fresh_checkpoint
from hexpipe.bench.measuring import one_thread
from hexpipe.config import ReplaySettings, Settings, load_settings
from hexpipe.games.factory import make_game
from hexpipe.games.playouts import random_playouts
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.learner.learner import Learner
from hexpipe.learner.prefetch import batch_rng, prepare_batch
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import build_net, net_weights
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.targets import allocate_batch

Work = Callable[[], int]
_SMALL = {"game.board_size": 7, "net.blocks": 4, "net.channels": 32}
_MOST_SECONDS = 120.0  # for a piece of work of other processes
_POLL_SECONDS = 0.0005


@contextmanager
def rules_work() -> Iterator[Work]:
    """Random playouts of 11x11: moves."""
    playouts = random_playouts(load_settings("standard").game, rules.ROWS)
    playouts(0, 1)
    yield lambda: int(playouts(1, 50)[0])


@contextmanager
def search_work() -> Iterator[Work]:
    """Two moves of each of 32 games of 11x11, 100 simulations each: simulations."""
    games, simulations = 32, 100
    searches = search.Searches(11, games, simulations, 8, "puct", "alphazero")
    searches.play(games)

    def work() -> int:
        before = searches.mcts.simulations
        while searches.mcts.simulations < before + 2 * games * simulations:
            searches.turn()
        return searches.mcts.simulations - before

    yield work


@contextmanager
def replay_work() -> Iterator[Work]:
    """Games of 7x7 into a full buffer, and batches of 256 with five steps out of it: positions."""
    settings = load_settings("quick", {"game.board_size": 7, "search.num_simulations": 16})
    game = make_game(settings.game)
    records = replay.play_games(game, settings, 50)[0]
    limits = ReplaySettings.model_validate({"max_games": 500, "min_games": 1})
    buffer = ReplayBuffer.create(limits, game, private=True)
    for record in itertools.islice(itertools.cycle(records), 600):
        buffer.add_game(record)
    out = allocate_batch(game.shapes, 256, 5)

    def work() -> int:
        for record in itertools.islice(itertools.cycle(records), 200):
            buffer.add_game(record)
        for index in range(100):
            buffer.sample_batch(256, batch_rng(0, index), 5, out)
        return 100 * 256

    yield work


@contextmanager
def learner_work() -> Iterator[Work]:
    """Training steps of a batch of 64, sampled and done in turn: steps."""
    settings = load_settings("quick", {**_SMALL, "search.num_simulations": 16, "learner.batch_size": 64})
    game = make_game(settings.game)
    sample = learner.sampler(settings, game, 50)
    trained = Learner(settings, game.shapes)

    def work() -> int:
        for index in range(5):
            batch = prepare_batch(sample(batch_rng(0, index)), trained.device)
            trained.step(batch).tensor.tolist()
        return 5

    with one_thread():
        work()
        yield work


@contextmanager
def forward_work() -> Iterator[Work]:
    """Forward passes of 64 boards by the fastest backend: boards."""
    settings = load_settings("small", _SMALL)
    shapes = make_game(settings.game).shapes
    with one_thread():
        backend = choose_backend(settings.net, shapes, settings.inference, batch_sizes=(64,)).backend
        backend.load(net_weights(build_net(settings.net, shapes)))
        codes, out = random_codes(shapes, 64), Answers.allocate(64, shapes, sent=True)

        def work() -> int:
            for _ in range(20):
                backend.infer(codes, out)
            return 20 * 64

        yield work


@contextmanager
def library_work() -> Iterator[Work]:
    """Boards asked of `SimpleModelInference` in a stack, half of which it has been asked before: boards."""
    settings = load_settings("small", {**_SMALL, "inference.backend": "frozen"})
    with one_thread(), tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        path = fresh_checkpoint(Path(folder), settings)
        model = SimpleModelInference(path, inference=settings.inference, batch_size=64)
        boards = library.random_boards(7, 512)

        def work() -> int:
            model.clear_cache()
            model.batch_infer(boards)
            model.batch_infer(boards)
            return 2 * len(boards)

        yield work


@contextmanager
def slots_work() -> Iterator[Work]:
    """Rows of a generator's searches through the slots and back: rows."""
    settings = slots.settings_of_play(size=7, games=16, simulations=50, leaves=4, algorithm="alphazero")
    with slots.stage_of_slots(settings, generators=1) as stage:
        yield _counted(lambda: int(stage.board.read()["evals"].sum()), 10_000, stage.check)


@contextmanager
def selfplay_work() -> Iterator[Work]:
    """Rows of a generator's searches by a server with a real net: rows."""
    more = {"search.early_stop": False, "selfplay.workers": 1, "selfplay.games_per_worker": 16}
    settings = load_settings("small", {**_SMALL, **more, "search.num_simulations": 50, "inference.backend": "frozen"})
    with selfplay.stage_of_play(settings, 1, 1, ["cpu"]) as stage:
        stage.wait(lambda counters: bool((counters["evals"].sum() > 1000) and (counters["pid"] > 0).all()), "start")
        yield _counted(lambda: int(stage.board.read()["evals"].sum()), 1000, stage.check)


@contextmanager
def serve_work() -> Iterator[Work]:
    """Moves that eight visitors ask a web server for, five each: moves."""
    clients, searches = 8, 5
    settings: Settings = load_settings("quick")
    bodies = serve.bodies_of(make_game(settings.game), 200, 16)
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        path = fresh_checkpoint(Path(folder), settings)
        with serve.server_of(path, 64, Path(folder) / "output") as (_, port):

            def work() -> int:
                counts = serve.visits(port, bodies, clients, _MOST_SECONDS, searches)
                return len(counts.seconds)

            work()
            yield work


def _counted(count: Callable[[], int], rows: int, look: Callable[[], object]) -> Work:
    """Wait until other processes have ``count``-ed so many more; ``look`` raises where one of them has died."""

    def work() -> int:
        before, end = count(), time.monotonic() + _MOST_SECONDS
        while count() < before + rows and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            look()
        return rows if count() >= before + rows else 0

    return work


WORKS: dict[str, Callable[[], AbstractContextManager[Work]]] = {
    "rules": rules_work,
    "search": search_work,
    "replay": replay_work,
    "learner": learner_work,
    "slots": slots_work,
    "forward": forward_work,
    "library": library_work,
    "selfplay": selfplay_work,
    "serve": serve_work,
}
"""By the names of `hexpipe.bench.BENCHMARKS`."""
