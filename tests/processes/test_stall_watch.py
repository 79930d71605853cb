"""What is said of processes that do not go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from hexpipe.config import load_settings
from hexpipe.errors import HexpipeError
from hexpipe.processes.role import Role
from hexpipe.processes.stall_watch import StallWatch, forget_stacks, stack_of
from hexpipe.processes.stats import Waiting
from hexpipe.processes.supervisor import ChildSpec, Supervisor
from hexpipe.roles.every_role import ROLES
from tests.boards import make_board
from tests.clock import TestClock


def no_stack(pid: int) -> str:
    raise AssertionError(f"process {pid} is not silent")


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def test_a_stall_says_who_waits_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    TestClock(monkeypatch)
    stats = make_board(["generator-0", "inference-0"])
    stats.row("generator-0").beat(Waiting.INFERENCE)
    stats.row("inference-0").beat(Waiting.WEIGHTS)
    watch = StallWatch(*stats, ROLES, 0.4, no_stack)
    assert watch.check() == []
    time.sleep(0.15)
    (warning,) = watch.check()
    assert "generator-0 waits for the inference server; inference-0 waits for the learner's weights" in warning
    assert watch.check() == [], "one warning is enough for a while"
    stats.row("inference-0")["evals"] = 5
    for name in ("generator-0", "inference-0"):
        stats.row(name).beat()
    assert watch.check() == []
    time.sleep(0.45)
    with pytest.raises(HexpipeError, match="nothing has gone on"):
        watch.check()


def test_the_silence_of_a_process_that_is_not_needed_is_no_stall() -> None:
    stats = make_board(["generator-0", "rating-0"])
    stats.row("rating-0")["beat"] = time.monotonic() - 1000
    stats.row("generator-0").beat()
    assert StallWatch(*stats, ROLES, 300, no_stack).check() == []


def test_a_run_waits_for_room_on_the_disk_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    TestClock(monkeypatch)
    stats = make_board(["generator-0", "replay-0"])
    stats.row("generator-0").beat(Waiting.OUTBOX)
    stats.row("replay-0").beat(Waiting.DISK)
    watch = StallWatch(*stats, ROLES, 0.1, no_stack)
    (told,) = watch.check()
    assert "the disk is full" in told
    time.sleep(0.3)
    assert watch.check() == []
    for name in stats.rows():
        stats.row(name).beat()
    (told,) = watch.check()
    assert "the run goes on" in told


def test_a_silent_process_is_named_once_with_what_it_waits_for_and_its_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexpipe.processes.stall_watch._ANSWER_SECONDS", 60.0)
    stats = make_board(["generator-0"], private=False)
    spec = ChildSpec(Role("generator", "tests.processes.children:get_stuck"), 0)
    supervisor = Supervisor([spec], load_settings(), tmp_path, *stats, lambda role, number: None)
    supervisor.start()
    try:
        row = stats.row("generator-0")
        wait_until(lambda: stats.of("generator-0").ready > 0)
        watch = StallWatch(*stats, ROLES, 300, partial(stack_of, tmp_path), silent_seconds=0.2)
        time.sleep(0.3)
        (told,) = watch.check()
        assert told.startswith("generator-0 waits for replay to take its games and has given no sign of life for ")
        assert "in wait_for_godot < " in told
        assert "in get_stuck" in told
        assert watch.check() == []
        assert supervisor.alive("generator") == ["generator-0"], "to ask does no harm"
        process = psutil.Process(int(row["pid"]))
        process.suspend()
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
        row.beat()
        time.sleep(0.3)
        (told,) = watch.check()
        assert "stopped by a signal" in told
        process.resume()
    finally:
        supervisor.kill("generator")
    assert "not found" in stack_of(tmp_path, 2**22 + 1)
    forget_stacks(tmp_path)
    assert not (tmp_path / "stacks.txt").exists()


IMPORTING = """Current thread 0x00007f (most recent call first):
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
  File "/lib/torch/__init__.py", line 2 in <module>"""
AT_WORK = """Current thread 0x00007f (most recent call first):
  File "/lib/torch/cuda/__init__.py", line 2 in _lazy_init"""


def test_a_process_that_is_starting_is_not_named_for_its_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TestClock(monkeypatch)
    stats = make_board(["learner-0", "generator-0"])
    stats.row("learner-0").begin(4711)
    asked = []
    stack = [IMPORTING]

    def stack_of_it(pid: int) -> str:
        asked.append(clock.now)
        return stack[0]

    watch = StallWatch(*stats, ROLES, 300, stack_of_it)
    began = clock.now
    said = []
    while clock.now - began < 200:
        stats.row("generator-0").beat()
        said += watch.check()
        clock.sleep(1.0)
    assert not [text for text in said if "importlib" in text or "has given no sign of life" in text]
    assert len(asked) <= 8, "whoever imports is not asked at every look"
    assert min(asked) - began >= 75
    stack[0] = AT_WORK
    clock.sleep(30.0)
    (told, *_) = watch.check()
    assert "learner-0 starting and has given no sign of life for" in told
    assert "_lazy_init" in told


def test_what_is_imported_at_work_is_no_stall_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rating process loads its libraries when there is something to rate."""
    clock = TestClock(monkeypatch)
    stats = make_board(["rating-0", "generator-0"])
    stats.row("rating-0").begin(4711)
    stats.row("rating-0").beat()
    stacks = iter([IMPORTING, IMPORTING, AT_WORK])
    watch = StallWatch(*stats, ROLES, 300, lambda pid: next(stacks))
    said = []
    for _ in range(70):
        stats.row("generator-0").beat()
        said += watch.check()
        clock.sleep(1.0)
    assert len(said) == 1
    assert "_lazy_init" in said[0]


def test_a_locked_archive_is_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    TestClock(monkeypatch)
    stats = make_board(["generator-0", "replay-0"])
    for row in stats.rows().values():
        row.beat()
    watch = StallWatch(*stats, ROLES, 0.1, no_stack)
    stats.row("replay-0").beat(Waiting.LOCKED)
    (told,) = watch.check()
    assert "another program holds the archive locked" in told
    time.sleep(0.3)
    assert watch.check() == []
    stats.row("replay-0").beat(Waiting.DISK)
    (told,) = watch.check()
    assert "the disk is full" in told
    for row in stats.rows().values():
        row.beat()
    (told,) = watch.check()
    assert "room on the disk again" in told
