"""All shared memory of a run, allocated before any process starts, and its sizes without allocating."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hexpipe.answers import answer_bytes
from hexpipe.config import Settings
from hexpipe.errors import SettingsError, SharedMemoryError
from hexpipe.games.factory import make_games_of_net
from hexpipe.games.game_env import Game
from hexpipe.games.hex_solver import prover_bytes
from hexpipe.inference.latents import PoolShape
from hexpipe.inference.slots import InferenceSlots
from hexpipe.inference.weights import WeightsBoard
from hexpipe.nets.net_template import memory_bytes, net_template
from hexpipe.processes.machine import thread_environment
from hexpipe.processes.role import Role
from hexpipe.processes.run_state import RunState
from hexpipe.processes.stats import StatsBoard
from hexpipe.processes.supervisor import ChildSpec
from hexpipe.replay.layout import segment_fields
from hexpipe.replay.outbox import Outboxes, largest_record_bytes
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.roles.plan import GROUPS, Plan
from hexpipe.search.mcts import nodes_per_game
from hexpipe.search.tree import new_tree
from hexpipe.shm import Field, SharedSegment, segment_bytes, semaphores_made, spawn_context

AnyRole = Role[Plan, Any]


@dataclass(frozen=True)
class Start:
    """The source of the learner's weights: a checkpoint to resume, one to start from, or (neither) the seed."""

    resume: Path | None = None
    init_from: Path | None = None


@dataclass(frozen=True)
class PlayingSegments:
    """The shared parts of play: of generators, and of their servers.

    ``workers``: by role the number of the first outbox, and slots, of its processes.
    """

    plan: Plan
    workers: Mapping[str, int]
    stats: StatsBoard
    state: RunState
    slots: InferenceSlots
    outboxes: Outboxes
    weights: WeightsBoard
    league: InferenceSlots | None

    def all(self) -> list[SharedSegment]:
        """Return the segments of the parts."""
        slots = [part.segment for part in self.all_slots()]
        parts = [self.stats.segment, self.state.segment, *slots, self.outboxes.segment, self.weights.segment]
        return [part for part in parts if isinstance(part, SharedSegment)]

    def all_slots(self) -> list[InferenceSlots]:
        """Return the slots of the newest net, and those of the league's opponents if any."""
        return [self.slots] if self.league is None else [self.slots, self.league]

    def worker(self, role: str, number: int) -> int:
        """Return the number of a process among all that have an outbox."""
        return self.workers[role] + number

    def request_stop(self) -> None:
        """Request a stop of all slots, see `InferenceSlots.request_stop`."""
        for slots in self.all_slots():
            slots.request_stop()

    def repair_after_death(self, role: AnyRole, number: int) -> None:
        """Repair what a dead process shared, for its replacement and for all others."""
        for slots in self.all_slots():
            if role.name == slots.role:
                slots.repair_after_server_death(number)
            elif role.searches and self.worker(role.name, number) < slots.workers:  # a league: generators only
                slots.repair_after_death(self.worker(role.name, number))
        role.after_death(self, number)


@dataclass(frozen=True)
class Segments(PlayingSegments):
    """The shared parts of a run, and the start of its learner."""

    buffer: ReplayBuffer
    start: Start = Start()

    def all(self) -> list[SharedSegment]:
        """Return the segments of the parts."""
        return [*super().all(), self.buffer.segment]

    def repair_after_death(self, role: AnyRole, number: int) -> None:
        """Repair what any dead process shared, for its replacement and for all others."""
        super().repair_after_death(role, number)
        self.buffer.free_lock_of_the_dead()

    def describe(self) -> list[dict[str, Any]]:
        """Return name, descriptor and layout of every segment, for RUN/run.json."""
        return [{"name": s.name, "fd": s.fd, "bytes": s.nbytes, "layout": s.describe()} for s in self.all()]


def process_names(roles: Iterable[AnyRole], settings: Settings, plan: Plan) -> list[str]:
    """Return the names of all processes of a run, and of the rows without a process."""
    return [name for role in roles for name in role.names(settings, plan)]


def make_segments(roles: Sequence[AnyRole], settings: Settings, game: Game, plan: Plan) -> Segments:
    """Allocate all segments. Raises SettingsError, in one line, where there is not enough memory."""
    playing = make_playing_segments(roles, settings, game, plan)
    try:
        with semaphores_made():
            lock: Any = spawn_context().Lock()
        buffer = ReplayBuffer.create(settings.replay, make_games_of_net(settings), lock=lock)
    except SharedMemoryError as error:
        for segment in playing.all():
            segment.close()
        raise SettingsError(str(error), kind=error.kind, setting=error.setting) from error
    return Segments(**vars(playing), buffer=buffer)


def make_playing_segments(roles: Sequence[AnyRole], settings: Settings, game: Game, plan: Plan) -> PlayingSegments:
    """Allocate what generators and servers share, and a board and a state for all processes of ``roles``.

    Raises SettingsError, in one line, where there is not enough memory.
    """
    names, counters = process_names(roles, settings, plan), {role.name: role.counters for role in roles}
    workers, clients, outboxes = _number_workers(roles, settings, plan)
    made: list[SharedSegment] = []

    def keep(part: Any) -> Any:
        made.append(part.segment)
        return part

    try:
        shape: dict[str, Any] = {
            "groups": GROUPS,
            "max_leaves": max_leaves(settings),
            "pool": pool_shape(settings),
        }
        league = None
        stats, state = keep(StatsBoard.create(names, counters)), keep(RunState.create(names))
        slots = keep(InferenceSlots.create(game.shapes, workers=clients, servers=len(plan.server_devices), **shape))
        if plan.league_devices:
            shape |= {"role": "league", "one_server": True, "servers": len(plan.league_devices)}
            league = keep(InferenceSlots.create(game.shapes, workers=plan.workers, **shape))
        boxes = keep(Outboxes.create(outboxes, settings.selfplay.game_queue, _record_bytes(settings)))
        weights = keep(WeightsBoard.create(net_template(settings.net, game.shapes)))
    except SharedMemoryError as error:
        for segment in made:
            segment.close()
        raise SettingsError(str(error), kind=error.kind, setting=error.setting) from error
    return PlayingSegments(plan, workers, stats, state, slots, boxes, weights, league)


def child_specs(roles: Iterable[AnyRole], settings: Settings, plan: Plan, shared: PlayingSegments) -> list[ChildSpec]:
    """Return the specs of the children, in the order in which they are started."""
    return [
        ChildSpec(role, number, role.parts(shared, number), thread_environment(role.threads(plan)))
        for role in roles
        if role.body
        for number in range(role.count(settings, plan))
    ]


def _number_workers(roles: Iterable[AnyRole], settings: Settings, plan: Plan) -> tuple[dict[str, int], int, int]:
    """Assign numbers to the processes with outboxes.

    Returns the first number of each role, how many search, and the number of outboxes, at least one. Those that search
    come first, so that their slots have the same numbers.
    """
    first: dict[str, int] = {}
    total = clients = 0
    for role in sorted(roles, key=lambda role: not role.searches):
        if role.has_outbox:
            first[role.name] = total
            total += role.count(settings, plan)
            clients = total if role.searches else clients
    return first, clients, max(1, total)


def estimate(roles: Sequence[AnyRole], settings: Settings, game: Game, plan: Plan) -> dict[str, int]:
    """Return the bytes of each segment that `make_segments` would allocate."""
    names, counters = process_names(roles, settings, plan), {role.name: role.counters for role in roles}
    _, clients, outboxes = _number_workers(roles, settings, plan)

    def slots(workers: int, servers: int) -> list[Field]:
        shapes, leaves = game.shapes, max_leaves(settings)
        return InferenceSlots.fields(shapes, workers * GROUPS, leaves, servers, pool_shape(settings))

    league = {"league-slots": slots(plan.workers, len(plan.league_devices))} if plan.league_devices else {}
    fields = {
        "stats": StatsBoard.fields(names, counters),
        "run-state": RunState.fields(names),
        "inference-slots": slots(clients, len(plan.server_devices)),
        **league,
        "outboxes": Outboxes.fields(outboxes, settings.selfplay.game_queue, _record_bytes(settings)),
        "weights": WeightsBoard.fields(net_template(settings.net, game.shapes)),
        "replay": segment_fields(settings.replay, make_games_of_net(settings)),
    }
    return {name: segment_bytes(each) for name, each in fields.items()}


def max_leaves(settings: Settings) -> int:
    """Return the most leaves of one group's request."""
    return games_per_group(settings) * settings.search.leaves_per_game


def games_per_group(settings: Settings) -> int:
    """Return the number of games that a generator searches together."""
    return max(1, settings.selfplay.games_per_worker // GROUPS)


def pool_shape(settings: Settings) -> PoolShape | None:
    """Return the latent rows of a group of games; None where the search uses the rules."""
    if settings.algorithm == "alphazero":
        return None
    return PoolShape(games_per_group(settings), nodes_per_game(settings.search, learned=True))


def latent_pool_bytes(settings: Settings, game: Game, plan: Plan, role: str = "inference") -> int:
    """Return the bytes of the pool of latents that each server of ``role`` keeps on its device; 0 without learned
    dynamics."""
    pool = pool_shape(settings)
    devices = plan.league_devices if role == "league" else plan.server_devices
    if pool is None or not devices:
        return 0
    # a generator's groups share one server of a league, and are spread over those of the newest net
    reanalyze = settings.reanalyze.ratio > 0
    spans, span = (plan.workers, GROUPS) if role == "league" else ((plan.workers + reanalyze) * GROUPS, 1)
    regions = -(-spans // len(devices)) * span
    number = 4 if devices[0] == "cpu" else 2
    return regions * pool.rows * settings.net.channels * game.shapes.view_cells * number


def served_memory_bytes(settings: Settings, game: Game) -> int:
    """Return the bytes of a net's episodic memory where it serves: learned dynamics keep two sets of weights."""
    return memory_bytes(settings.net, game.shapes) * (2 if settings.algorithm == "muzero" else 1)


def search_bytes(settings: Settings, game: Game) -> int:
    """Estimate the bytes of a generator's running games (their trees, the states in them, the tables of proofs) and of
    its full cache.

    On large boards they are most of what the process takes.
    """
    shapes, learned = game.shapes, settings.algorithm == "muzero"
    nodes = nodes_per_game(settings.search, learned)
    tree = new_tree(1, nodes, shapes.num_actions, shapes.num_seats, learned, shapes.thumbnail).nbytes
    states = sum(part.nbytes for part in game.new_states(1)) * (1 if learned else nodes)
    entry = 16 + shapes.code_length + answer_bytes(shapes)
    cached = 0 if learned else settings.selfplay.cache_entries * entry
    proofs = 0 if learned or not settings.search.solver else prover_bytes(game, settings.search.leaf_proofs)
    return GROUPS * (games_per_group(settings) * (tree + states) + proofs) + cached


def net_process_bytes(settings: Settings, device: str) -> int:
    """Return the private bytes (uss), as measured, of a process that runs the net on ``device``, without its latents
    and its memory."""
    from hexpipe.nets.choose_backend import needs_torch

    return 200_000_000 if needs_torch(settings.net, settings.inference, device) else 80_000_000


def _record_bytes(settings: Settings) -> int:
    most = settings.selfplay.max_game_plies
    return max(largest_record_bytes(game.shapes, min(game.max_plies, most)) for game in make_games_of_net(settings))
