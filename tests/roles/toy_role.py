"""A role of a test's own: it looks at the newest weights, counts them, and says so when it ends.

`python -m tests.roles.toy_role RUN_DIR` is a run that has it beside all others.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hexpipe.config import load_settings
from hexpipe.inference.weights import WeightsBoard
from hexpipe.pipeline.preparation import RunRequest
from hexpipe.pipeline.train_async import run
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Role
from hexpipe.processes.stats import Waiting
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.plan import Plan
from hexpipe.roles.segments import Segments

SETTINGS = {
    "game.board_size": 3, "search.num_simulations": 8, "net.blocks": 1, "net.channels": 8, "replay.max_memory_gb": 0.1,
    "replay.max_games": 2000, "replay.min_games": 10, "learner.batch_size": 32, "learner.publish_seconds": 0.001,
    "inference.backend": "eager", "rating.share": 0, "limits.steps": 30,
}  # fmt: skip


def toy_main(context: ChildContext, weights: WeightsBoard, number: int) -> None:
    context.set_ready()
    while context.heartbeat(Waiting.WEIGHTS):
        if weights.latest_version > context.row["newest_seen"]:
            context.row["newest_seen"] = weights.latest_version
            context.row.add("looks", 1)
        time.sleep(0.01)
    (context.run_dir / f"toy-{number}.txt").write_text(f"{context.row['looks']:.0f} {context.row['newest_seen']:.0f}")


TOY: Role[Plan, Segments] = Role(
    "toy",
    "tests.roles.toy_role:toy_main",
    counters=("looks", "newest_seen"),
    count=lambda settings, plan: 2,
    parts=lambda shared, number: {"weights": shared.weights, "number": number},
    own_bytes=lambda settings, game, plan: 12_345,
)


def main(run_dir: Path) -> int:
    return run(RunRequest(load_settings("quick", SETTINGS), run_dir), roles=(*ROLES, TOY))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
