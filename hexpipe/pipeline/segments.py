"""All shared memory of a run, made before any process is started, and the same sizes told without making anything."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from typing import Any

import numpy as np

from hexpipe.config import Settings
from hexpipe.errors import SettingsError, SharedMemoryError
from hexpipe.games.game_env import Game
from hexpipe.inference.latents import PoolShape
from hexpipe.inference.slots import InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from hexpipe.pipeline.devices import GROUPS, Plan
from hexpipe.pipeline.net_template import net_template, num_parameters
from hexpipe.pipeline.outbox import Outboxes, largest_record_bytes
from hexpipe.pipeline.stats import COLUMNS, StatsBoard
from hexpipe.replay.layout import segment_fields
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.search.mcts import nodes_per_game
from hexpipe.shm import SharedSegment


@dataclass(frozen=True)
class Segments:
    """The shared parts of a run."""

    stats: StatsBoard
    slots: InferenceSlots
    outboxes: Outboxes
    weights: WeightsBoard
    buffer: ReplayBuffer

    def all(self) -> list[SharedSegment]:
        """The segments under the parts."""
        parts = (self.stats, self.slots, self.outboxes, self.weights, self.buffer)
        return [part.segment for part in parts]

    def repair_after_death(self, worker: int) -> None:
        """Makes what a dead worker shared usable for its replacement, and for everyone."""
        self.slots.repair_after_death(worker)
        self.buffer.free_lock_of_the_dead()

    def describe(self) -> list[dict[str, Any]]:
        """Name, descriptor and layout of every segment, for RUN/run.json."""
        return [{"name": s.name, "fd": s.fd, "bytes": s.nbytes, "layout": s.describe()} for s in self.all()]


def num_clients(settings: Settings, plan: Plan) -> int:
    """Workers with slots and an outbox: the generators, and after them the process that searches old games anew."""
    return plan.workers + (settings.reanalyze.ratio > 0)


def process_names(settings: Settings, plan: Plan) -> list[str]:
    """Names of all child processes."""
    servers = [f"inference-{number}" for number in range(len(plan.server_devices))]
    learners = [f"learner-{number}" for number in range(len(plan.learner_devices))]
    reanalyze = ["reanalyze-0"] if settings.reanalyze.ratio else []
    return [*(f"generator-{n}" for n in range(plan.workers)), *reanalyze, *servers, "replay-0", *learners]


def make_segments(settings: Settings, game: Game, plan: Plan) -> Segments:
    """Allocate everything. Raises SettingsError, in one line, where there is not enough memory for it."""
    made: list[SharedSegment] = []
    try:
        stats = StatsBoard.create(process_names(settings, plan))
        made.append(stats.segment)
        slots = InferenceSlots.create(
            game.shapes,
            workers=num_clients(settings, plan),
            groups=GROUPS,
            max_leaves=max_leaves(settings),
            servers=len(plan.server_devices),
            pool=pool_shape(settings),
        )
        made.append(slots.segment)
        queue = settings.selfplay.game_queue
        outboxes = Outboxes.create(num_clients(settings, plan), queue, _record_bytes(settings, game))
        made.append(outboxes.segment)
        weights = WeightsBoard.create(net_template(settings.net, game.shapes))
        made.append(weights.segment)
        lock: Any = multiprocessing.get_context("spawn").Lock()
        buffer = ReplayBuffer.create(settings.replay, game, lock=lock)
    except SharedMemoryError as error:
        for segment in made:
            segment.close()
        raise SettingsError(str(error)) from error
    return Segments(stats, slots, outboxes, weights, buffer)


def estimate(settings: Settings, game: Game, plan: Plan) -> dict[str, int]:
    """Bytes of each segment that `make_segments` would make; allocates nothing."""
    shapes = game.shapes
    clients = num_clients(settings, plan)
    rows = clients * GROUPS * max_leaves(settings)
    slot_bytes = shapes.code_length + 2 * shapes.num_actions + 4 * shapes.num_seats
    if settings.algorithm == "muzero":
        slot_bytes += 3 * 4 + 4 * shapes.num_seats  # parent, action and row; rewards
    queue = clients * settings.selfplay.game_queue * _record_bytes(settings, game)
    replay = sum(int(np.prod(f.shape)) * np.dtype(f.dtype).itemsize for f in segment_fields(settings.replay, game))
    return {
        "stats": len(process_names(settings, plan)) * (8 * len(COLUMNS) + 96),
        "inference-slots": rows * slot_bytes,
        "outboxes": queue,
        "weights": 2 * 4 * num_parameters(net_template(settings.net, game.shapes)),
        "replay": replay,
    }


def max_leaves(settings: Settings) -> int:
    """Most leaves of one group's request."""
    return games_per_group(settings) * settings.search.leaves_per_game


def games_per_group(settings: Settings) -> int:
    """Games that a generator searches together."""
    return max(1, settings.selfplay.games_per_worker // GROUPS)


def pool_shape(settings: Settings) -> PoolShape | None:
    """Latent rows of a group of games; None where the search asks the rules."""
    if settings.algorithm == "alphazero":
        return None
    return PoolShape(games_per_group(settings), nodes_per_game(settings.search, learned=True))


def latent_pool_bytes(settings: Settings, game: Game, plan: Plan) -> int:
    """Bytes of the pool of latents that each inference server keeps on its device; 0 where the rules are asked."""
    pool = pool_shape(settings)
    if pool is None:
        return 0
    servers = len(plan.server_devices)
    regions = -(-num_clients(settings, plan) * GROUPS // servers)
    number = 4 if plan.server_devices[0] == "cpu" else 2
    return regions * pool.rows * settings.net.channels * game.shapes.view_cells * number


def _record_bytes(settings: Settings, game: Game) -> int:
    return largest_record_bytes(game.shapes, min(game.max_plies, settings.selfplay.max_game_plies))
