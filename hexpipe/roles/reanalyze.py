"""The process that searches old games anew. Like a generator it must never import torch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hexpipe.games.factory import make_game
from hexpipe.inference.slots import InferenceSlots
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Ending, Role
from hexpipe.processes.stats import Waiting
from hexpipe.random_streams import Stream, generator
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.outbox import Outboxes
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.roles.generator import ServedNet, own_bytes, send_game
from hexpipe.run_folder import ARCHIVE_NAME
from hexpipe.selfplay.old_games import OldGameSearch

if TYPE_CHECKING:  # at run time a child imports only what its body needs
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import Segments

_POLL_SECONDS = 0.05


def reanalyze_main(
    context: ChildContext, outboxes: Outboxes, slots: InferenceSlots, buffer: ReplayBuffer, worker: int
) -> None:
    """Search held games anew until asked to stop; each goes to the outbox of ``worker`` with its number."""
    row, settings = context.row, context.settings
    game, state = make_game(settings.game), context.state
    if not context.wait_until(lambda: state.of("replay-0").ready > 0, Waiting.REFILL):  # it fills the buffer
        return
    net = ServedNet(context, slots, worker, game, Waiting.INFERENCE)
    sender = outboxes.sender(worker)

    def put_back(number: int, record: GameRecord) -> None:
        send_game(context, sender, record, number)
        row.add("positions", record.num_positions)
        state.searched_positions += record.num_positions

    # a replacement must not draw its predecessor's games again
    rng = generator(Stream.REANALYZE, settings.seed, context.session, worker, context.me.restarts)
    with ReplayArchive(context.run_dir / ARCHIVE_NAME, game, read_only=True) as archive:
        search = OldGameSearch(
            settings, game, buffer, archive, net.evaluator, rng, put_back,
            on_idle=net.client.release, groups=slots.groups, positions=state.searched_positions,
        )  # fmt: skip
        context.set_ready()
        while not context.stopping():
            if not search.step(state.played_positions, state.published):
                row.beat(Waiting.WEIGHTS if search.pays else Waiting.POSITIONS)
                time.sleep(_POLL_SECONDS)


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
"""The role that searches games in the buffer anew, with the newest weights."""
