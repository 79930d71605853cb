"""Games of the smaller boards of a run, in the buffer of its next board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.config import Settings, load_settings
from hexpipe.games.factory import make_games_of_net, make_stages
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.smaller_boards import smaller_games
from tests.replay.reference import played_game


def leg(stage: int, **options: Any) -> Settings:
    """A leg of a run of 3x3, 5x5 and 6x6 that keeps five games."""
    given = {"game.board_size": 6, "curriculum.stages": [3, 5, 6], "curriculum.kept_games": 5, **options}
    return load_settings("quick", given).at_stage(stage)


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    """Four games of 3x3, four of 5x5 and three of 6x6."""
    with ReplayArchive(tmp_path / "archive.sqlite", make_stages(leg(0))) as opened:
        for size, games in ((3, 4), (5, 4), (6, 3)):
            opened.append([played_game(Hex(size), number) for number in range(games)])
        yield opened


def test_the_newest_games_of_smaller_boards_are_kept_and_can_be_sampled(archive: ReplayArchive) -> None:
    settings = leg(2)
    found = list(smaller_games(settings, archive))
    assert [number for number, _ in found] == [4, 5, 6, 7, 8]
    assert {record.board_size for _, record in found} == {6}
    buffer = ReplayBuffer.create(settings.replay, make_games_of_net(settings), private=True)
    assert buffer.refill(archive, before=iter(found)) == 8
    assert buffer.num_positions == sum(r.num_positions for _, r in found) + sum(
        played_game(Hex(6), number).num_positions for number in range(3)
    )
    assert buffer.total_games == 11
    batch = buffer.sample_batch(200, np.random.default_rng(0))
    stones = (batch["codes"] != 0).sum(axis=1)
    assert stones.min() == 0  # of a game of 6x6
    assert (batch["games"] <= 8).any()
    assert (stones[batch["games"] <= 8] >= 10).all()  # the frame of 5x5 within 6x6
    buffer.add_game(played_game(Hex(6), 9))
    assert buffer.total_games == 12


@pytest.mark.parametrize(("stage", "options"), [(0, {}), (2, {"curriculum.kept_games": 0}), (2, {"game.swap": True})])
def test_none_are_where_none_can_be(stage: int, options: dict[str, Any], tmp_path: Path) -> None:
    settings = leg(stage, **options)
    with ReplayArchive(tmp_path / "other.sqlite", make_stages(settings)) as other:
        swap = settings.game.swap
        other.append([played_game(Hex(3, swap=swap), 1), played_game(Hex(5, swap=swap), 2)])
        assert list(smaller_games(settings, other)) == []
