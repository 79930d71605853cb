"""Settings from a preset, dotted overrides and JSON, and back; every error is one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hexpipe.config import settings_of_0_1_0
from hexpipe.config.game import BOARDS
from hexpipe.config.game_options import MIN_BOARD_SIZE
from hexpipe.config.inarow_options import DEFAULT_VIEW_SIZE
from hexpipe.config.openspiel_options import openspiel_name
from hexpipe.config.presets import ALGORITHMS, PRESETS, QUICK_MUZERO
from hexpipe.config.section import brief, refused, unknown_setting
from hexpipe.config.settings import Settings
from hexpipe.errors import SettingsError
from hexpipe.plain_files import parse_document

VERSION = 7
"""Version of written settings; incremented when a setting is added, removed or changes its meaning. 0 is hexpipe
0.1.0."""

YOUNGER: dict[str, tuple[int, Any]] = {
    "curriculum.solved": (3, 0.9),  # there was no curriculum of Hex
    "curriculum.kept_games": (3, 0),
    "search.leaf_proofs": (3, 0),
    "selfplay.fast_share": (3, 0.0),
    "selfplay.fast_simulations": (3, 8),
    "selfplay.stop_when_proven": (3, 0.0),
    "learner.muon_rate": (4, 0.0),
    "selfplay.revisit_share": (5, 0.0),
    "game.board_width": (6, None),  # boards were square
    "learner.dtype": (6, "auto"),  # bfloat16 on accelerators, as ever, and now on processors that have it
    "game.row_rule": (7, "free"),  # more in a row than win_length won, too
}
"""Settings added after 0.1.0: the first version that has them, and the value that equals the earlier behaviour."""

GONE: dict[str, tuple[Any, str]] = {
    "net.engram_neighbours": (8, "a net's memory gives the 8 nearest entries"),
    "reanalyze.games": (8, "a quarter of selfplay.games_per_worker, 8 at the least, are searched at once"),
}
"""Settings that were removed: the value that equals the present behaviour, and what holds now."""

_told: set[str] = set()


def load_settings(preset: str = "quick", overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of ``preset`` with dotted ``overrides`` applied.

    Raises SettingsError, in one line that names the setting and its range.
    """
    if preset not in PRESETS:
        raise SettingsError(
            f"there is no preset {preset!r}; take one of: {', '.join(PRESETS)}", kind="unknown", setting="preset"
        )
    tree: dict[str, Any] = {"preset": preset}
    for section, values in PRESETS[preset].items():
        tree[section] = dict(values)
    for name, value in _with_algorithm(overrides or {}, preset).items():
        _set_dotted(tree, name, value)
    if not {"game.board_size", "game.board_width"} & (overrides or {}).keys():
        _take_own_board(tree)
    if "game.board_size" not in (overrides or {}):
        _take_last_board(tree)
    return _validated(tree)


def override_settings(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """Return a copy of ``settings`` with dotted ``overrides`` applied, validated again."""
    tree = settings.model_dump()
    for name, value in _with_algorithm(overrides, settings.preset).items():
        _set_dotted(tree, name, value)
    return _validated(tree)


def settings_on_board(
    settings: Settings, board_size: int | None, swap: bool | None, rules: Mapping[str, float] | None = None
) -> Settings:
    """Return ``settings`` for play on a board of ``board_size`` cells a side and with the ``swap`` rule or not, theirs
    where None, and with ``rules``, options of the game's own. The boards of a curriculum are for training alone.
    SettingsError if there is no such board.
    """
    given: dict[str, Any] = {"game.board_size": board_size, "game.swap": swap}
    given |= {f"game.{name}": value for name, value in (rules or {}).items()}
    changes = {name: value for name, value in given.items() if value is not None}
    if board_size is not None and settings.game.board_width == settings.game.board_size:
        changes["game.board_width"] = None  # a square stays one
    return override_settings(settings, {**changes, "curriculum.stages": ()}) if changes else settings


def _with_algorithm(overrides: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """Return ``overrides`` with the settings of ``algorithm`` in its place; explicit ones take precedence."""
    rest = dict(overrides)
    name = rest.pop("algorithm", None)
    if name is None:
        return rest
    if name not in ALGORITHMS:
        raise SettingsError(
            f"there is no algorithm {name!r}; take one of: {', '.join(ALGORITHMS)}", kind="unknown", setting="algorithm"
        )
    quick = QUICK_MUZERO if (name, preset) == ("muzero", "quick") else {}
    return {**ALGORITHMS[name], **quick, **rest}


def dump_settings(settings: Settings) -> str:
    """Return ``settings`` as JSON text, with the version of the settings."""
    return json.dumps({"version": VERSION, **settings.model_dump()}, indent=2) + "\n"


def settings_from_json(text: str) -> Settings:
    """Parse the text of `dump_settings`; SettingsError if it is malformed.

    A missing setting gets the value by which its run behaved: one added after the text's version, the earlier
    behaviour; in the text of 0.1.0, the value of its preset then, which the log reports in one line. A later text is
    complete.
    """
    try:
        tree = parse_document(text)
    except ValueError as error:
        raise SettingsError(
            f"the settings are no JSON ({error}); restore the file or start a new run", kind="damaged"
        ) from error
    if not isinstance(tree, dict):
        raise SettingsError("the settings are no JSON object; restore the file or start a new run", kind="damaged")
    if isinstance(tree.get("learner"), dict):
        tree["learner"].pop("processes", None)  # in files from before learner.devices, whose length it is
    _complete(tree)
    return _validated(tree)


def _complete(tree: dict[str, Any]) -> None:
    """Add the missing settings to a written ``tree`` of settings, and remove its version."""
    version = tree.pop("version", 0)
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= VERSION:
        raise SettingsError(
            f"the settings have version {brief(version)}, this hexpipe reads up to {VERSION}: use the hexpipe that "
            "wrote them",
            kind="version",
        )
    before = {name: value for name, (since, value) in YOUNGER.items() if since > version}
    missing = [name for name in flatten(Settings()) if name != "preset" and not _has(tree, name)]
    old = [name for name in missing if name not in before]
    for name in missing:
        if name in before:
            _set_dotted(tree, name, before[name])
    if not old:
        return
    if version:
        raise SettingsError(
            f"the settings have no {old[0]}; restore the file or start a new run", kind="missing", setting=old[0]
        )
    preset = tree.setdefault("preset", "quick")
    set_by_preset = settings_of_0_1_0.PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    taken = {}
    for name in old:
        section, _, key = name.rpartition(".")
        taken[name] = set_by_preset.get(section, {}).get(key, settings_of_0_1_0.BARE[name])
        _set_dotted(tree, name, taken[name])
    words = ", ".join(f"{name}={json.dumps(value)}" for name, value in taken.items())
    line = f"the settings have not all that there is; as in the preset {brief(preset)} of hexpipe 0.1.0: {words}"
    if line not in _told:  # the same settings are read repeatedly
        _told.add(line)
        logging.getLogger(__name__).warning("%s", line)


def _has(tree: Mapping[str, Any], name: str) -> bool:
    """Return whether the dotted ``name`` is there, or its section is not a section, for which validation has a better
    message."""
    section, _, key = name.rpartition(".")
    part = tree.get(section, {}) if section else tree
    return not isinstance(part, dict) or key in part


def changed_settings(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the dotted names whose values differ, with (old, new)."""
    before, after = flatten(old), flatten(new)
    names = [*after, *(name for name in before if name not in after)]  # user-defined games have other options
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: (was, now) for name, (was, now) in pairs.items() if was != now}


def flatten(settings: Settings) -> dict[str, Any]:
    """Return settings as one flat dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.model_dump().items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat


def _set_dotted(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, key = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise SettingsError(unknown_setting(name), kind="unknown", setting=name)
    tree[key] = value


def _take_own_board(tree: dict[str, Any]) -> None:
    """Set the board of a game that has one of its own, whatever the preset's."""
    game = tree.get("game", {})
    if not isinstance(game, dict):
        return
    name = game.get("name")
    if name in BOARDS:
        game["board_size"], game["board_width"] = BOARDS[name]
    elif isinstance(name, str) and openspiel_name(name) is not None:
        game["board_size"] = MIN_BOARD_SIZE  # not told: it is in the name


def _take_last_board(tree: dict[str, Any]) -> None:
    """Set the board of Hex to the curriculum's last one."""
    curriculum, game = tree.get("curriculum", {}), tree.get("game", {})
    stages = curriculum.get("stages") if isinstance(curriculum, dict) else None
    if isinstance(game, dict) and game.get("name", "hex") == "hex" and isinstance(stages, (list, tuple)) and stages:
        last = stages[-1]
        game["board_size"] = last[0] if isinstance(last, (list, tuple)) and last else last


def _settle_stages(tree: dict[str, Any]) -> None:
    """Set the game to the curriculum's last stage, seen through a view that suits the first."""
    curriculum, game = tree.get("curriculum", {}), tree.get("game", {})
    if not isinstance(curriculum, dict) or not isinstance(game, dict):
        return
    stages = curriculum.get("stages")
    if game.get("name", "hex") == "hex":
        return  # its game may be any of the stages
    try:
        sizes = [int(size) for size, _ in stages or ()]
        win_length = int(stages[-1][1]) if stages else 0
    except (TypeError, ValueError, OverflowError, KeyError):
        return  # validation has a better message
    if not stages or game.get("name") != "inarow":
        return
    view = game.get("view_size") or min(*sizes, DEFAULT_VIEW_SIZE)
    if not isinstance(view, int):
        return
    game = dict(game)
    game |= {"view_size": view - (view % 2 == 0), "thumbnail": True, "board_size": sizes[-1], "win_length": win_length}
    tree["game"] = game


def _leave_out_gone(tree: dict[str, Any]) -> None:
    """Remove settings that are `GONE` from ``tree``; SettingsError for a value that is no longer supported."""
    for name, (usual, now) in GONE.items():
        section, _, key = name.rpartition(".")
        part = tree.get(section)
        if isinstance(part, dict) and key in part and (value := part.pop(key)) != usual:
            words = f"there is no setting {name} any more (got {brief(value)}): {now}; make it {usual}"
            raise SettingsError(words, kind="deleted", setting=name)


def _validated(tree: dict[str, Any]) -> Settings:
    _leave_out_gone(tree)
    _settle_stages(tree)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        said = refused(error)
        raise SettingsError(str(said), **vars(said)) from error
