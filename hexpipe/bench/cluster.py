"""`hexpipe bench cluster`: what of a plain run's speed two nodes of a Ray cluster on the same machine have.

Both are real `hexpipe run`s that live through the whole call and take turns: while one is measured every process of the
other is stopped, Ray's own too, so that neither pays for the other. Ray's dashboard is off, and neither run trains.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
from numpy.typing import NDArray

from hexpipe.bench.commands import Command, running, start
from hexpipe.bench.measuring import interleaved_ratio, wait_until
from hexpipe.bench.options import Figures
from hexpipe.cluster.ray_bridge import private_environment
from hexpipe.errors import HexpipeError, SettingsError, install_command
from hexpipe.processes.machine import exported
from hexpipe.processes.stats import ProcessRow
from hexpipe.run_folder import live_run
from hexpipe.watch.live_stats import live_board

NODES = 2
_SETTLE_SECONDS = 1.5  # a node tells its counters twice a second

Counters = tuple[NDArray[np.float64], NDArray[np.float64]]


def run(
    *,
    workers: Annotated[int, "generator processes, in all"] = 2,
    servers: Annotated[int, "inference servers, in all"] = 2,
    slices: Annotated[int, "slices of the cluster, each between two of the plain run"] = 8,
    seconds: Annotated[float, "length of each slice"] = 4.0,
    size: int = 11,
    blocks: int = 6,
    channels: int = 64,
    simulations: int = 100,
    games: int = 32,
    timeout: Annotated[float, "seconds after which a run that plays nothing is given up"] = 300.0,
) -> Figures:
    """Measure with random weights, cache and early stop off; ``games`` are a generator's. The plain run's first server
    chooses the backend, which the cluster's take too.

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
        stack.enter_context(exported(private_environment(folder)))
        plain = stack.enter_context(_side(folder / "plain", [*options, f"--workers={workers}", f"--servers={servers}"]))
        plain.wait(servers, timeout)
        backend, dtype = plain.note().split()[:2]
        plain.pause()
        address, nodes = stack.enter_context(_ray_nodes(folder, timeout))
        options += [f"--set=inference.backend={backend}", f"--set=inference.dtype={dtype}", f"--ray={address}"]
        options += [f"--workers={workers // NODES}", f"--servers={servers // NODES}"]
        cluster = stack.enter_context(_side(folder / "cluster", options, nodes))
        cluster.wait(NODES, timeout)
        cluster.pause()
        before, rates = [plain.slice(seconds)], []
        for _ in range(slices):
            rates.append(cluster.slice(seconds))
            before.append(plain.slice(seconds))
    return {
        "evals_per_s": statistics.median(rates),
        "plain_evals_per_s": statistics.median(before),
        **interleaved_ratio("ratio", rates, before),
        "nodes": NODES,
        "backend": backend,
        "dtype": dtype,
    }


class _Side:
    """One of the two runs, with the processes that work for it."""

    def __init__(self, run_dir: Path, command: Command, helpers: Sequence[int]) -> None:
        self._run_dir, self._command = run_dir, command
        self._roots = [command.process.pid, *helpers]
        self._rows: list[ProcessRow] = []  # of processes, or nodes, that evaluate

    def wait(self, servers: int, timeout: float) -> None:
        """Wait until ``servers`` of them evaluate; HexpipeError if the run ends before, or after ``timeout``
        seconds."""
        late = f"a run played nothing within {timeout:.0f} s; raise --timeout"
        look = partial(self._command.check, "the run has ended")
        wait_until(lambda: self._look() and np.count_nonzero(self._counters()[0]) >= servers, timeout, late, look)

    def slice(self, seconds: float) -> float:
        """Return rows of the net a second, of all servers, while every process goes on for ``seconds``."""
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
        """Return what the first server says about itself: its backend and arithmetic come first."""
        return next(row.note for row in self._rows if " on " in row.note)

    def _look(self) -> bool:
        """Return whether the run's board can be read."""
        board = None if self._rows else live_board(live_run(self._run_dir) or {})
        if board is not None:
            self._rows = [row for row in board[0].rows().values() if "evals" in row]
        return bool(self._rows)

    def _counters(self) -> Counters:
        """Return the rows evaluated and when they were counted, of every process or node."""
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
    with running(["run", f"--run-dir={run_dir}", *options], output) as command:
        side = _Side(run_dir, command, helpers)
        try:
            yield side
        finally:
            side.resume()


@contextlib.contextmanager
def _ray_nodes(folder: Path, timeout: float) -> Iterator[tuple[str, list[int]]]:
    """Give the address of a cluster of `NODES` nodes of one core each on this machine, and their first processes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address, processes = f"127.0.0.1:{port}", list[subprocess.Popen[bytes]]()
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    try:
        with (folder / "nodes.output").open("wb") as output:
            for number in range(NODES):
                where = [f"--address={address}"] if number else head
                arguments = ["start", "--block", "--disable-usage-stats", "--num-cpus=1", *where]
                # in this session, as the plain run is: Linux shares the cores out by sessions first
                ray = [sys.executable, "-P", "-m", "ray.scripts.scripts", *arguments]
                node = Command(start(ray, output), folder / "nodes.output")
                processes.append(node.process)
                look = partial(node.check, "a node of Ray did not start")
                wait_until(partial(_listens, port), timeout, "a node of Ray did not start", look)
        yield address, [process.pid for process in processes]
    finally:
        for process in reversed(processes):
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for part in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    part.kill()
            process.wait()
            psutil.wait_procs(tree, timeout=10.0)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1.0).close()
        return True
    return False
