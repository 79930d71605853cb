"""What the settings of a game allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import Field, model_validator

from hexpipe.config import (
    GameOptions,
    LimitSettings,
    Settings,
    Shapes,
    changed_settings,
    dump_settings,
    flatten,
    load_settings,
    override_settings,
    settings_from_json,
)
from hexpipe.config.limits import limit_reached, limits_in_words, share_done
from hexpipe.errors import SettingsError
from tests.refusals import refused


@pytest.mark.parametrize(
    ("game", "kind", "option", "low", "high"),
    [
        ({"board_size": 28}, "range", "board_size", 3, 27),
        ({"board_size": 201}, "range", "board_size", None, 200),
        ({"name": "inarow", "board_size": 2}, "range", "board_size", 3, None),
        ({"name": "inarow", "swap": True}, "unknown", "swap", None, None),
        ({"players": 3}, "unknown", "players", None, None),
        ({"win_length": 5}, "unknown", "win_length", None, None),
        ({"thumbnail": False}, "unknown", "thumbnail", None, None),
        ({"name": "inarow", "players": 4}, "range", "players", None, 3),
        ({"name": "inarow", "win_length": 6}, "range", "win_length", None, 5),
        ({"name": "inarow", "row_rule": "open"}, "type", "row_rule", None, None),
        ({"name": "inarow", "row_rule": "renju", "players": 3}, "conflict", "row_rule", None, None),
        ({"name": "inarow", "row_rule": "renju", "win_length": 4}, "conflict", "row_rule", None, None),
        ({"name": "inarow", "row_rule": "renju", "board_size": 4}, "conflict", "row_rule", None, None),
        ({"name": "inarow", "row_rule": "renju", "board_size": 22}, "conflict", "row_rule", None, None),
        ({"name": "hex", "row_rule": "exact"}, "unknown", "row_rule", None, None),
        ({"name": "inarow", "view_size": 4}, "range", "view_size", None, None),
        ({"name": "inarow", "board_size": 10, "view_size": 21}, "conflict", "view_size", None, None),
        ({"name": "inarow", "view_size": 81}, "range", "view_size", None, 79),
        ({"name": "inarow", "placement_rewards": [1, 0, -1]}, "conflict", "placement_rewards", None, None),
        ({"name": "inarow", "players": 3, "placement_rewards": [1, -1]}, "type", "placement_rewards", None, None),
        ({"name": "inarow", "players": 3, "placement_rewards": [0, 1, -1]}, "type", "placement_rewards", None, None),
        ({"name": "inarow", "players": 3, "placement_rewards": [2, 0, -1]}, "range", "placement_rewards", -1, 1),
        ({"name": "chess"}, "unknown", "name", None, None),
        ({"name": "os.path:"}, "unknown", "name", None, None),
        ({"name": ".chess:Chess"}, "unknown", "name", None, None),
        ({"name": "my games:Chess"}, "unknown", "name", None, None),
        ({"name": "a" * 100 + ":B"}, "range", "name", None, 100),
        ({"name": "chess:Chess", "board_size": 2}, "range", "board_size", 3, None),
    ],
)
def test_impossible_games_are_refused_in_one_line(
    game: dict[str, Any], kind: str, option: str, low: float | None, high: float | None
) -> None:
    with refused(SettingsError, kind=kind, setting=f"game.{option}", low=low, high=high) as caught:
        load_settings(overrides={f"game.{name}": value for name, value in game.items()})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("game", "wanted"),
    [
        ({"board_size": 4}, (4, False, (1.0, -1.0), 16, 4, False)),
        ({"board_size": 15, "view_size": 21}, (5, False, (1.0, -1.0), 225, 21, False)),
        ({"board_size": 100, "players": 3, "win_length": 8}, (8, True, (1.0, -0.2, -1.0), 10_000, 21, True)),
        (
            {"board_size": 200, "players": 3, "draws": "shared", "move_cap": 5000, "thumbnail": False},
            (5, False, (1.0, -0.2, -1.0), 5000, 21, False),
        ),
    ],
)
def test_what_unset_rules_of_n_in_a_row_stand_for(game: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    settings = load_settings(overrides={"game.name": "inarow", **{f"game.{key}": value for key, value in game.items()}})
    rules = settings.game.inarow_rules()
    assert (rules.board_size, rules.players) == (game["board_size"], game.get("players", 2))
    assert (
        rules.win_length,
        rules.ranked_draws,
        rules.placement_rewards,
        rules.max_plies,
        rules.view_size,
        rules.thumbnail,
    ) == wanted
    assert settings_from_json(dump_settings(settings)) == settings
    board = f"{rules.board_size}x{rules.board_size}"
    assert settings.game.title == f"{wanted[0]} in a row {board}, {rules.players} players"


def test_a_game_of_ones_own_judges_its_rules_itself() -> None:
    rules = {"game.name": "my.games:Chess", "game.board_size": 200, "game.win_length": 4, "game.players": 3}
    game = load_settings(overrides=rules).game
    assert game.own_class == ("my.games", "Chess")
    assert game.title == "my.games:Chess 200x200"
    game.refuse_rules_beside("players", "win_length")
    with refused(SettingsError, "my.games:Chess", kind="unknown", setting="game.win_length"):
        game.refuse_rules_beside("players")
    assert load_settings().game.own_class is None


def test_shapes_of_a_whole_board() -> None:
    shapes = Shapes(board_size=5, num_actions=26, num_seats=2, code_length=26)
    assert (shapes.view_size, shapes.view_cells, shapes.board_cells, shapes.thumbnail) == (5, 25, 25, False)
    view = Shapes(board_size=100, num_actions=441, num_seats=3, code_length=2205, view_size=21, thumbnail=True)
    assert (view.view_cells, view.board_cells) == (441, 10_000)


class ChessOptions(GameOptions):
    players: int = Field(2, ge=2, le=3)
    win_length: int = 4
    clock: float = Field(5.0, gt=0)
    openings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> ChessOptions:
        if self.clock > 60 and self.players == 3:
            raise ValueError("game.clock is above 60, which is too long for three")
        return self


def test_options_of_a_game_of_ones_own_are_kept_and_held_against_its_model() -> None:
    name, given = "my.games:Chess", {"clock": 3, "openings": ["e4", "d4"], "players": 3}
    settings = load_settings(overrides={"game.name": name, **{f"game.{key}": value for key, value in given.items()}})
    again = settings_from_json(dump_settings(settings))
    assert again == settings
    assert {key: flatten(again)[f"game.{key}"] for key in given} == given
    options = again.game.options(ChessOptions)
    assert (options.name, options.board_size, options.players, options.win_length) == (name, 5, 3, 4)
    assert (options.clock, options.openings) == (3.0, ("e4", "d4"))
    changed = override_settings(again, {"game.clock": 4, "game.colour": "red"})
    assert changed_settings(again, changed) == {"game.clock": (3, 4), "game.colour": (None, "red")}
    assert changed_settings(changed, again) == {"game.clock": (4, 3), "game.colour": ("red", None)}
    for game, kind, setting in (
        ({"clock": 0}, "range", "game.clock"),
        ({"colour": "red"}, "unknown", "game.colour"),
        ({"swap": True}, "unknown", "game.swap"),
        ({"clock": 61, "players": 3}, "conflict", "game"),
    ):
        overrides = {"game.name": name, **{f"game.{key}": value for key, value in game.items()}}
        with refused(SettingsError, kind=kind, setting=setting) as caught:
            load_settings(overrides=overrides).game.options(ChessOptions)
        assert "\n" not in str(caught.value)


def test_options_of_other_games_names_have_the_defaults_that_these_have() -> None:
    class Wrong(GameOptions):
        players: int = 3

    class Free(GameOptions):
        board_size: int
        win_length: int = 9

    game = load_settings(overrides={"game.name": "my.games:Chess"}).game
    with refused(SettingsError, "Wrong.players", kind="conflict", setting="game.players"):
        game.options(Wrong)
    assert game.options(Free).model_dump() == {
        "name": "my.games:Chess",
        "board_size": 5,
        "board_width": None,
        "win_length": 9,
    }


@pytest.mark.parametrize("name", ["hex", "inarow", "my.games:Chess"])
@pytest.mark.parametrize("key", ["colour", "x" * 3000, "\x1b[31mred", "a b"])
def test_options_that_no_game_has(name: str, key: str) -> None:
    def load(value: Any) -> Settings:
        return settings_from_json(json.dumps({"game": {"name": name, "board_size": 5, key: value}}))

    if (name, key) == ("my.games:Chess", "colour"):
        assert load(1).game.model_extra == {"colour": 1}
    else:
        with refused(SettingsError, kind="unknown", setting=f"game.{key}") as caught:
            load(1)
        assert len(str(caught.value)) < 300
        assert str(caught.value).isprintable()
    if name == "my.games:Chess":  # nor what JSON cannot keep
        for value in (float("inf"), object(), {1: 2}):
            with refused(SettingsError, "game") as caught:
                load_settings(overrides={"game.name": name, f"game.{key}": value})
            assert len(str(caught.value)) < 600
            assert str(caught.value).isprintable()


def test_a_curriculum_and_the_search_of_old_games_exclude_each_other() -> None:
    stages = {"game.name": "inarow", "curriculum.stages": [[9, 5], [15, 5]], "reanalyze.ratio": 0.5}
    with refused(SettingsError, "curriculum.stages", kind="conflict", setting="reanalyze.ratio"):
        load_settings("quick", stages)
    assert load_settings("quick", {**stages, "reanalyze.ratio": 0.0}).curriculum.stages == ((9, 5), (15, 5))


def test_an_algorithm_stands_for_its_settings() -> None:
    assert load_settings("quick").algorithm == "alphazero"
    learned = load_settings("standard", {"algorithm": "muzero", "replay.td_steps": 3})
    assert (learned.algorithm, learned.net.dynamics_blocks, learned.replay.td_steps) == ("muzero", 2, 3)
    assert learned.learner.batch_size == load_settings("standard").learner.batch_size
    assert load_settings("quick", {"algorithm": "muzero"}).learner.batch_size == 128
    assert override_settings(learned, {"algorithm": "alphazero"}).net.dynamics_blocks == 0
    with refused(SettingsError, kind="conflict", setting="inference.backend"):
        load_settings("quick", {"algorithm": "muzero", "inference.backend": "openvino"})
    with refused(SettingsError, kind="conflict", setting="inference.dtype"):
        load_settings("quick", {"algorithm": "muzero", "inference.dtype": "float32"})
    load_settings("quick", {"algorithm": "muzero", "inference.backend": "eager"})
    with refused(SettingsError, "alphazero", "muzero", kind="unknown", setting="algorithm"):
        load_settings("quick", {"algorithm": "alphago"})


def test_how_near_a_run_is_to_its_limits() -> None:
    none, both = LimitSettings(), LimitSettings(minutes=0.5, games=0, steps=2_000_000)
    assert (limits_in_words(none), limit_reached(none, 1e9, 10**9, 10**9), share_done(none, 1, 1, 1)) == ([], "", None)
    assert limits_in_words(both) == ["0.5 minutes", "2000000 training steps"]
    assert not limit_reached(both, minutes=0.499, games=10**9, steps=1_999_999)
    assert limit_reached(both, minutes=0.5) == "the limit of 0.5 minutes is reached"
    assert limit_reached(both, steps=2_000_000) == "the limit of 2000000 training steps is reached"
    assert limit_reached(LimitSettings(games=7), games=7) == "the limit of 7 games is reached"
    assert share_done(both, minutes=0.1, steps=1_000_000) == 0.5
    assert share_done(both, minutes=0.3, steps=1_000_000) == 0.6
    assert share_done(both, games=10**9) == 0.0
    assert share_done(both, minutes=1) == 1.0
