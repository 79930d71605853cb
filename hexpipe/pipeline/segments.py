"""All shared memory of a run, made before any process is started, and the same sizes told without making anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hexpipe.answers import answer_bytes
from hexpipe.config import Settings
from hexpipe.errors import SettingsError, SharedMemoryError
from hexpipe.games.factory import make_stages
from hexpipe.games.game_env import Game
from hexpipe.inference.latents import PoolShape
from hexpipe.inference.slots import InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from hexpipe.nets.net_template import net_template, num_parameters
from hexpipe.processes.messages import CLUSTER, NODE, SEARCHING
from hexpipe.processes.stats import COLUMNS, StatsBoard
from hexpipe.replay.layout import segment_fields
from hexpipe.replay.outbox import Outboxes, largest_record_bytes
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.roles.plan import GROUPS, Plan
from hexpipe.search.mcts import nodes_per_game
from hexpipe.search.tree import new_tree
from hexpipe.shm import SharedSegment, semaphores_made, spawn_context


@dataclass(frozen=True)
class PlayingSegments:
    """The shared parts of those who play: generators, and the servers that they ask."""

    stats: StatsBoard
    slots: InferenceSlots
    outboxes: Outboxes
    weights: WeightsBoard
    league: InferenceSlots | None

    def all(self) -> list[SharedSegment]:
        """The segments under the parts."""
        slots = [part.segment for part in self.all_slots()]
        return [self.stats.segment, *slots, self.outboxes.segment, self.weights.segment]

    def all_slots(self) -> list[InferenceSlots]:
        """The slots of the newest net, and those of the league's opponents where there are any."""
        return [self.slots] if self.league is None else [self.slots, self.league]

    def request_stop(self) -> None:
        """See `InferenceSlots.request_stop`."""
        for slots in self.all_slots():
            slots.request_stop()

    def repair_after_death(self, role: str, number: int) -> None:
        """Makes what a dead server or worker shared usable for its replacement, and for everyone."""
        for slots in self.all_slots():
            if role == slots.role:
                slots.repair_after_server_death(number)
            elif role in SEARCHING and number < slots.workers:  # only generators have slots of the league
                slots.repair_after_death(number)


@dataclass(frozen=True)
class Segments(PlayingSegments):
    """The shared parts of a run."""

    buffer: ReplayBuffer

    def all(self) -> list[SharedSegment]:
        """The segments under the parts."""
        return [*super().all(), self.buffer.segment]

    def repair_after_death(self, role: str, number: int) -> None:
        """Makes what any dead process shared usable for its replacement, and for everyone."""
        super().repair_after_death(role, number)
        if role == "replay":
            self.buffer.hide()
        self.buffer.free_lock_of_the_dead()

    def describe(self) -> list[dict[str, Any]]:
        """Name, descriptor and layout of every segment, for RUN/run.json."""
        return [{"name": s.name, "fd": s.fd, "bytes": s.nbytes, "layout": s.describe()} for s in self.all()]


def num_clients(settings: Settings, plan: Plan) -> int:
    """Workers with slots of the newest net and an outbox: the generators, and after them the process that searches old
    games anew. Slots of the league are the generators' alone."""
    return plan.workers + (settings.reanalyze.ratio > 0)


def process_names(settings: Settings, plan: Plan) -> list[str]:
    """Names of all child processes, and of the rows of a cluster's nodes after them."""
    servers = [f"inference-{number}" for number in range(len(plan.server_devices))]
    league = [f"league-{number}" for number in range(len(plan.league_devices))]
    learners = [f"learner-{number}" for number in range(len(plan.learner_devices))]
    reanalyze = ["reanalyze-0"] if settings.reanalyze.ratio else []
    searching = [*(f"generator-{n}" for n in range(plan.workers)), *reanalyze]
    rating = ["rating-0"] if plan.rating_device is not None else []
    nodes = [f"{NODE}-{number}" for number in range(settings.cluster.max_nodes)] if settings.cluster.address else []
    cluster = [f"{CLUSTER}-0"] if nodes else []
    return [*searching, *servers, *league, "replay-0", *learners, *rating, *cluster, *nodes]


def make_segments(settings: Settings, game: Game, plan: Plan) -> Segments:
    """Allocate everything. Raises SettingsError, in one line, where there is not enough memory for it."""
    playing = make_playing_segments(settings, game, plan, process_names(settings, plan))
    try:
        with semaphores_made():
            lock: Any = spawn_context().Lock()
        buffer = ReplayBuffer.create(settings.replay, make_stages(settings), lock=lock)
    except SharedMemoryError as error:
        for segment in playing.all():
            segment.close()
        raise SettingsError(str(error)) from error
    return Segments(playing.stats, playing.slots, playing.outboxes, playing.weights, playing.league, buffer)


def make_playing_segments(settings: Settings, game: Game, plan: Plan, names: Sequence[str]) -> PlayingSegments:
    """Allocate what generators and servers share, and a stats board for the processes ``names``.

    Raises SettingsError, in one line, where there is not enough memory for it.
    """
    made: list[SharedSegment] = []
    try:
        stats = StatsBoard.create(names)
        made.append(stats.segment)
        clients, max_rows, pool = num_clients(settings, plan), max_leaves(settings), pool_shape(settings)
        slots = InferenceSlots.create(
            game.shapes,
            workers=clients,
            groups=GROUPS,
            max_leaves=max_rows,
            servers=len(plan.server_devices),
            pool=pool,
        )
        made.append(slots.segment)
        league = None
        if plan.league_devices:
            league = InferenceSlots.create(
                game.shapes,
                workers=plan.workers,
                groups=GROUPS,
                max_leaves=max_rows,
                servers=len(plan.league_devices),
                role="league",
                one_server=True,
                pool=pool,
            )
            made.append(league.segment)
        outboxes = Outboxes.create(max(1, clients), settings.selfplay.game_queue, _record_bytes(settings))
        made.append(outboxes.segment)
        weights = WeightsBoard.create(net_template(settings.net, game.shapes))
    except SharedMemoryError as error:
        for segment in made:
            segment.close()
        raise SettingsError(str(error)) from error
    return PlayingSegments(stats, slots, outboxes, weights, league)


def estimate(settings: Settings, game: Game, plan: Plan) -> dict[str, int]:
    """Bytes of each segment that `make_segments` would make; allocates nothing."""
    shapes = game.shapes
    clients, group_rows = num_clients(settings, plan), GROUPS * max_leaves(settings)
    learned = settings.algorithm == "muzero"
    slot_bytes = shapes.code_length + answer_bytes(shapes, learned) + 3 * 4 * learned  # parent, action and row
    queue = max(1, clients) * settings.selfplay.game_queue * _record_bytes(settings)
    fields = segment_fields(settings.replay, make_stages(settings))
    replay = sum(int(np.prod(f.shape)) * np.dtype(f.dtype).itemsize for f in fields)
    return {
        "stats": len(process_names(settings, plan)) * (8 * len(COLUMNS) + 96),
        "inference-slots": clients * group_rows * slot_bytes,
        **({"league-slots": plan.workers * group_rows * slot_bytes} if plan.league_devices else {}),
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


def latent_pool_bytes(settings: Settings, game: Game, plan: Plan, role: str = "inference") -> int:
    """Bytes of the pool of latents that each server of ``role`` keeps on its device; 0 where the rules are asked."""
    pool = pool_shape(settings)
    devices = plan.league_devices if role == "league" else plan.server_devices
    if pool is None or not devices:
        return 0
    # a generator's groups share one server of a league, and are spread over those of the newest net
    spans, span = (plan.workers, GROUPS) if role == "league" else (num_clients(settings, plan) * GROUPS, 1)
    regions = -(-spans // len(devices)) * span
    number = 4 if devices[0] == "cpu" else 2
    return regions * pool.rows * settings.net.channels * game.shapes.view_cells * number


def search_bytes(settings: Settings, game: Game) -> int:
    """Bytes of a generator's games under way (their trees and the states in them) and of its cache once that is full:
    on large boards they are most of what the process takes."""
    shapes, learned = game.shapes, settings.algorithm == "muzero"
    nodes = nodes_per_game(settings.search, learned)
    arrays = new_tree(1, nodes, shapes.num_actions, shapes.num_seats, learned, shapes.thumbnail)
    tree = sum(part.nbytes for part in arrays)
    states = sum(part.nbytes for part in game.new_states(1)) * (1 if learned else nodes)
    entry = 16 + shapes.code_length + answer_bytes(shapes)
    cached = 0 if learned else settings.selfplay.cache_entries * entry
    return GROUPS * games_per_group(settings) * (tree + states) + cached


def _record_bytes(settings: Settings) -> int:
    most = settings.selfplay.max_game_plies
    return max(largest_record_bytes(game.shapes, min(game.max_plies, most)) for game in make_stages(settings))
