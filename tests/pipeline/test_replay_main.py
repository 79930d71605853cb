"""The replay process and the stages of a curriculum: what it says on the stats board, and keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexpipe.config import load_settings
from hexpipe.games.factory import make_stages
from hexpipe.pipeline.messages import ChildContext
from hexpipe.pipeline.outbox import Outboxes
from hexpipe.pipeline.replay_main import replay_main
from hexpipe.pipeline.run_folder import ARCHIVE_NAME
from hexpipe.pipeline.stats import StatsBoard, Stop
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from tests.pipeline.stages import STAGES
from tests.selfplay.test_curriculum import finished


class Replay:
    """The replay process in this one: each `take` is a whole life of it."""

    def __init__(self, run_dir: Path, **options: object) -> None:
        self.settings = load_settings("quick", {
            "game.name": "inarow", "curriculum.stages": STAGES, "curriculum.stage_games": 4, **options,
        })  # fmt: skip
        self.run_dir = run_dir
        self.stats = StatsBoard.create(["replay-0", "learner-0"], private=True)

    def take(self, *games: tuple[int, int, float | None]) -> tuple[float, ...]:
        outboxes = Outboxes.create(1, 256, 4096, private=True)
        sender = outboxes.sender(0)
        for game in games:
            assert sender.send(finished(*game), lambda: False)
        row = self.stats.row("replay-0")
        row["stop"], row["stage"] = Stop.ORDERLY, 0
        buffer = ReplayBuffer.create(self.settings.replay, make_stages(self.settings), private=True)
        replay_main(ChildContext("replay-0", 0, self.settings, self.run_dir, self.stats), outboxes, buffer)
        assert buffer.total_games == row["total_games"]
        return row["stage"], row["stage_games"], row["mastered_after"]


def test_a_stage_ends_with_its_games_and_survives(tmp_path: Path) -> None:
    replay = Replay(tmp_path)
    assert replay.take() == (1, 0, 0)
    assert replay.take(*[(3, 3, None)] * 3) == (1, 3, 0)
    assert replay.take() == (1, 3, 0)
    assert replay.take((3, 3, None), (3, 3, None)) == (2, 0, 5)
    assert replay.take((3, 3, None), (4, 3, None)) == (2, 1, 5)  # the first of these was still under way
    assert replay.take(*[(4, 3, None)] * 3) == (3, 0, 4)
    assert replay.take(*[(5, 4, None)] * 9) == (3, 9, 4)
    with ReplayArchive(tmp_path / ARCHIVE_NAME, make_stages(replay.settings)) as archive:
        assert archive.stage == (2, 10, 4)


def test_with_a_league_a_stage_ends_with_its_wins(tmp_path: Path) -> None:
    replay = Replay(tmp_path, **{"league.share": 0.5, "curriculum.mastery": 0.6})
    assert replay.take(*[(3, 3, 0.5)] * 100) == (1, 100, 0)
    row = replay.stats.row("replay-0")
    assert (row["league_share"], row["league_window"]) == (0.5, 100)
    assert replay.take(*[(3, 3, 1.0)] * 19) == (1, 119, 0)
    assert row["league_share"] == pytest.approx(0.595)
    assert replay.take((3, 3, 1.0)) == (2, 0, 120)
    assert row["league_window"] == 0
