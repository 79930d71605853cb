"""The options of commands that take settings, and of those that start or go on with a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hexpipe.config import ENGRAM_ENTRIES, PRESETS, Settings, load_settings, new_run_settings, override_settings
from hexpipe.errors import SettingsError

SETTINGS_HINT = "`hexpipe settings` lists all that --set can change, with what each one does."
_SHORT = {
    "game": "game.name",
    "algorithm": "algorithm",
    "size": "game.board_size",
    "backbone": "net.backbone",
    "engram": "net.engram",
    "simulations": "search.num_simulations",
    "workers": "selfplay.workers",
    "servers": "inference.servers",
    "max_memory_gb": "replay.max_memory_gb",
    "minutes": "limits.minutes",
    "steps": "limits.steps",
    "games": "limits.games",
    "seed": "seed",
    "devices": "devices",
    "inference_devices": "inference.devices",
    "learner_devices": "learner.devices",
    "ray": "cluster.address",
}


def settings_options(function: Any) -> Any:
    """The options that set settings, for every command that has some."""
    options = [
        click.option("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}; default: quick."),
        click.option(
            "--game", metavar="NAME", help="hex, inarow, or your own package.module:Class; rules: --set game.KEY=VALUE."
        ),
        click.option("--algorithm", metavar="NAME", help="alphazero (true rules) or muzero (learned dynamics)."),
        click.option("--size", type=int, metavar="N", help="Cells along a side (3 to 27; inarow: to 200)."),
        click.option("--backbone", metavar="NAME", help="The net's trunk, resnet or transformer; default: resnet."),
        click.option(
            "--engram", type=int, flag_value=ENGRAM_ENTRIES, help="Give the net an episodic memory (an experiment)."
        ),
        click.option("--simulations", type=int, metavar="N", help="Simulations a move."),
        click.option(
            "--workers", type=int, metavar="N", help="Generator processes; default: min(8, cores / 4); 0: only train."
        ),
        click.option("--servers", type=int, metavar="N", help="Inference servers; default: one a GPU, or by cores."),
        click.option("--devices", type=int, metavar="N", help="GPUs that auto may use; default: all there are."),
        click.option(
            "--inference-devices", metavar="LIST", help="A server each, such as cuda:0,cuda:1; default: auto, all GPUs."
        ),
        click.option(
            "--learner-devices", metavar="LIST", help="A learner each, such as cuda:0,cuda:1; default: auto, the last."
        ),
        click.option("--max-memory-gb", type=float, metavar="GB", help="Budget of the replay buffer."),
        click.option("--minutes", type=float, metavar="M", help="Stop after so long; 0: no limit."),
        click.option("--steps", type=int, metavar="N", help="Stop after so many training steps in all; 0: no limit."),
        click.option("--games", type=int, metavar="N", help="Stop after so many games in all; 0: no limit."),
        click.option("--seed", type=int, metavar="N", help="Seed of every random generator."),
        click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other setting."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def run_options(function: Any) -> Any:
    """`settings_options` and the options that say where a run is and what it starts from; see `chosen_settings`."""
    path = click.Path(path_type=Path)
    options = [
        settings_options,
        click.option("--run-dir", type=path, metavar="DIR", help="Default: runs/<date-time>-<preset>."),
        click.option("--resume", type=path, metavar="RUN", help="Go on with the run in this folder."),
        click.option(
            "--init-from", type=path, metavar="CHECKPOINT", help="Start from this checkpoint's net, of any board size."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def chosen_settings(
    preset: str | None,
    assignments: tuple[str, ...],
    run_dir: Path | None,
    resume: Path | None,
    init_from: Path | None,
    options: dict[str, Any],
) -> Settings:
    """The settings that `run_options` ask for; SettingsError where one is wrong or two contradict each other."""
    from hexpipe.run_folder import read_settings

    overrides = overrides_of(options, assignments)
    if resume is None:
        settings = import_named_game(new_run_settings(preset or "quick", overrides), overrides)
        return settings if init_from is None else _take_net(settings, init_from, overrides)
    for given, name in ((preset, "--preset"), (run_dir, "--run-dir"), (init_from, "--init-from")):
        if given is not None:
            raise SettingsError(
                f"{name} cannot be given with --resume: a run goes on with what it has", kind="conflict", setting=name
            )
    return import_named_game(override_settings(read_settings(resume), overrides), overrides)


def import_named_game(settings: Settings, overrides: dict[str, Any]) -> Settings:
    """Import the module of a game of one's own if it was named on the command line; a name in a file is not enough.
    Returns ``settings`` with all that such a game can be told; SettingsError where it cannot be told that."""
    from hexpipe.games.own_games import import_game, with_all_options

    if "game.name" not in overrides:
        return settings
    import_game(settings.game)
    return with_all_options(settings)


def own_game_option(function: Any) -> Any:
    """--game of commands that take the game from a checkpoint: it imports one's own, whose name there is not enough."""

    def import_named(context: click.Context, parameter: click.Parameter, name: str | None) -> None:
        from hexpipe.games.own_games import import_game

        if name is not None:
            import_game(load_settings("quick", {"game.name": name}).game)

    words = "The game of your own that a checkpoint plays, if you trust it: it is imported."
    option = click.option(
        "--game", metavar="PACKAGE.MODULE:CLASS", expose_value=False, callback=import_named, help=words
    )
    return option(function)


def _take_net(settings: Settings, init_from: Path, overrides: dict[str, Any]) -> Settings:
    """The net's shape is the checkpoint's, unless it was given by hand (and then must fit)."""
    from hexpipe.nets.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(init_from, groups=("model", "ema"))
    checkpoint.check_fit()
    net = checkpoint.settings.net
    taken = {f"net.{name}": value for name, value in net.model_dump().items()}
    return override_settings(settings, {**taken, **{k: v for k, v in overrides.items() if k.startswith("net.")}})


def overrides_of(options: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Dotted settings from the options of `settings_options`; SettingsError where an assignment is none."""
    overrides = {name: options[key] for key, name in _SHORT.items() if options.get(key) is not None}
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
