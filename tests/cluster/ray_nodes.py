"""Nodes of a Ray cluster on this machine, for tests: `ray start` in processes of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

# a node that has been killed is noticed within two seconds
_HEALTH = {"period_ms": "500", "timeout_ms": "1000", "failure_threshold": "4", "initial_delay_ms": "5000"}


class RayCluster:
    """Nodes by name; the first is the head, at ``address``."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        (folder / "token").write_text("of a test, and of no worth" * 2)
        self.environment = {
            "TMPDIR": str(folder),  # a pod that is killed leaves its folder to the next one on its machine
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            **{f"RAY_health_check_{name}": value for name, value in _HEALTH.items()},
        }
        self._folder = folder
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a node of one core."""
        head = ("--head", f"--port={self.address.partition(':')[2]}", "--include-dashboard=false")
        where = (f"--temp-dir={self._folder}", *head) if not self._nodes else (f"--address={self.address}",)
        with (self._folder / f"{name}.log").open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1",
                 "--disable-usage-stats", f"--node-name={name}", *where],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **self.environment},
            )  # fmt: skip

    def wait_for_head(self, timeout: float = 120.0) -> None:
        """Until the head listens."""
        host, port = self.address.split(":")
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), 1.0).close()
                return
            assert time.monotonic() < deadline, "the head of the cluster did not come up"
            time.sleep(0.1)

    def processes(self, name: str) -> list[psutil.Process]:
        """Every process of a node, those that a pod has spawned last."""
        root = psutil.Process(self._nodes[name].pid)
        return sorted([root, *root.children(recursive=True)], key=_is_spawned)

    def kill(self, name: str) -> list[int]:
        """Kill Ray's processes of a node, as a power cut would; the pids of what its pod had spawned."""
        processes = self.processes(name)
        spawned = [process.pid for process in processes if _is_spawned(process)]
        for process in processes:
            if process.pid not in spawned:
                process.kill()
        self._nodes.pop(name).wait()
        return spawned

    def close(self) -> None:
        """End every node."""
        for node in self._nodes.values():
            tree = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
            psutil.wait_procs(tree, timeout=10.0)


def _is_spawned(process: psutil.Process) -> bool:
    return "multiprocessing" in " ".join(process.cmdline())


@contextlib.contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster without nodes yet, whose files are under /tmp: a socket's path has 107 characters at most."""
    folder = Path(tempfile.mkdtemp(prefix="hx-", dir="/tmp"))
    cluster = RayCluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
