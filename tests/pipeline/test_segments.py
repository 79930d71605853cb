"""What `memory-report` says before a run against what the run then allocates."""

from __future__ import annotations

import os
import subprocess
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
import pytest

from hexpipe.config import load_settings
from hexpipe.games.factory import make_game, make_stages
from hexpipe.games.hex_solver import HexProver
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.pipeline.memory_report import _processes, estimated_report
from hexpipe.replay.layout import largest_game, largest_piece, piece_layout
from hexpipe.replay.outbox import largest_record_bytes
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.generator import GENERATOR
from hexpipe.roles.plan import GROUPS, plan_processes
from hexpipe.roles.reanalyze import REANALYZE
from hexpipe.roles.segments import estimate, games_per_group, make_segments, search_bytes
from hexpipe.roles.server import INFERENCE, LEAGUE
from hexpipe.search.mcts import Mcts

SMALL: dict[str, Any] = {"replay.max_memory_gb": 0.1, "replay.min_games": 2, "selfplay.workers": 2, "devices": 0}
CASES: dict[str, dict[str, Any]] = {
    "hex": {},
    "hex-muzero": {"algorithm": "muzero"},
    "views": {"game.name": "inarow", "game.board_size": 30, "game.players": 3, "selfplay.max_game_plies": 200},
    "stages": {
        "game.name": "inarow",
        "game.move_cap": 300,
        "curriculum.stages": [[9, 5], [15, 5], [30, 6]],
        "algorithm": "muzero",
    },
    "a cluster": {"cluster.address": "local"},
    "league and old games": {"league.share": 0.3, "reanalyze.ratio": 1.0, "algorithm": "muzero"},
}


@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_what_a_run_takes(name: str) -> None:
    settings = load_settings("quick", {**SMALL, **CASES[name]})
    game, plan = make_game(settings.game), plan_processes(settings, 2, 0)
    sizes = estimate(ROLES, settings, game, plan)
    segments = make_segments(ROLES, settings, game, plan)
    try:
        for segment in segments.all():
            assert sizes[segment.name] == pytest.approx(segment.nbytes, rel=0.02, abs=20_000)
    finally:
        for segment in segments.all():
            segment.close()
    report = estimated_report(settings)
    layouts = [piece_layout(stage, 16) for stage in make_stages(settings)]
    stages = make_stages(settings)
    largest = [largest_piece(layout, stage.max_plies) for layout, stage in zip(layouts, stages, strict=True)]
    assert report["largest_game_bytes"] == max(largest) == largest_game(stages, 16)
    assert report["games_at_least"] >= 2


def test_processes_without_a_role_are_counted() -> None:
    """The resource tracker, which every run has, and whatever a library starts."""
    resource_tracker.ensure_running()
    with subprocess.Popen(["sleep", "600"]) as helper, subprocess.Popen(["sleep", "600"]) as named:
        try:
            found = _processes(os.getpid(), {named.pid: "generator-0"})
        finally:
            helper.kill()
            named.kill()
    names = [process["name"] for process in found]
    assert names[:2] == ["supervisor", "generator-0"]
    assert names.count("resource-tracker") == 1
    assert {process["pid"] for process in found} >= {os.getpid(), helper.pid, named.pid}
    assert len({process["pid"] for process in found}) == len(found)


def test_the_search_of_old_games_is_repaired_where_it_has_a_part() -> None:
    """Its worker has slots of the newest net, and none of the league."""
    settings = load_settings("quick", {**SMALL, **CASES["league and old games"]})
    segments = make_segments(ROLES, settings, make_game(settings.game), plan_processes(settings, 2, 0))
    try:
        assert segments.league is not None
        assert (segments.slots.workers, segments.league.workers) == (3, 2)
        for role, number in ((GENERATOR, 0), (GENERATOR, 1), (REANALYZE, 0), (INFERENCE, 0), (LEAGUE, 0)):
            segments.repair_after_death(role, number)
        assert segments.slots.arrays["releases"].tolist() == [1] * 6
        assert segments.league.arrays["releases"].tolist() == [1] * 4
    finally:
        for segment in segments.all():
            segment.close()


def test_an_outbox_takes_a_game_of_the_largest_stage() -> None:
    settings = load_settings("quick", {**SMALL, **CASES["stages"]})
    plan = plan_processes(settings, 2, 0)
    slot = max(largest_record_bytes(game.shapes, game.max_plies) for game in make_stages(settings))
    assert slot == largest_record_bytes(make_game(settings.game).shapes, 300)
    queue = estimate(ROLES, settings, make_game(settings.game), plan)["outboxes"]
    assert queue == pytest.approx(2 * settings.selfplay.game_queue * slot, abs=20_000)


@pytest.mark.parametrize(("name", "proofs"), [("hex", 0), ("hex", 1), ("views", 1), ("hex-muzero", 1)])
def test_search_bytes_are_those_of_the_searches_and_the_cache(name: str, proofs: int) -> None:
    own = {"selfplay.games_per_worker": 4, "search.leaf_proofs": proofs}
    settings = load_settings("quick", {**SMALL, **CASES[name], **own})
    game, learned = make_game(settings.game), settings.algorithm == "muzero"
    mcts = Mcts(game, games_per_group(settings), settings.search, np.random.default_rng(0), learned)
    wanted = GROUPS * (mcts.tree.nbytes + sum(array.nbytes for array in mcts.states))
    if proofs and name == "hex":
        wanted += GROUPS * sum(part.nbytes for part in HexProver(game, proofs)._table)
    if not learned:
        wanted += LRUCache(settings.selfplay.cache_entries, game.shapes, half=True).nbytes
    assert search_bytes(settings, game) == wanted
