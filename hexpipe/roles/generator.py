"""The self-play generator. Neither it nor any of its imports may import torch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Settings
from hexpipe.games.factory import make_games_of_net
from hexpipe.games.game_env import Game
from hexpipe.inference.client import CachedEvaluator, InferenceClient
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.inference.slots import InferenceSlots
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Ending, Role
from hexpipe.processes.stats import ProcessRow, Waiting
from hexpipe.random_streams import Stream, stream
from hexpipe.records import GameRecord
from hexpipe.replay.outbox import Outboxes, OutboxSender
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.league import LeagueEvaluator
from hexpipe.selfplay.self_play import SelfPlay

if TYPE_CHECKING:  # at run time a child imports only what its body needs
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import PlayingSegments

_EXPORT_SECONDS = 0.25
OWN_BYTES = 25_000_000
"""Private memory (uss) of a process that searches, as measured on a CPU, without its games and its cache."""
_COUNTERS = (
    "positions",
    "simulations",
    "leaves",  # positions sent to the evaluator
    "cache_hits",
    "wait_seconds",
    "league_games",  # games with a league opponent
    "league_wins",  # sum of the newest net's win shares in them
)


class WatchedEvaluator:
    """An evaluator that records waits and the newest version on the stats board."""

    def __init__(self, evaluator: Evaluator, row: ProcessRow, waiting: Waiting) -> None:
        self._evaluator = evaluator
        self._row, self._waiting = row, waiting

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        self._evaluator.submit(group, codes, moves)

    def collect(self, group: int) -> Evaluation:
        self._row.beat(self._waiting)
        answer = self._evaluator.collect(group)
        self._row.beat()
        if self._waiting is Waiting.INFERENCE:  # a league's versions only number its opponents
            self._row["version"] = answer.version
        return answer


class ServedNet:
    """A net as the client of its servers: over their slots, and through a cache of the process's own."""

    def __init__(self, context: ChildContext, slots: InferenceSlots, worker: int, game: Game, waiting: Waiting) -> None:
        settings = context.settings
        stall = settings.limits.stall_seconds
        self.client = InferenceClient(slots, worker, start_timeout=stall, replace_timeout=stall)
        self.evaluator: Evaluator = WatchedEvaluator(self.client, context.row, waiting)
        self._cached: CachedEvaluator | None = None
        if settings.selfplay.cache_entries and settings.algorithm == "alphazero":  # latents cannot be cached
            cache = LRUCache(settings.selfplay.cache_entries, game.shapes, half=True)
            self.evaluator = self._cached = CachedEvaluator(self.evaluator, cache, game.shapes)

    @property
    def leaves(self) -> int:
        """Positions that searches have asked for."""
        return self.client.evals if self._cached is None else self._cached.evals

    @property
    def cache_hits(self) -> int:
        """Those of them that were answered from the cache."""
        return 0 if self._cached is None else self._cached.hits + self._cached.repeats


def send_game(context: ChildContext, sender: OutboxSender, record: GameRecord, number: int = 0) -> None:
    """Put a game into the outbox and count it; ``number`` is an old game's in the archive, 0 for a new one."""
    row = context.row
    row.beat(Waiting.OUTBOX)
    sender.send(record, lambda: context.heartbeat(Waiting.OUTBOX), number)
    row.beat()
    row.add("games", 1)


def generator_main(
    context: ChildContext, outboxes: Outboxes, slots: InferenceSlots, league: InferenceSlots | None
) -> None:
    """Play games until asked to stop; each finished one goes to the outbox."""
    row, settings = context.row, context.settings
    stages = make_games_of_net(settings)
    game = stages[-1]  # the same for a net on every stage
    nets = [ServedNet(context, slots, context.number, game, Waiting.INFERENCE)]
    evaluator = nets[0].evaluator
    if league is not None:
        nets.append(ServedNet(context, league, context.number, game, Waiting.LEAGUE))
        evaluator = LeagueEvaluator(evaluator, nets[1].evaluator, nets[1].client.release)
    sender = outboxes.sender(context.number)

    def on_game(record: GameRecord) -> None:
        send_game(context, sender, record)
        if not row["first_game"]:
            row["first_game"] = time.monotonic()

    # a replacement, or this worker in a resumed run, must not repeat its predecessor's games
    seed = stream(Stream.GENERATOR, settings.seed, context.session, context.number, context.me.restarts)
    state = context.state
    if not context.wait_until(lambda: len(stages) == 1 or state.stage > 0, Waiting.REFILL):  # replay reads the archive
        return
    play = SelfPlay(
        stages, settings, evaluator, seed, on_game, groups=slots.groups, stage=lambda: (state.stage or 1) - 1
    )
    base = {name: row[name] for name in _COUNTERS}
    context.set_ready()
    next_export = 0.0
    while not context.stopping():
        play.step()
        now = time.monotonic()
        if now >= next_export:
            next_export = now + _EXPORT_SECONDS
            row["positions"] = base["positions"] + play.stats.moves
            row["simulations"] = base["simulations"] + play.stats.simulations
            row["leaves"] = base["leaves"] + sum(net.leaves for net in nets)
            row["cache_hits"] = base["cache_hits"] + sum(net.cache_hits for net in nets)
            row["wait_seconds"] = base["wait_seconds"] + sum(net.client.wait_seconds for net in nets)
            row["league_games"] = base["league_games"] + play.stats.league_games
            row["league_wins"] = base["league_wins"] + play.stats.league_wins


def _parts(shared: PlayingSegments, number: int) -> dict[str, Any]:
    league = shared.league
    return {
        "outboxes": shared.outboxes,
        "slots": shared.slots.for_worker(number),
        "league": league and league.for_worker(number),
    }


def own_bytes(settings: Settings, game: Game, plan: Plan) -> int:
    """Estimate the bytes of a process that searches, with its running games and a full cache."""
    from hexpipe.roles.segments import search_bytes

    return OWN_BYTES + search_bytes(settings, game)


GENERATOR: Role[Plan, PlayingSegments] = Role(
    "generator",
    "hexpipe.roles.generator:generator_main",
    counters=("games", "first_game", "version", *_COUNTERS),
    progress=("positions",),
    count=lambda settings, plan: plan.workers,
    parts=_parts,
    own_bytes=own_bytes,
    searches=True,
    ending=Ending(0, 5.0),  # to end a step; unsent games are no loss to the archive
)
"""The role that plays games."""
