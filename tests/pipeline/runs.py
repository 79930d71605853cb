"""Tiny runs through the real command, for tests."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from hexpipe.run_folder import live_run
from hexpipe.watch.live_stats import live_processes

ROOT = Path(__file__).parents[2]
TINY = (
    "--size=3", "--simulations=8", "--set=net.blocks=1", "--set=net.channels=8", "--set=net.value_hidden=8",
    "--set=replay.max_memory_gb=0.1", "--set=replay.max_games=2000", "--set=replay.min_games=10",
    "--set=learner.batch_size=32", "--set=learner.publish_seconds=1", "--set=inference.backend=eager",
    "--set=rating.share=0",
)  # fmt: skip


class TinyRun:
    """`hexpipe run` in a process of its own."""

    def __init__(self, run_dir: Path, *arguments: str) -> None:
        self.run_dir = run_dir
        # a group of its own, so that a signal to it reaches the children as Ctrl-C on a terminal does
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hexpipe", "run", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def until(self, condition: Callable[[], bool], timeout: float = 400.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, f"the run has ended: {self.process.communicate()[0]}"
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.1)

    def pids(self) -> dict[str, int]:
        document = live_run(self.run_dir)
        return dict(document["processes"]) if document else {}

    def log(self) -> str:
        path = self.run_dir / "hexpipe.log"
        return path.read_text() if path.exists() else ""

    def games(self) -> int:
        """Games that replay has taken, by what memory-report sees."""
        from hexpipe.errors import HexpipeError
        from hexpipe.pipeline.memory_report import live_report

        try:
            return int(live_report(self.run_dir)["replay"]["total_games"])
        except HexpipeError:
            return 0

    def steps(self) -> int:
        """Training steps, by the last line of figures."""
        path = self.run_dir / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return int(json.loads(lines[-1])["steps"]) if lines else 0

    def learned(self) -> bool:
        """Whether the learner has done a step."""
        learner = live_processes(live_run(self.run_dir) or {}).get("learner-0")
        return learner is not None and learner.state.ready > 0

    def until_said(self, words: str) -> None:
        """Wait until the log has ``words``."""
        self.until(lambda: words in self.log())

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, timeout: float = 400.0) -> tuple[int, str]:
        output = self.process.communicate(timeout=timeout)[0]
        return self.process.returncode, output


@contextmanager
def tiny_run(run_dir: Path, *arguments: str) -> Iterator[TinyRun]:
    run = TinyRun(run_dir, *(TINY if "--resume" not in arguments else ()), *arguments)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


def all_gone(pids: list[int], timeout: float = 100.0) -> bool:
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return not psutil.wait_procs(processes, timeout=timeout)[1]


def sequences_by_outbox(path: Path) -> dict[tuple[int, int], list[int]]:
    """The sequences in the archive, in the order of arrival, by session and worker."""
    found: dict[tuple[int, int], list[int]] = {}
    with sqlite3.connect(path) as db:
        for session, worker, sequence in db.execute("SELECT session, worker, sequence FROM games ORDER BY id"):
            found.setdefault((session, worker), []).append(sequence)
    db.close()
    return found
