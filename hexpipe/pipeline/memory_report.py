"""Where the memory of a run goes: looked up in a live run through its descriptors, or estimated from settings.

Looking is read-only and through /proc/PID/fd: no segment has a name, nothing is attached or registered, so a report can
harm nothing, however often it is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from hexpipe.config import Settings
from hexpipe.errors import RunFolderError, SharedMemoryError
from hexpipe.games.factory import make_game
from hexpipe.pipeline.devices import available_cores, plan_processes, visible_gpus
from hexpipe.pipeline.run_folder import find_runs, live_run
from hexpipe.pipeline.segments import estimate, latent_pool_bytes
from hexpipe.replay.layout import budget_bytes, games_at_least, largest_piece, piece_layout
from hexpipe.replay.store import describe_store
from hexpipe.shm import available_memory, read_only_view

# what a process of each role takes for itself (uss), as measured on a CPU with small nets
_OWN_ESTIMATE = {
    "supervisor": 60_000_000,
    "generator": 75_000_000,
    "reanalyze": 75_000_000,
    "inference": 240_000_000,
    "learner": 280_000_000,
    "replay": 50_000_000,
}


def find_live_run(parent: Path) -> Path | None:
    """The run folder ``parent``, or the newest live run in it; None if nothing is alive there."""
    for path in find_runs(parent):
        if live_run(path) is not None:
            return path
    return None


def live_report(run_dir: Path) -> dict[str, Any]:
    """The memory of the live run in ``run_dir``, JSON-able: "replay" (games, positions, budget, every field and
    section), "segments" with their fields, "processes" with own (uss) and shared bytes, and sums.

    Raises RunFolderError if no run is alive there, SharedMemoryError if it may not be looked into.
    """
    document = live_run(run_dir)
    if document is None or "segments" not in document:
        raise RunFolderError(f"no run is at work in {run_dir}")
    pid = int(document["pid"])
    replay = next(segment for segment in document["segments"] if segment["name"] == "replay")
    try:
        store = describe_store(read_only_view(pid, int(replay["fd"]), replay["layout"]))
    except SharedMemoryError:
        if live_run(run_dir) is None:
            raise RunFolderError(f"the run in {run_dir} has just ended") from None
        raise
    segments = [_segment(segment["name"], int(segment["bytes"]), segment["layout"]) for segment in document["segments"]]
    names = {int(child): name for name, child in document.get("processes", {}).items()}
    processes = _processes(pid, names)
    return {
        "run": str(run_dir),
        "pid": pid,
        "replay": store,
        "segments": segments,
        "shared_bytes": sum(segment["bytes"] for segment in segments),
        "processes": processes,
        "own_bytes": sum(process["own_bytes"] for process in processes),
    }


def estimated_report(settings: Settings) -> dict[str, Any]:
    """What a run of ``settings`` would take here; allocates nothing. SettingsError where the budget is too small."""
    game = make_game(settings.game)
    plan = plan_processes(settings, available_cores(), visible_gpus())
    sizes = estimate(settings, game, plan)
    layout = piece_layout(game, settings.replay.snapshot_interval)
    largest = largest_piece(layout, game.max_plies)
    counts = {
        "supervisor": 1,
        "generator": plan.workers,
        "reanalyze": int(settings.reanalyze.ratio > 0),
        "inference": len(plan.server_devices),
        "learner": len(plan.learner_devices),
        "replay": 1,
    }
    pool = latent_pool_bytes(settings, game, plan)
    each = {**_OWN_ESTIMATE, "inference": _OWN_ESTIMATE["inference"] + pool}
    processes = [{"role": role, "count": count, "own_bytes": each[role]} for role, count in counts.items() if count]
    own = sum(count * each[role] for role, count in counts.items())
    return {
        "estimate": True,
        "latent_pool_bytes": pool,
        "budget_bytes": budget_bytes(settings.replay),
        "segments": [{"name": name, "bytes": size} for name, size in sizes.items()],
        "shared_bytes": sum(sizes.values()),
        "largest_game_bytes": largest,
        "games_at_least": games_at_least(settings.replay, game),
        "processes": processes,
        "own_bytes": own,
        "available_bytes": available_memory(),
    }


def _segment(name: str, size: int, layout: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {"name": name, "bytes": size, "fields": {str(f["field"]): int(f["bytes"]) for f in layout}}


def _processes(pid: int, names: Mapping[int, str]) -> list[dict[str, Any]]:
    """The supervisor and its children: own memory (uss), and resident pages shared with others."""
    found: list[dict[str, Any]] = []
    for number, name in [(pid, "supervisor"), *names.items()]:
        with contextlib.suppress(psutil.Error):
            memory = psutil.Process(number).memory_full_info()
            shared = max(0, int(memory.rss - memory.uss))
            found.append({"name": name, "pid": number, "own_bytes": int(memory.uss), "shared_bytes": shared})
    return found
