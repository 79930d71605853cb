"""Settings that were written before: whatever is missing has the value by which that run behaved."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from hexpipe.cli.main import run
from hexpipe.config import (
    PRESETS,
    Settings,
    dump_settings,
    flatten,
    load_settings,
    loading,
    settings_from_json,
    settings_of_0_1_0,
)
from hexpipe.errors import CheckpointError, SettingsError
from hexpipe.nets.checkpoints import latest_checkpoint, load_checkpoint
from tests.old_runs import NAMES, unpack
from tests.refusals import refused

RED = "\x1b[31mred\x1b]0;title\x07"


def without(tree: dict[str, Any], name: str) -> str:
    """The JSON text of ``tree`` without the dotted ``name``."""
    copy = json.loads(json.dumps(tree))
    section, _, key = name.rpartition(".")
    del (copy[section] if section else copy)[key]
    return json.dumps(copy)


def test_every_setting_is_of_0_1_0_or_says_since_when_it_is_there() -> None:
    names = set(flatten(Settings())) - {"preset"}
    known = settings_of_0_1_0.BARE.keys() | loading.YOUNGER.keys()
    assert names == known - loading.GONE.keys(), "see config.loading.YOUNGER"
    assert loading.GONE.keys() <= known
    assert not settings_of_0_1_0.BARE.keys() & loading.YOUNGER.keys()
    assert all(0 < since <= loading.VERSION for since, _ in loading.YOUNGER.values())
    assert settings_of_0_1_0.PRESETS.keys() <= PRESETS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_0_1_0_are_read(name: str, tmp_path: Path) -> None:
    tree = json.loads((unpack(name, tmp_path) / "settings.json").read_text(encoding="utf-8"))
    read = flatten(settings_from_json(json.dumps(tree)))
    parts = [(name, part if isinstance(part, dict) else {"": part}) for name, part in tree.items()]
    written = {f"{name}.{key}".rstrip("."): value for name, part in parts for key, value in part.items()}
    assert {name: written.pop(name) for name in loading.GONE} == {
        name: usual for name, (usual, _) in loading.GONE.items()
    }
    assert json.loads(json.dumps({name: read[name] for name in written})) == written


@pytest.mark.parametrize("preset", list(settings_of_0_1_0.PRESETS))
def test_what_is_missing_is_as_the_preset_of_0_1_0_had_it(
    preset: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_told", set())
    tree: dict[str, Any] = {"preset": preset}
    for name, value in settings_of_0_1_0.BARE.items():
        section, _, key = name.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[key] = value
    for section, values in settings_of_0_1_0.PRESETS[preset].items():
        tree[section] |= values
    whole = settings_from_json(json.dumps(tree))
    assert not caplog.records
    monkeypatch.setitem(PRESETS, preset, {"search": {"num_simulations": 7}})  # as some later version may have it
    with caplog.at_level(logging.WARNING):
        for name in settings_of_0_1_0.BARE.keys() - loading.GONE.keys():
            for _ in range(2):  # it is said once
                assert settings_from_json(without(tree, name)) == whole, name
        assert settings_from_json(without(tree, "search")) == whole
    assert len(caplog.messages) == len(settings_of_0_1_0.BARE) - len(loading.GONE) + 1
    assert all("\n" not in line and "hexpipe 0.1.0" in line for line in caplog.messages)
    told = next(line for line in caplog.messages if "num_simulations" in line)
    assert f"search.num_simulations={whole.search.num_simulations}" in told


def test_later_settings_have_a_version_and_lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = json.loads(dump_settings(load_settings("standard")))
    assert tree["version"] == loading.VERSION >= 1
    with refused(SettingsError, kind="missing", setting="search.num_simulations"):
        settings_from_json(without(tree, "search.num_simulations"))
    for version in (loading.VERSION + 1, -1, "1", True, None):
        with refused(SettingsError, repr(version), kind="version"):
            settings_from_json(json.dumps({**tree, "version": version}))
    # a setting that comes later: older files have the value by which their runs behaved, newer ones must have their own
    later = loading.VERSION + 1
    monkeypatch.setattr(loading, "VERSION", later)
    monkeypatch.setitem(loading.YOUNGER, "search.solver", (later, False))
    assert not settings_from_json(without(tree, "search.solver")).search.solver
    with refused(SettingsError, kind="missing", setting="search.solver"):
        settings_from_json(without({**tree, "version": later}, "search.solver"))


@pytest.mark.parametrize("name", loading.GONE)
def test_a_setting_that_is_gone_may_have_the_value_that_all_goes_on_by(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual, _ = loading.GONE[name]
    assert usual == settings_of_0_1_0.BARE[name]
    assert load_settings("quick", {name: usual}) == load_settings("quick")
    tree = json.loads(dump_settings(load_settings("quick")))
    section, _, key = name.rpartition(".")
    tree[section][key] = usual
    for version in (1, loading.VERSION):
        assert settings_from_json(json.dumps({**tree, "version": version})) == load_settings("quick")
    tree[section][key] = 7
    with refused(SettingsError, "7", f"{usual}", kind="deleted", setting=name):
        settings_from_json(json.dumps(tree))
    run_dir = unpack("hex-5x5", tmp_path)
    for words in (["--run-dir", str(tmp_path / "new")], ["--resume", str(run_dir)]):
        assert run(["run", *words, "--set", f"{name}=7"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    (run_dir / "settings.json").write_text(json.dumps(tree), encoding="utf-8")
    assert run(["run", "--resume", str(run_dir)]) == 2
    assert capsys.readouterr().err.count("make it") == 1


@pytest.mark.parametrize("change", [{"preset": RED}, {"preset": "q" * 5000}, {"tracking": {"wandb": RED}}])
def test_no_word_of_a_file_reaches_the_terminal_unquoted(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unpack("hex-5x5", tmp_path)
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    for file in (folder / "settings.json", checkpoint / "checkpoint.json"):
        document = json.loads(file.read_text(encoding="utf-8"))
        tree = document if file.name == "settings.json" else document["settings"]
        for name, value in change.items():
            tree[name] = {**tree[name], **value} if isinstance(value, dict) else value
        file.write_text(json.dumps(document), encoding="utf-8")
    for command in ("run", "train"):
        assert run([command, "--resume", str(folder)]) == 2
        told = capsys.readouterr()
        assert len(told.err) < 700
        assert len(told.err.splitlines()) == 1
        assert not {"\x1b", "\x07"} & set(told.out + told.err)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(checkpoint)
    assert "\x1b" not in str(caught.value)
