"""The cluster process and its nodes' rows on the stats board; its body is in `hexpipe.cluster`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
from typing import TYPE_CHECKING, Any

import psutil

from hexpipe.errors import SettingsError, install_command
from hexpipe.processes.role import Ending, Role

if TYPE_CHECKING:  # at run time a child imports only what its body needs
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import Segments

LOCAL = "local"
_REACH_SECONDS = 10.0


def check_cluster(address: str) -> None:
    """Raise SettingsError, within seconds, if Ray is not installed or nothing listens at ``address``."""
    if importlib.util.find_spec("ray") is None:
        words = f"several machines need Ray, which is not installed: {install_command('ray')}"
        raise SettingsError(words, kind="missing", setting="cluster.address")
    if address == LOCAL:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        words = (
            f"no Ray cluster answers at {address} ({error}): start one with `ray start --head`, which says its address"
        )
        raise SettingsError(words, kind="missing", setting="cluster.address") from error


def end_session(leader: int) -> None:
    """Kill the rest of the session that a dead cluster process led: some of Ray's helpers outlive it by minutes."""
    for process in psutil.process_iter() if leader else ():  # 0: never started
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader:
                process.kill()


def _parts(shared: Segments, number: int) -> dict[str, Any]:
    worker = shared.worker("cluster", number)
    return {"outboxes": shared.outboxes, "weights": shared.weights, "worker": worker}


def _end_session(shared: Segments, number: int) -> None:
    end_session(int(shared.stats.row(f"cluster-{number}")["pid"]))


CLUSTER: Role[Plan, Segments] = Role(
    "cluster",
    "hexpipe.cluster.cluster_main:cluster_main",
    count=lambda settings, plan: int(settings.cluster.address is not None),
    parts=_parts,
    own_bytes=lambda settings, game, plan: 110_000_000,
    after_death=_end_session,
    sends=True,
    ending=Ending(0, 20.0),  # for the nodes' searches, and games in transit
)
"""The role of the process that brings in the games of a Ray cluster's nodes."""

POD_COUNTERS = (
    "positions",
    "simulations",
    "leaves",
    "cache_hits",
    "wait_seconds",
    "evals",
    "batches",
    "forward_seconds",
)
"""Counters that a pod sums over its processes, and a node's row over its successive pods."""

NODE: Role[Plan, Segments] = Role(
    "node",
    "",
    counters=("games", "first_game", "generators", "servers", *POD_COUNTERS),
    progress=("positions", "evals"),
    count=lambda settings, plan: settings.cluster.max_nodes if settings.cluster.address else 0,
    needed=False,
)
"""The role of a cluster's nodes: they have no process here, the cluster process writes their rows."""
