"""Engines: checkpoints of every kind answer, alike for every thread, on boards of other sizes too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hexpipe.arena.engine import Engine
from hexpipe.errors import CheckpointError, SettingsError
from tests.arena.checkpoints import small_checkpoint
from tests.refusals import refused


@pytest.fixture(scope="module")
def hex_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("hex"))


def test_threads_have_the_same_answers_as_one_alone(hex_run: Path) -> None:
    engine = Engine(hex_run, cache_entries=0)
    positions = [[], [5], [5, 6], [0, 1, 2]]
    alone = [engine.analyse([position])[0] for position in positions]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda position: engine.analyse([position])[0], positions * 3))
    for analysis, found in zip(alone * 3, together, strict=True):
        assert found.moves == analysis.moves


def test_positions_together_are_those_apart(hex_run: Path) -> None:
    engine = Engine(hex_run, cache_entries=0)
    positions = [[], [5], [5, 6]]
    for position, found in zip(positions, engine.analyse(positions), strict=True):
        (alone,) = engine.analyse([position])
        assert found.best == alone.best
        assert found.simulations == alone.simulations == 16


@pytest.mark.parametrize(
    "overrides",
    [{"selfplay__fast_share": 0.75}, {"search__num_simulations": 64, "search__phase_simulations": [32, 64, 48]}],
    ids=["fast searches", "phases"],
)
def test_settings_of_self_play_keep_nobody_from_asking_for_fewer_simulations(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    engine = Engine(small_checkpoint(tmp_path / "run", **overrides))
    for simulations in (2, 50, 200):
        (found,) = engine.analyse([[5]], simulations=simulations)
        assert found.simulations == simulations


def test_other_boards_and_rules(hex_run: Path) -> None:
    engine = Engine(hex_run, board_size=6, swap=True)
    (first,) = engine.analyse([[14]], simulations=50)
    assert len(first.priors) == 36
    assert 36 in first.priors  # the swap is legal
    assert first.simulations == 50


def test_a_run_that_grew_plays_boards_that_are_none_of_its_own(tmp_path: Path) -> None:
    grown = small_checkpoint(tmp_path, curriculum__stages=[3, 4])
    for size in (3, 4, 6):
        (found,) = Engine(grown, board_size=size).analyse([[]], simulations=8)
        assert len(found.priors) == size * size


@pytest.mark.parametrize("overrides", [
    {"algorithm": "muzero"},
    {"game__name": "inarow", "game__players": 3, "game__board_size": 5, "game__win_length": 4},
])  # fmt: skip
def test_every_kind_of_net(tmp_path: Path, overrides: dict[str, object]) -> None:
    engine = Engine(small_checkpoint(tmp_path, **overrides))
    for positions in ([[]], [[0], [1], [2, 3]], [[7]]):
        found = engine.analyse(positions)
        assert [analysis.simulations for analysis in found] == [16] * len(positions)
        for position, analysis in zip(positions, found, strict=True):
            assert analysis.best not in position


def test_what_cannot_be_is_said(hex_run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        Engine(tmp_path / "nowhere")
    with refused(SettingsError, kind="range", setting="game.board_size"):
        Engine(hex_run, board_size=99)
    with refused(SettingsError, kind="range", setting="search.num_simulations", low=2):
        Engine(hex_run).analyse([[]], simulations=1)
