"""Preparation of a run: the request, checks of its games and checkpoints, and the announcement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hexpipe.config import NetSettings, Settings
from hexpipe.config.limits import limits_in_words
from hexpipe.errors import CheckpointError, SettingsError, SharedMemoryError
from hexpipe.games.factory import make_games_of_net, make_stages
from hexpipe.nets.checkpoints import Checkpoint
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.layout import segment_fields
from hexpipe.roles.plan import Plan
from hexpipe.run_folder import ARCHIVE_NAME
from hexpipe.selfplay.curriculum import board_in_words
from hexpipe.shm import check_memory, segment_bytes


@dataclass(frozen=True)
class RunRequest:
    """The request of a `hexpipe run` command."""

    settings: Settings
    run_dir: Path
    resume: bool = False
    init_from: Path | None = None


def check_games(settings: Settings, run_dir: Path) -> None:
    """Raise ArchiveError where the games of ``run_dir`` cannot be read or are of other rules.

    SettingsError where there are none and none are to be played.
    """
    games, path = 0, run_dir / ARCHIVE_NAME
    if path.exists():
        with ReplayArchive(path, make_stages(settings)) as archive:
            games = archive.total_games
    if not settings.plays and not games:
        words = "selfplay.workers is 0 and this run has no games: import some (hexpipe import), or let it play"
        raise SettingsError(words, kind="conflict", setting="selfplay.workers")


def stage_of(settings: Settings, run_dir: Path) -> int:
    """Return the stage (from 0) whose leg the run in ``run_dir`` is in; ArchiveError where its games are of other
    rules."""
    path = run_dir / ARCHIVE_NAME
    if not settings.plays_in_legs or not path.exists():
        return 0
    with ReplayArchive(path, make_stages(settings), read_only=True) as archive:
        return archive.stage.number


def check_stages(settings: Settings) -> None:
    """Raise SettingsError now, not when its leg begins, where the replay budget does not do for a later board."""
    for stage in range(len(settings.stages) if settings.plays_in_legs else 0):
        fields = segment_fields(settings.replay, make_games_of_net(settings.at_stage(stage)))
        try:
            check_memory("replay", segment_bytes(fields))
        except SharedMemoryError as error:
            raise SettingsError(str(error), kind=error.kind, setting=error.setting) from error


def check_net(settings: Settings, checkpoint: Checkpoint) -> None:
    """Raise CheckpointError now, not in a child, if a checkpoint is of another net."""
    net = checkpoint.settings.net
    if net != settings.net:
        words = (
            f"{checkpoint.path} is of a {net.title}, these settings want a {settings.net.title}; "
            f"set {_net_differences(net, settings.net)} as in the checkpoint"
        )
        raise CheckpointError(words, kind="foreign", setting="net", path=checkpoint.path)
    checkpoint.check_fit()


def _net_differences(theirs: NetSettings, ours: NetSettings) -> str:
    """Return the names of the settings that differ."""
    return " and ".join(f"net.{key}" for key, value in theirs.model_dump().items() if getattr(ours, key) != value)


def _growth_in_words(settings: Settings) -> str:
    """Describe the boards before the last one, and the step cap where it is below that of the rules."""
    words = ""
    if len(settings.stages) > 1:
        words = f", grown from {', '.join(board_in_words(rules) for rules in settings.stages[:-1])}"
    cap = settings.selfplay.max_game_plies
    return f"{words}, self-play cut at {cap:,} plies" if cap < settings.game.board_size**2 else words


def announcement(
    request: RunRequest, plan: Plan, checkpoint: Path | None, changes: dict[str, tuple[Any, Any]]
) -> Iterator[str]:
    """Yield what the run will do, in a few lines."""
    settings = request.settings
    what = f"preset {settings.preset}: {settings.game.title}{_growth_in_words(settings)}"
    yield f"{what}, {settings.net.title}, {settings.search.num_simulations} simulations a move, seed {settings.seed}"
    devices = ", ".join(sorted(set(plan.server_devices)))
    servers = f"{len(plan.server_devices)} inference server{'s' * (len(plan.server_devices) > 1)} on {devices}"
    workers = f"{plan.workers} generator{'s' * (plan.workers > 1)}"
    if plan.league_devices:
        servers += f", {len(plan.league_devices)} league server{'s' * (len(plan.league_devices) > 1)}"
    learners = f"{len(plan.learner_devices)} learner{'s' * (len(plan.learner_devices) > 1)}"
    where = ", ".join(sorted(set(plan.learner_devices)))
    reanalyze = ", 1 reanalyze process" * (settings.reanalyze.ratio > 0)
    rating = ", 1 rating process" * (plan.rating_device is not None)
    if settings.cluster.address:
        yield f"{learners} on {where}, 1 replay process{rating}; {plan.cores} cores"
        whose = "a Ray cluster of this machine" if settings.cluster.address == "local" else settings.cluster.address
        yield f"games come from the nodes of {whose}, {settings.cluster.max_nodes} at the most"
    elif settings.plays:
        yield f"{workers}, {servers}, {learners} on {where}, 1 replay process{reanalyze}{rating}; {plan.cores} cores"
    else:
        yield f"nothing is played: {learners} on {where}, 1 replay process with the games that are there{rating}"
    if settings.rating.share and plan.rating_device is None:
        yield "no checkpoint is rated: ratings are for games of two players"
    given = limits_in_words(settings.limits)
    yield f"runs for {' or '.join(given)}" if given else "runs until you press Ctrl-C"
    yield f"run folder: {request.run_dir}"
    if request.resume:
        yield f"goes on from {checkpoint.name if checkpoint else 'its games (there is no checkpoint yet)'}"
    for name, (old, new) in changes.items():
        yield f"changed: {name} is {new}, was {old}"
    if request.init_from is not None:
        yield f"starts from the net of {request.init_from}"
