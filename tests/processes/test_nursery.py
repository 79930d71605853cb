"""Processes that are forked from one which has loaded what they share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from hexpipe.config import load_settings
from hexpipe.processes import nursery, supervisor
from hexpipe.processes.messages import describe_exit
from hexpipe.processes.nursery import Nursery
from hexpipe.processes.supervisor import Supervisor
from hexpipe.roles.nursery import nursery_for
from tests.boards import make_board
from tests.processes.test_supervisor import child

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
from pathlib import Path
from tests.processes.test_nursery import started
if __name__ == "__main__":
    processes = started(Path(sys.argv[1]), 2).processes
    print(*(process.pid for process in processes.values()), flush=True)
    time.sleep(600)
"""


def started(folder: Path, count: int, of: Nursery | None = None) -> Supervisor:
    """A supervisor of ``count`` idle children, ready."""
    specs = [child(f"generator-{number}", "idle") for number in range(count)]
    board = make_board([spec.name for spec in specs], private=False)
    made = Supervisor(
        specs, load_settings(), folder, *board, lambda role, number: None, nursery=of or nursery_for(load_settings())
    )
    made.start()
    while not all(board[1].of(spec.name).ready for spec in specs):
        made.watch(0.05)
    return made


def gone(pids: list[int], timeout: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("game", ["hex alphazero", "hex muzero", "inarow alphazero", "mygames.drop:Drop alphazero"])
def test_what_is_loaded_is_no_torch(game: str) -> None:
    words = (
        "import sys, threading, hexpipe.roles.preloaded, hexpipe.processes.nursery as n; import os; "
        "assert n._here == os.getpid(); assert 'torch' not in sys.modules; assert 'numba' in sys.modules; "
        "assert threading.active_count() == 1"
    )
    environment = {**os.environ, "HEXPIPE_NURSERY": game, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-P", "-c", words], env=environment, cwd=ROOT, check=True)


def test_children_are_forked_from_one_process_that_ends_with_the_run(tmp_path: Path) -> None:
    run = started(tmp_path, 2)
    pids = list(run.pids().values())
    parents = {psutil.Process(pid).ppid() for pid in pids}
    assert len(parents) == 1
    assert psutil.Process(parents.pop()).ppid() == os.getpid()
    loaded = [psutil.Process(pid).memory_full_info() for pid in pids]
    assert all(memory.uss < 0.5 * memory.rss for memory in loaded), "most is shared"
    parent = psutil.Process(pids[0]).ppid()
    run.kill("generator")
    assert run.nursery is not None
    run.nursery.end()
    run.nursery.end()
    assert not psutil.pid_exists(parent)


def test_a_nursery_that_is_killed_is_begun_anew_with_all_that_it_forked(tmp_path: Path) -> None:
    run = started(tmp_path, 2)
    before = list(run.pids().values())
    os.kill(psutil.Process(before[0]).ppid(), signal.SIGKILL)
    deaths = []
    deadline = time.monotonic() + 100
    while len(deaths) < 2 and time.monotonic() < deadline:
        deaths += run.watch(0.1)
    assert [death.details for death in deaths] == [describe_exit(nursery.DIED_EXIT)] * 2
    assert gone(before)
    after = run.pids()
    assert len(after) == 2
    assert not set(after.values()) & set(before)
    run.kill("generator")
    assert run.nursery is not None
    run.nursery.end()


def test_nothing_is_left_of_a_run_whose_supervisor_is_killed(tmp_path: Path) -> None:
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path is short
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-P", "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        pids = [int(word) for word in script.stdout.readline().split()]
        assert len(pids) == 2
        parent = psutil.Process(pids[0]).ppid()
        assert len(list(temporary.glob("hexpipe-*/listener-*"))) == 1
        script.kill()
    assert gone([*pids, parent])
    assert not list(temporary.iterdir())
    temporary.rmdir()


def test_a_long_path_of_temporary_files_is_no_hindrance(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    environment = {**os.environ, "TMPDIR": str(long), "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-P", "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        pids = [int(word) for word in script.stdout.readline().split()]
        assert len(pids) == 2
        script.kill()
    assert gone(pids)


def test_a_process_with_more_files_than_are_passed_on_is_spawned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.forkserver.MAXFDS_TO_SEND", 5)
    run = started(tmp_path, 1)
    [pid] = run.pids().values()
    assert psutil.Process(pid).ppid() == os.getpid()
    run.kill("generator")
    assert run.nursery is not None
    run.nursery.end()


def test_a_nursery_that_fails_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    broken = Nursery("tests.processes.broken_nursery", {})
    with pytest.raises(supervisor.HexpipeError, match=r"generator-0 cannot be started"):
        started(tmp_path, 1, broken)
    broken.end()
