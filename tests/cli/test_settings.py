"""`hexpipe settings`: all of them, as --set takes them."""

from __future__ import annotations

import json

import pytest

from hexpipe.cli.main import run
from hexpipe.cli.settings import descriptions, shown
from hexpipe.config import flatten, load_settings
from tests.test_docs import setting_rows


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert run(["settings", "--json", *arguments]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_every_setting_is_there_with_its_value_in_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert descriptions() == {name: description for name, _, _, description in setting_rows()}
    quick, large = listed(capsys), listed(capsys, "--preset", "large", "--algorithm", "muzero")
    assert list(quick) == list(descriptions())
    assert (quick["game.board_size"]["value"], large["game.board_size"]["value"]) == (5, 13)
    assert large["net.dynamics_blocks"]["value"] == 2


def test_words_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(listed(capsys, "limits", "seed")) == {
        "seed", "limits.minutes", "limits.steps", "limits.games", "limits.stall_seconds",
    }  # fmt: skip
    assert run(["settings", "nonsense"]) == 2
    assert "`hexpipe settings` lists them all" in capsys.readouterr().err
    assert run(["settings", "search.phase"]) == 0
    assert "[20,60]" in capsys.readouterr().out


@pytest.mark.parametrize("preset", ["quick", "large"])
def test_a_value_as_it_is_shown_is_one_that_set_takes(preset: str) -> None:
    from hexpipe.cli._run_options import overrides_of

    settings = load_settings(preset)
    told = [f"{name}={shown(value)}" for name, value in flatten(settings).items() if name != "preset"]
    assert load_settings(preset, overrides_of({}, tuple(told))) == settings
