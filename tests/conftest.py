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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--game", metavar="PACKAGE.MODULE:CLASS", help="the conformance tests, of this game alone")
    parser.addoption("--size", type=int, default=4, metavar="N", help="cells along a side of that game's board")
