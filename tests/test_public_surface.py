"""What users of 0.1.0 call, read and import is there: runs_of_0_1_0/surface.json is what commit a16a737 had of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hexpipe.config.loading import GONE
from hexpipe.watch.trackers import _scalars
from tests import public_surface
from tests.old_runs import FOLDER
from tests.test_docs import resolve

BEFORE: dict[str, Any] = json.loads((FOLDER / "surface.json").read_text(encoding="utf-8"))


def test_commands_and_their_options_stay() -> None:
    now = public_surface.commands()
    assert BEFORE["commands"].keys() <= now.keys()
    gone = {name: sorted(set(words) - set(now[name])) for name, words in BEFORE["commands"].items()}
    assert {name: words for name, words in gone.items() if words} == {}


def test_keys_of_json_stay() -> None:
    now = public_surface.json_keys()
    gone = {name: sorted(set(keys) - set(now[name])) for name, keys in BEFORE["json"].items()}
    gone["settings"] = [key for key in gone["settings"] if not key.startswith(tuple(GONE))]  # of a setting, what it was
    assert {name: keys for name, keys in gone.items() if keys} == {}


def test_columns_of_metrics_and_names_in_tensorboard_stay() -> None:
    now = public_surface.metrics_columns()
    assert set(BEFORE["metrics"]) - set(now) == set()
    shown = _scalars(dict.fromkeys(BEFORE["metrics"], 1.0))
    wanted = {name if "/" in name else f"run/{name}" for name in BEFORE["metrics"] if name not in ("time", "elapsed")}
    assert shown.keys() == wanted


@pytest.mark.parametrize("name", BEFORE["names"])
def test_importable_names_stay(name: str) -> None:
    resolve(name)


def test_settings_stay() -> None:
    from hexpipe.config import flatten, load_settings

    assert set(BEFORE["settings"]) - set(flatten(load_settings())) == GONE.keys()
