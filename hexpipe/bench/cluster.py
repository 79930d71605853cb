"""`hexpipe bench cluster`: what of a plain run's speed two nodes of a Ray cluster on the same machine have.

Both are real `hexpipe run`s that live through the whole call and take turns: while one is measured every process of the
other is stopped, Ray's own too, so that neither pays for the other. Ray's dashboard is off, and neither run trains.
"""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from hexpipe.bench.commands import running
from hexpipe.bench.median import median_interval
from hexpipe.errors import HexpipeError, SettingsError, install_command
from hexpipe.processes.machine import exported
from hexpipe.processes.stats import ProcessRow
from hexpipe.run_folder import live_run
from hexpipe.watch.live_stats import live_board

OPTIONS = {
    "workers": "generator processes, in all",
    "servers": "inference servers, in all",
    "slices": "slices of the cluster, each between two of the plain run",
    "seconds": "length of each slice",
    "timeout": "seconds after which a run that plays nothing is given up",
}
NODES = 2
_SETTLE_SECONDS = 1.5  # a node tells its counters twice a second
_END_SECONDS = 60.0

Counters = tuple[NDArray[np.float64], NDArray[np.float64]]


def run(
    *,
    workers: int = 2,
    servers: int = 2,
    slices: int = 8,
    seconds: float = 4.0,
    size: int = 11,
    blocks: int = 6,
    channels: int = 64,
    simulations: int = 100,
    games: int = 32,
    timeout: float = 300.0,
) -> dict[str, float | int | str]:
    """Random weights, cache and early stop off; ``games`` are a generator's. The plain run's first server chooses the
    backend, which the cluster's take too.

    Keys: evals_per_s (rows of the net, all nodes, median slice), plain_evals_per_s, ratio (median over the cluster's
    slices of their evals_per_s over the mean of the two neighbouring plain ones) with ratio_low and ratio_high (a 95 %
    interval of the median, by order statistics), nodes, backend, dtype.
    """
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(f"this needs Ray, which is not installed: {install_command('ray')}", kind="missing")
    if workers < NODES or servers < NODES or workers % NODES or servers % NODES:
        words = f"--workers and --servers are shared by {NODES} nodes: make both multiples of it"
        raise SettingsError(words, kind="conflict", setting="--workers")
    options = ["--preset=standard", f"--size={size}", f"--simulations={simulations}"]
    told = {
        "net.blocks": blocks, "net.channels": channels, "selfplay.games_per_worker": games, "search.early_stop": False,
        "selfplay.cache_entries": 0, "learner.replay_ratio": 1e-6, "rating.share": 0, "replay.max_memory_gb": 0.5,
        "tracking.tensorboard": False,
    }  # fmt: skip
    options += [f"--set={name}={value}" for name, value in told.items()]
    with contextlib.ExitStack() as stack:
        # Ray's sockets lie under it, and their paths have 107 characters at most
        folder = Path(tempfile.mkdtemp(prefix="hexpipe-bench-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(exported(_ray_environment(folder)))
        plain = stack.enter_context(_side(folder / "plain", [*options, f"--workers={workers}", f"--servers={servers}"]))
        plain.wait(lambda counters: int(np.count_nonzero(counters[0])) >= servers, timeout)
        backend, dtype = plain.note().split()[:2]
        plain.pause()
        address, nodes = stack.enter_context(_ray_nodes(folder, timeout))
        options += [f"--set=inference.backend={backend}", f"--set=inference.dtype={dtype}", f"--ray={address}"]
        options += [f"--workers={workers // NODES}", f"--servers={servers // NODES}"]
        cluster = stack.enter_context(_side(folder / "cluster", options, nodes))
        cluster.wait(lambda counters: int(np.count_nonzero(counters[0])) >= NODES, timeout)
        cluster.pause()
        before, rates = [plain.slice(seconds)], []
        for _ in range(slices):
            rates.append(cluster.slice(seconds))
            before.append(plain.slice(seconds))
    ratios = [2 * rate / (one + other) for rate, one, other in zip(rates, before, before[1:], strict=False)]
    low, high = median_interval(ratios)
    return {
        "evals_per_s": statistics.median(rates),
        "plain_evals_per_s": statistics.median(before),
        "ratio": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "nodes": NODES,
        "backend": backend,
        "dtype": dtype,
    }


class _Side:
    """One of the two runs, with the processes that work for it."""

    def __init__(self, run_dir: Path, output: Path, process: subprocess.Popen[bytes], helpers: Sequence[int]) -> None:
        self._run_dir, self._output, self._process = run_dir, output, process
        self._roots = [process.pid, *helpers]
        self._rows: list[ProcessRow] = []  # of processes, or nodes, that evaluate

    def wait(self, condition: Callable[[Counters], bool], timeout: float) -> None:
        """Until ``condition(counters)``; HexpipeError if the run ends before, or after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not (self._look() and condition(self._counters())):
            if self._process.poll() is not None:
                raise HexpipeError(f"the run has ended:\n{self._output.read_text(errors='replace')}")
            if time.monotonic() > deadline:
                raise HexpipeError(f"a run played nothing within {timeout:.0f} s; raise --timeout")
            time.sleep(0.1)

    def slice(self, seconds: float) -> float:
        """Rows of the net a second, of all servers, while every process goes on for ``seconds``."""
        self.resume()
        time.sleep(_SETTLE_SECONDS)
        evals, times = self._counters()
        time.sleep(seconds)
        later_evals, later_times = self._counters()
        self.pause()
        gained = later_evals - evals
        if not gained.any():
            raise HexpipeError(f"nothing was evaluated in a slice of {seconds:g} s; raise --seconds")
        return float((gained[gained > 0] / (later_times - times)[gained > 0]).sum())

    def pause(self) -> None:
        """Stop every process where it is."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let every process go on."""
        self._signal(signal.SIGCONT)

    def note(self) -> str:
        """What the first server says about itself: its backend and arithmetic come first."""
        return next(row.note for row in self._rows if " on " in row.note)

    def _look(self) -> bool:
        """Whether the run's board can be read."""
        board = None if self._rows else live_board(live_run(self._run_dir) or {})
        if board is not None:
            self._rows = [row for row in board[0].rows().values() if "evals" in row]
        return bool(self._rows)

    def _counters(self) -> Counters:
        """Rows evaluated and when they were counted, of every process or node."""
        evals, beat = (np.array([row[name] for row in self._rows]) for name in ("evals", "beat"))
        return evals, beat

    def _signal(self, number: int) -> None:
        for root in self._roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(number)


@contextlib.contextmanager
def _side(run_dir: Path, options: Sequence[str], helpers: Sequence[int] = ()) -> Iterator[_Side]:
    output = run_dir.with_suffix(".output")
    with running(["run", f"--run-dir={run_dir}", *options], output, _END_SECONDS) as process:
        side = _Side(run_dir, output, process, helpers)
        try:
            yield side
        finally:
            side.resume()


def _ray_environment(folder: Path) -> dict[str, str]:
    """Nobody else may join, and Ray's workers are of no lower priority than the plain run's processes."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_worker_niceness": "0"}


@contextlib.contextmanager
def _ray_nodes(folder: Path, timeout: float) -> Iterator[tuple[str, list[int]]]:
    """The address of a cluster of `NODES` nodes of one core each on this machine, and their first processes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address, processes = f"127.0.0.1:{port}", []
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    try:
        with (folder / "nodes.output").open("wb") as output:
            for number in range(NODES):
                where = [f"--address={address}"] if number else head
                arguments = ["start", "--block", "--disable-usage-stats", "--num-cpus=1", *where]
                # in this session, as the plain run is: Linux shares the cores out by sessions first
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-P", "-m", "ray.scripts.scripts", *arguments],
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        stdin=subprocess.DEVNULL,
                    )
                )
                _wait_for(port, processes[-1], folder / "nodes.output", timeout)
        yield address, [process.pid for process in processes]
    finally:
        for process in reversed(processes):
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for part in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    part.kill()
            process.wait()
            psutil.wait_procs(tree, timeout=10.0)


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        time.sleep(0.1)
    raise HexpipeError(f"a node of Ray did not start:\n{output.read_text(errors='replace')}")
