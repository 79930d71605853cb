"""Questions to a module in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hexpipe.errors import HexpipeError
from hexpipe.module_process import ask_module

SLOW = """
import json, sys, time
request = json.load(sys.stdin)
time.sleep(request["seconds"])
if request["fails"]:
    sys.exit("first line\\nno such thing")
print(request["word"], end="")
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "slow_module.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    return "slow_module"


def test_who_asks_goes_on_meanwhile(slow: str) -> None:
    """A role that waits must go on to say that it lives."""
    called: list[float] = []
    answer = ask_module(slow, {"seconds": 1.5, "word": "yes", "fails": 0}, lambda: called.append(time.monotonic()))
    assert answer == b"yes"
    assert len(called) >= 2
    assert ask_module(slow, {"seconds": 0, "word": "at once", "fails": 0}) == b"at once"


def test_a_failure_is_told_by_its_last_line(slow: str) -> None:
    with pytest.raises(HexpipeError, match=r"^no such thing$"):
        ask_module(slow, {"seconds": 0, "word": "", "fails": 1})


def test_who_stops_waiting_ends_the_process(slow: str) -> None:
    """A run that is stopped must not wait for half a minute."""

    def stop() -> None:
        raise InterruptedError

    began = time.monotonic()
    with pytest.raises(InterruptedError):
        ask_module(slow, {"seconds": 60, "word": "", "fails": 0}, stop)
    assert time.monotonic() - began < 30
