"""What a run derives from its roles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hexpipe.config import load_settings
from hexpipe.pipeline.memory_report import estimated_report
from hexpipe.processes.role import in_ending_order
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.plan import plan_processes
from hexpipe.roles.segments import process_names
from tests.roles.toy_role import SETTINGS, TOY

ROOT = Path(__file__).parents[2]


def test_one_more_role_is_a_file_and_a_line(tmp_path: Path) -> None:
    """It is started, seen and ended with the others, and nothing of hexpipe's had to be changed for it."""
    command = [sys.executable, "-m", "tests.roles.toy_role", str(tmp_path / "run")]
    ended = subprocess.run(command, cwd=ROOT, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stdout
    for number in range(2):
        looks, newest = (tmp_path / "run" / f"toy-{number}.txt").read_text().split()
        assert int(newest) > 1, "trained weights were there before it was asked to end"
        assert int(looks) >= 2
    log = (tmp_path / "run" / "hexpipe.log").read_text()
    assert "toy-1 INFO ready after" in log


def test_memory_and_names_come_from_the_roles() -> None:
    settings = load_settings("quick", SETTINGS)
    roles, plan = (*ROLES, TOY), plan_processes(settings, 2, 0)
    assert process_names(roles, settings, plan)[-2:] == ["toy-0", "toy-1"]
    with_it, without = estimated_report(settings, roles), estimated_report(settings)
    assert with_it["own_bytes"] - without["own_bytes"] == 2 * 12_345
    assert {"role": "toy", "count": 2, "own_bytes": 12_345} in with_it["processes"]


def test_those_that_search_end_first_and_those_that_save_last() -> None:
    order = [[role.name for role in roles] for roles in in_ending_order(ROLES)]
    assert order == [
        ["cluster", "generator", "reanalyze", "rating", "node"], ["inference", "league"], ["replay"], ["learner"],
    ]  # fmt: skip


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_role_is_of_one_piece(role: object) -> None:
    from hexpipe.processes.role import Role

    assert isinstance(role, Role)
    assert set(role.progress) <= set(role.counters)
    assert len(set(role.counters)) == len(role.counters)
    assert not (role.searches and role.sends), "who searches has an outbox already"
