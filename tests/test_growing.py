"""Boards that grow without being asked to: when, through which stages, and what is left as it was given."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hexpipe.config import (
    GameSettings,
    dump_settings,
    flatten,
    load_settings,
    new_run_settings,
    override_settings,
    settings_from_json,
)
from hexpipe.config.growing import FAST, HEX_PROOFS, REVISITS, growing_stages, view_size_for
from hexpipe.errors import SettingsError
from tests.refusals import refused

LARGE = {"game.name": "inarow", "game.board_size": 100, "game.players": 3, "game.win_length": 8}


def test_a_large_board_is_grown() -> None:
    for settings in (new_run_settings("quick", LARGE), new_run_settings("eight")):
        assert settings.curriculum.stages == ((11, 4), (33, 5), (100, 8))
        assert (settings.game.board_size, settings.game.win_length) == (100, 8)
        assert (settings.game.view_size, settings.game.move_cap) == (11, 0)
        assert (settings.selfplay.max_game_plies, settings.selfplay.opening_random_plies) == (96, 9)
        assert settings_from_json(dump_settings(settings)) == settings


def test_quick_grows_as_eight_does() -> None:
    """What a move is worth, and how soon it is learned from, is the game's, not the preset's."""
    quick, eight = (flatten(new_run_settings(*given)) for given in (("quick", LARGE), ("eight",)))
    differ = {name for name in quick if quick[name] != eight[name]}
    assert differ == {"preset", "replay.max_games", "limits.minutes"}


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"game.board_size": 7, "curriculum.stages": []},
        {"game.board_size": 7, "reanalyze.ratio": 1},
        {"game.board_size": 7, "selfplay.workers": 0},
        {"game.name": "inarow", "game.board_size": 21},
        {"game.name": "inarow", "game.board_size": 25, "game.view_size": 25, "game.row_rule": "renju"},
        {**LARGE, "curriculum.stages": []},
        {**LARGE, "curriculum.stages": [[15, 5], [100, 8]]},
        {**LARGE, "reanalyze.ratio": 1},
    ],
)
def test_what_is_small_or_was_said_stays(overrides: dict[str, Any]) -> None:
    of_hex = {} if overrides.get("game.name") == "inarow" else {**HEX_PROOFS, **REVISITS, **FAST}
    assert new_run_settings("quick", overrides) == load_settings("quick", {**of_hex, **overrides})


@pytest.mark.parametrize(
    ("size", "sizes"), [(6, [5, 6]), (7, [5, 7]), (8, [5, 7, 8]), (11, [5, 7, 9, 11]), (27, list(range(5, 28, 2)))]
)
def test_a_board_of_hex_above_5x5_is_grown_by_two(size: int, sizes: list[int]) -> None:
    settings = new_run_settings("quick", {"game.board_size": size})
    assert settings.plays_in_legs
    assert [game.board_size for game in settings.stages] == sizes
    assert settings_from_json(dump_settings(settings)) == settings
    first = settings.at_stage(0)
    assert first.game.board_size == 5
    assert [game.board_size for game in first.stages] == sizes
    assert settings_from_json(dump_settings(first)) == first
    trained = new_run_settings("quick", {"game.board_size": size}, trained=True)
    assert trained == load_settings("quick", {"game.board_size": size, **HEX_PROOFS, **REVISITS, **FAST})


def test_proofs_are_for_true_rules_and_what_is_said_wins() -> None:
    learned = new_run_settings("quick", {"algorithm": "muzero"})
    assert (learned.search.leaf_proofs, learned.selfplay.stop_when_proven) == (0, 0)
    told = new_run_settings("quick", {"search.leaf_proofs": 0})
    assert (told.search.leaf_proofs, told.selfplay.stop_when_proven) == (0, 0.75)


@pytest.mark.parametrize(
    ("overrides", "share"),
    [
        ({}, 0.75),
        ({"search.num_simulations": 31}, 0.0),
        ({"search.num_simulations": 4}, 0.0),
        ({"search.phase_simulations": [32, 8, 32]}, 0.0),
        ({"selfplay.fast_simulations": 2, "search.num_simulations": 8}, 0.75),
        ({"selfplay.fast_share": 0.5, "search.num_simulations": 16}, 0.5),
        ({"algorithm": "muzero"}, 0.0),
        ({"game.name": "inarow"}, 0.0),
    ],
)
def test_fast_searches_are_set_where_others_are_far_longer(overrides: dict[str, Any], share: float) -> None:
    assert new_run_settings("quick", overrides).selfplay.fast_share == share


def test_stages_of_hex_are_sizes_and_end_with_the_board() -> None:
    settings = new_run_settings("quick", {"curriculum.stages": [4, 6]})
    assert (settings.game.board_size, settings.curriculum.stages) == (6, ((4, 0), (6, 0)))
    with refused(SettingsError, "6x6", kind="conflict", setting="curriculum.stages"):
        new_run_settings("quick", {"curriculum.stages": [4, 6], "game.board_size": 4})
    for stages, size, kind in (
        ([4, 4], 4, "range"),
        ([6, 4], 4, "range"),
        ([[4, 3], [5, 4]], 5, "type"),
        ([4, 28], 4, "range"),
    ):
        with refused(SettingsError, kind=kind, setting="curriculum.stages"):
            new_run_settings("quick", {"curriculum.stages": stages, "game.board_size": size})


def test_one_board_at_a_time_is_for_hex_alone() -> None:
    large = new_run_settings("quick", LARGE)
    assert not large.plays_in_legs
    assert large.at_stage(0) is large


def test_settings_that_are_given_win() -> None:
    given = {"game.view_size": 15, "curriculum.stage_games": 7, "selfplay.max_game_plies": 90}
    settings = new_run_settings("eight", {**given, "game.board_size": 50})
    assert settings.curriculum.stages == ((15, 4), (27, 5), (50, 8))
    assert (settings.game.view_size, settings.curriculum.stage_games, settings.selfplay.max_game_plies) == (15, 7, 90)


def test_a_run_keeps_the_boards_that_it_began_with() -> None:
    old = load_settings("quick", LARGE)  # as settings.json of a run has it that did not grow
    assert override_settings(settings_from_json(dump_settings(old)), {"limits.minutes": 3}).curriculum.stages == ()


@pytest.mark.parametrize("size", [22, 23, 50, 99, 100, 200])
@pytest.mark.parametrize("length", [2, 3, 4, 5, 8, 13, 20, 22])
@pytest.mark.parametrize("players", [2, 3])
def test_every_board_grows_step_by_step(size: int, length: int, players: int) -> None:
    rules = GameSettings(name="inarow", board_size=size, win_length=length, players=players).inarow_rules()
    view = view_size_for(rules)
    stages = growing_stages(rules, view)
    assert view % 2 == 1
    assert view * view * 1.5 >= size  # views around the buckets' middles leave few cells out
    assert stages[-1] == (size, length)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(stages))
    overrides = {"game.name": "inarow", "game.board_size": size, "game.win_length": length, "game.players": players}
    assert new_run_settings("quick", overrides).curriculum.stages == stages
