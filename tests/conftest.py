"""Shared by all tests: spawned children import the functions that tests give them as tests.FOLDER.MODULE."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# before NumPy and PyTorch are imported: there is a test process for each core, and threads of small products spin
for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")


# in the background of a script they are ignored, and what tests start and interrupt would inherit that
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

# the same examples every time and as long as they take: a test must not hang on dice, nor on the speed of the machine
settings.register_profile("hexpipe", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hexpipe")


# the files that take longest, begun first: else the last one would be alone at the end
LONGEST = (
    "pipeline/test_run.py", "chaos/test_chaos.py", "games/test_page.py", "web/test_pages.py", "inference/test_slots.py",
    "pipeline/test_train.py", "cluster/test_cluster.py", "bench/test_replay.py", "cli/test_selfplay.py",
    "htp/test_process.py", "web/test_listening.py", "bench/test_forward.py", "bench/test_selfplay.py",
    "test_kernel_cache.py", "roles/test_rating_main.py", "processes/test_supervisor.py", "bench/test_serve.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).resolve().parent
    ranks = {folder / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--game", metavar="PACKAGE.MODULE:CLASS", help="the conformance tests, of this game alone")
    parser.addoption("--size", type=int, default=4, metavar="N", help="cells along a side of that game's board")
