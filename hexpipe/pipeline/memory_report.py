"""Memory use of a run: read from a live run through its descriptors, or estimated from settings.

Reading goes through /proc/PID/fd: no segment has a name, nothing is attached or registered, so a report has no side
effects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from hexpipe.config import Settings
from hexpipe.errors import RunFolderError, SharedMemoryError
from hexpipe.games.factory import make_stages
from hexpipe.nets.net_template import memory_bytes
from hexpipe.processes.machine import available_cores, visible_gpus
from hexpipe.processes.role import Role
from hexpipe.replay.layout import budget_bytes, games_at_least, largest_game
from hexpipe.replay.store import describe_store
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.plan import Plan, plan_processes
from hexpipe.roles.segments import estimate, latent_pool_bytes
from hexpipe.run_folder import find_runs, live_run, read_settings
from hexpipe.shm import available_memory, read_only_view

_SUPERVISOR_BYTES, _NURSERY_BYTES, _TRACKER_BYTES = 60_000_000, 60_000_000, 10_000_000  # as measured
_NURSERY = "nursery"
_TRACKER, _SPAWNED = "multiprocessing.resource_tracker", "multiprocessing.spawn"  # in command lines


def find_live_run(parent: Path) -> Path | None:
    """Return the run folder ``parent``, or the newest live run in it; None if none is alive."""
    for path in find_runs(parent):
        if live_run(path) is not None:
            return path
    return None


def live_report(run_dir: Path) -> dict[str, Any]:
    """Return the memory of the live run in ``run_dir``, JSON-able.

    "replay" (games, positions, budget, every field and section), "engram_bytes" of the net's memory (the weights board
    has two copies, the learner one, each inference server one, or with learned dynamics two), "segments" with their
    fields, "processes" with own (uss) and shared bytes (also of those below the supervisor that have no role), and
    sums.

    Raises RunFolderError if no run is alive there, SharedMemoryError if it may not be inspected.
    """
    document = live_run(run_dir)
    if document is None or "segments" not in document:
        raise RunFolderError(f"no run is at work in {run_dir}", kind="missing", path=run_dir)
    pid = int(document["pid"])
    replay = next((segment for segment in document["segments"] if segment["name"] == "replay"), None)
    if replay is None:
        words = f"{run_dir / 'run.json'} names no replay buffer; ask again, or end the run and resume it"
        raise RunFolderError(words, kind="damaged", path=run_dir / "run.json")
    try:
        store = describe_store(read_only_view(pid, int(replay["fd"]), replay["layout"]))
    except SharedMemoryError:
        if live_run(run_dir) is None:
            raise RunFolderError(f"the run in {run_dir} has just ended", kind="ended", path=run_dir) from None
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{run_dir / 'run.json'} is damaged; end the run and resume it", kind="damaged", path=run_dir / "run.json"
        ) from error
    segments = [_segment(segment["name"], int(segment["bytes"]), segment["layout"]) for segment in document["segments"]]
    settings = read_settings(run_dir)
    names = {int(child): name for name, child in document.get("processes", {}).items()}
    processes = _processes(pid, names)
    shared, own = (sum(part[key] for part in parts) for parts, key in ((segments, "bytes"), (processes, "own_bytes")))
    return {
        "run": str(run_dir),
        "pid": pid,
        "replay": store,
        "engram_bytes": memory_bytes(settings.net, make_stages(settings)[-1].shapes),
        "segments": segments,
        "shared_bytes": shared,
        "processes": processes,
        "own_bytes": own,
        "total_bytes": shared + own,
        "available_bytes": available_memory(),
    }


def estimated_report(settings: Settings, roles: Sequence[Role[Plan, Any]] = ROLES) -> dict[str, Any]:
    """Estimate the memory of a run of ``settings`` here; allocates nothing. SettingsError if the budget is too
    small."""
    stages = make_stages(settings)
    game = stages[-1]
    plan = plan_processes(settings, available_cores(), visible_gpus())
    sizes = estimate(roles, settings, game, plan)
    largest = largest_game(stages, settings.replay.snapshot_interval)
    processes: list[dict[str, Any]] = [
        {"role": "supervisor", "count": 1, "own_bytes": _SUPERVISOR_BYTES},
        *(
            {"role": role.name, "count": count, "own_bytes": role.own_bytes(settings, game, plan)}
            for role in roles
            if role.body and (count := role.count(settings, plan))
        ),
        {"role": "nursery", "count": 1, "own_bytes": _NURSERY_BYTES},
        {"role": "resource-tracker", "count": 1, "own_bytes": _TRACKER_BYTES},
    ]
    own, shared = sum(part["count"] * part["own_bytes"] for part in processes), sum(sizes.values())
    return {
        "estimate": True,
        "latent_pool_bytes": latent_pool_bytes(settings, game, plan),
        "league_pool_bytes": latent_pool_bytes(settings, game, plan, "league"),
        "engram_bytes": memory_bytes(settings.net, game.shapes),
        "budget_bytes": budget_bytes(settings.replay),
        "segments": [{"name": name, "bytes": size} for name, size in sizes.items()],
        "shared_bytes": shared,
        "largest_game_bytes": largest,
        "games_at_least": games_at_least(settings.replay, stages),
        "processes": processes,
        "own_bytes": own,
        "total_bytes": shared + own,
        "available_bytes": available_memory(),
    }


def _segment(name: str, size: int, layout: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {"name": name, "bytes": size, "fields": {str(f["field"]): int(f["bytes"]) for f in layout}}


def _processes(pid: int, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the supervisor and all its descendants: own memory (uss), and resident pages shared with others.

    What the nursery has loaded counts as its own, and not as that of the processes that share it.
    """
    found: list[dict[str, Any]] = []
    for number, name in {pid: "supervisor", **names, **_helpers(pid, names)}.items():
        with contextlib.suppress(psutil.Error):
            memory = psutil.Process(number).memory_full_info()
            own = int(memory.rss - memory.shared if name == _NURSERY else memory.uss)
            found.append({"name": name, "pid": number, "own_bytes": own, "shared_bytes": max(0, int(memory.rss - own))})
    return found


def _helpers(pid: int, names: Mapping[int, str]) -> dict[int, str]:
    """Return the supervisor's descendants without a role: the nursery, Python's resource tracker, and processes that
    others started."""
    found: dict[int, str] = {}
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.pid not in names:
                    command = " ".join(process.cmdline())
                    nursery = _SPAWNED in command and process.ppid() == pid  # what it forks has its command line
                    tracker = "resource-tracker" if _TRACKER in command else process.name()
                    found[process.pid] = _NURSERY if nursery else tracker
    return found
