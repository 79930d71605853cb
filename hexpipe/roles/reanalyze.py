"""The process that searches old games anew. Like a generator it must never import torch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hexpipe.games.factory import make_game
from hexpipe.inference.client import CachedEvaluator, InferenceClient
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.inference.slots import InferenceSlots
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Ending, Role
from hexpipe.processes.stats import Waiting
from hexpipe.random_streams import Stream, generator
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.outbox import Outboxes
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.roles.generator import WatchedEvaluator, own_bytes
from hexpipe.run_folder import ARCHIVE_NAME
from hexpipe.search.evaluator import Evaluator
from hexpipe.selfplay.old_games import OldGames
from hexpipe.selfplay.reanalyze import OldGame, Reanalysis

if TYPE_CHECKING:  # a child needs no more than its body does
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import Segments

_POLL_SECONDS = 0.05


def reanalyze_main(
    context: ChildContext, outboxes: Outboxes, slots: InferenceSlots, buffer: ReplayBuffer, worker: int
) -> None:
    """Search held games anew until asked to stop; each goes to the outbox of ``worker`` with its number."""
    row, settings = context.row, context.settings
    if not _await_replay(context):
        return
    game = make_game(settings.game)
    stall = settings.limits.stall_seconds
    client = InferenceClient(slots, worker, start_timeout=stall, replace_timeout=stall)
    evaluator: Evaluator = WatchedEvaluator(client, row, Waiting.INFERENCE)
    if settings.selfplay.cache_entries and settings.algorithm == "alphazero":
        cache = LRUCache(settings.selfplay.cache_entries, game.shapes, half=True)
        evaluator = CachedEvaluator(evaluator, cache, game.shapes)
    sender = outboxes.sender(worker)
    # a replacement must not draw its predecessor's games again
    rng = generator(Stream.REANALYZE, settings.seed, context.session, worker, context.me.restarts)
    with ReplayArchive(context.run_dir / ARCHIVE_NAME, game, read_only=True) as archive:
        old_games = OldGames(buffer, archive, settings.reanalyze.ratio, rng, context.state.searched_positions)
        state = context.state

        def take() -> OldGame | None:
            return old_games.take(state.played_positions, state.published)

        def on_game(number: int, record: GameRecord) -> None:
            row.beat(Waiting.OUTBOX)
            sender.send(record, lambda: context.go_on(Waiting.OUTBOX), number)
            row.beat()
            old_games.done(number, record.weights_version)
            row.add("games", 1)
            row.add("positions", record.num_positions)
            state.searched_positions += record.num_positions

        reanalysis = Reanalysis(game, settings, evaluator, take, on_game, client.release, slots.groups)
        context.set_ready()
        while not context.stopping():
            if not reanalysis.step():
                row.beat(Waiting.WEIGHTS if old_games.pays else Waiting.POSITIONS)
                time.sleep(_POLL_SECONDS)


def _await_replay(context: ChildContext) -> bool:
    """Wait until the replay process has opened the archive and filled the buffer; False to stop."""
    while not context.state.of("replay-0").ready:
        if not context.go_on(Waiting.REFILL):
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _parts(shared: Segments, number: int) -> dict[str, Any]:
    worker = shared.worker("reanalyze", number)
    slots = shared.slots.for_worker(worker)
    return {"outboxes": shared.outboxes, "slots": slots, "buffer": shared.buffer, "worker": worker}


REANALYZE: Role[Plan, Segments] = Role(
    "reanalyze",
    "hexpipe.roles.reanalyze:reanalyze_main",
    counters=("games", "positions", "version"),
    progress=("positions",),
    count=lambda settings, plan: int(settings.reanalyze.ratio > 0),
    parts=_parts,
    own_bytes=own_bytes,
    searches=True,
    ending=Ending(0, 5.0),
)
"""Searches games that the buffer holds anew, with the newest weights."""
