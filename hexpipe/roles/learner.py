"""The learner: the process, or the group of processes, that trains."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hexpipe.inference.weights import WeightsBoard
from hexpipe.learner.step_metrics import METRICS
from hexpipe.nets.checkpoints import newest_whole
from hexpipe.nets.net_template import memory_bytes
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Ending, Role
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.roles.segments import Start

if TYPE_CHECKING:
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import Segments

log = logging.getLogger(__name__)


def learner_main(context: ChildContext, buffer: ReplayBuffer, weights: WeightsBoard, device: str, start: Start) -> None:
    """Train until asked to stop: the body of a learner process."""
    import torch

    from hexpipe.learner.distributed import process_group
    from hexpipe.roles.learner_loop import LearnerLoop

    ranks = context.settings.learner.ranks
    if context.me.restarts:
        newest = newest_whole(context.run_dir, log.warning)
        if newest is not None:
            start = Start(newest.path)
            log.warning("goes on from %s", newest.path)
    if ranks == 1:
        LearnerLoop(context, buffer, weights, device, start).run()
        return
    # a new file for each group: torch's rendezvous must not meet an old one
    meeting = context.run_dir / f"learners-{context.session}-{context.row['restarts']:.0f}"
    for old in context.run_dir.glob("learners-*"):
        if old.name != meeting.name:  # left by a group that was killed
            old.unlink(missing_ok=True)
    timeout = context.settings.limits.stall_seconds
    try:
        with process_group(context.number, ranks, f"file://{meeting.resolve()}", torch.device(device), timeout):
            LearnerLoop(context, buffer, weights, device, start).run()
    finally:
        meeting.unlink(missing_ok=True)


def _parts(shared: Segments, number: int) -> dict[str, Any]:
    device = shared.plan.learner_devices[number]
    return {"buffer": shared.buffer, "weights": shared.weights, "device": device, "start": shared.start}


LEARNER: Role[Plan, Segments] = Role(
    "learner",
    "hexpipe.roles.learner:learner_main",
    counters=(
        "wait_seconds",
        "steps",
        *METRICS,
        "recoveries",  # times that training was rolled back to a checkpoint
        "learning_rate",
        "checkpoint_step",
        "solver_score",
        "solver_policy",
    ),
    progress=("steps",),
    count=lambda settings, plan: len(plan.learner_devices),
    parts=_parts,
    own_bytes=lambda settings, game, plan: 280_000_000 + memory_bytes(settings.net, game.shapes),
    threads=lambda plan: plan.learner_threads,
    together=True,
    ending=Ending(3, 120.0, saves=True),
)
"""The role that trains, publishes weights and writes checkpoints."""
