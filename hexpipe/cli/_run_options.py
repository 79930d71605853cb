"""The options of commands that take settings, and of those that start or go on with a run."""

from __future__ import annotations

import json
import re
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexpipe.cli._options import ANY_PATH, Decorator, stacked
from hexpipe.config import ENGRAM_ENTRIES, PRESETS, Settings, load_settings, new_run_settings, override_settings
from hexpipe.errors import SettingsError

if TYPE_CHECKING:
    from hexpipe.pipeline.preparation import RunRequest

_SUCH = "such as cuda:0,cuda:1"
SETTINGS_HINT = "`hexpipe settings` lists all that --set can change, with what each one does."
_OPTIONS = {
    "game.name": (
        "game",
        "NAME",
        "hex, inarow, connect4, othello, breakthrough, go, openspiel:NAME, or your own package.module:Class.",
    ),
    "algorithm": ("algorithm", "NAME", "alphazero (true rules) or muzero (learned dynamics)."),
    "game.board_size": ("size", "N|RxC", "Cells along a side (3 to 27; inarow: to 200), or rows x columns."),
    "net.backbone": ("backbone", "NAME", "The net's trunk, resnet or transformer; default: resnet."),
    "net.engram": ("engram", "", "Give the net an episodic memory (an experiment)."),
    "search.num_simulations": ("simulations", "N", "Simulations a move."),
    "selfplay.workers": ("workers", "N", "Generator processes; default: min(8, cores / 4); 0: only train."),
    "inference.servers": ("servers", "N", "Inference servers; default: one a GPU, or by cores."),
    "devices": ("devices", "N", "GPUs that auto may use; default: all there are."),
    "inference.devices": ("inference-devices", "LIST", f"A server each, {_SUCH}; default: auto, all GPUs."),
    "learner.devices": ("learner-devices", "LIST", f"A learner each, {_SUCH}; default: auto, the last."),
    "replay.max_memory_gb": ("max-memory-gb", "GB", "Budget of the replay buffer."),
    "limits.minutes": ("minutes", "M", "Stop after so long; 0: no limit."),
    "limits.steps": ("steps", "N", "Stop after so many training steps in all; 0: no limit."),
    "limits.games": ("games", "N", "Stop after so many games in all; 0: no limit."),
    "seed": ("seed", "N", "Seed of every random generator."),
}
"""By the setting that it sets: each option, what it takes, and its help."""


class _Board(click.ParamType["int | tuple[int, int]"]):
    """Cells along a side, or rows and columns as 6x7."""

    name = "board"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int | tuple[int, int]:
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        sides = re.fullmatch(r"\s*([0-9]{1,4})(?:x([0-9]{1,4}))?\s*", value, re.ASCII)
        if sides is None:
            self.fail(f"{value!r} is no board: write 7, or 6x7 for 6 rows of 7 columns", parameter, context)
        return int(sides[1]) if sides[2] is None else (int(sides[1]), int(sides[2]))


_TYPES = {"N": int, "GB": float, "M": float, "N|RxC": _Board()}


def _setting_option(name: str, metavar: str, text: str) -> Decorator:
    if not metavar:
        return click.option(f"--{name}", type=int, flag_value=ENGRAM_ENTRIES, help=text)
    return click.option(f"--{name}", type=_TYPES.get(metavar, str), metavar=metavar, help=text)


settings_options = stacked(
    click.option("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}; default: quick."),
    *starmap(_setting_option, _OPTIONS.values()),
    click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other setting."),
)
"""Options that set settings, for every command that has some."""
run_options = stacked(
    settings_options,
    click.option("--run-dir", type=ANY_PATH, metavar="DIR", help="Default: runs/<date-time>-<preset>."),
    click.option("--resume", type=ANY_PATH, metavar="RUN", help="Go on with the run in this folder."),
    click.option(
        "--init-from", type=ANY_PATH, metavar="CHECKPOINT", help="Start from this checkpoint's net, of any board size."
    ),
)
"""`settings_options` and those that say where a run is and what it starts from; see `run_request`."""


def run_request(
    preset: str | None,
    assignments: tuple[str, ...],
    run_dir: Path | None,
    resume: Path | None,
    init_from: Path | None,
    ray: str | None = None,
    **options: Any,
) -> RunRequest:
    """Return the run that `run_options` ask for; SettingsError where one is wrong or two contradict each other."""
    from hexpipe.pipeline.preparation import RunRequest
    from hexpipe.run_folder import default_run_folder, read_settings

    overrides = overrides_of(options, assignments)
    if ray is not None:
        overrides = {"cluster.address": ray, **overrides}
    if resume is None:
        settings = import_named_game(new_run_settings(preset or "quick", overrides, init_from is not None), overrides)
        settings = settings if init_from is None else _take_net(settings, init_from, overrides)
        return RunRequest(settings, run_dir or default_run_folder(settings.preset), init_from=init_from)
    for given, name in ((preset, "--preset"), (run_dir, "--run-dir"), (init_from, "--init-from")):
        if given is not None:
            raise SettingsError(
                f"{name} cannot be given with --resume: a run goes on with what it has", kind="conflict", setting=name
            )
    settings = import_named_game(override_settings(read_settings(resume), overrides), overrides)
    return RunRequest(settings, resume, resume=True)


def import_named_game(settings: Settings, overrides: dict[str, Any]) -> Settings:
    """Import the module of a game of one's own if it was named on the command line; a name in a file is not enough.
    Returns ``settings`` with all that such a game can be told; SettingsError where it cannot be told that."""
    from hexpipe.games.own_games import import_game, with_all_options

    if "game.name" not in overrides:
        return settings
    import_game(settings.game)
    return with_all_options(settings)


def _import_own_game(context: click.Context, parameter: click.Parameter, name: str | None) -> None:
    from hexpipe.games.own_games import import_game

    if name is not None:
        import_game(load_settings("quick", {"game.name": name}).game)


own_game_option = click.option(
    "--game",
    metavar="PACKAGE.MODULE:CLASS",
    expose_value=False,
    callback=_import_own_game,
    help="The game of your own that a checkpoint plays, if you trust it: it is imported.",
)
"""Option of commands that take the game from a checkpoint: it imports one's own, whose name there is not enough."""


def _take_net(settings: Settings, init_from: Path, overrides: dict[str, Any]) -> Settings:
    """Return ``settings`` with the checkpoint's net, but for what was given by hand (and then must fit)."""
    from hexpipe.nets.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(init_from, groups=("model", "ema"))
    checkpoint.check_fit()
    net = checkpoint.settings.net
    taken = {f"net.{name}": value for name, value in net.model_dump().items()}
    return override_settings(settings, {**taken, **{k: v for k, v in overrides.items() if k.startswith("net.")}})


def overrides_of(options: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return dotted settings from the options of `settings_options`; SettingsError where an assignment is none."""
    given = {setting: options.get(option.replace("-", "_")) for setting, (option, _, _) in _OPTIONS.items()}
    overrides = {setting: value for setting, value in given.items() if value is not None}
    if isinstance(overrides.get("game.board_size"), tuple):
        overrides["game.board_size"], overrides["game.board_width"] = overrides["game.board_size"]
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(f"--set wants SECTION.KEY=VALUE, not {assignment!r}", kind="type", setting="--set")
        if name.strip() == "preset":
            raise SettingsError("a preset is chosen with --preset, not with --set", kind="conflict", setting="preset")
        overrides[name.strip()] = _parse(text.strip())
    return overrides


def _parse(text: str) -> Any:
    if text.lower() in ("unset", "none", "null"):
        return None
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text
