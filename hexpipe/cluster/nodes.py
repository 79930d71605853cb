"""The nodes of a cluster as the run's own machine sees them: what is left to it, what they get, their rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from hexpipe.config import AUTO, Settings, override_settings
from hexpipe.processes.messages import NODE
from hexpipe.processes.stats import ProcessRow, StatsBoard, Waiting
from hexpipe.random_streams import Stream, stream

COUNTERS = (
    "positions",
    "simulations",
    "leaves",
    "cache_hits",
    "wait_seconds",
    "evals",
    "batches",
    "forward_seconds",
    "restarts",
)
"""Columns that a pod adds up over its processes, and a node's row over the pods that it has had."""

_MOST_SERVERS = 64


class Report(TypedDict):
    """What a pod tells when it is asked: finished games as `GameRecord.to_bytes` has them, and how it is.

    ``failure``, where it is not empty, is why the pod has ended; ``usage``: something cannot be had there that the
    settings ask for.
    """

    games: list[bytes]
    counters: dict[str, float]
    generators: int
    servers: int
    ready: bool
    waiting: int
    note: str
    failure: str
    usage: bool


@dataclass(frozen=True)
class Node:
    """A live node of the cluster: its id, name and address, and the cores and GPUs that it offers."""

    id: str
    name: str
    address: str
    cores: int
    gpus: int


def node_settings(settings: Settings, node: Node, identity: Sequence[int], shared: bool) -> Settings:
    """The settings that a pod on ``node`` plays by.

    Its seed is drawn from the run's and ``identity``, which no other pod of the run has. A node that is not ``shared``
    with the learner gives its servers every core, unless their number is set.
    """
    seed = int(stream(Stream.NODE, settings.seed, *identity).generate_state(1)[0])
    overrides = {"seed": seed, "cluster.address": None, "learner.devices": AUTO}  # no learner is there
    unset = settings.inference.servers is None and settings.inference.devices == AUTO
    if unset and not node.gpus and not shared:
        overrides["inference.servers"] = min(_MOST_SERVERS, node.cores)
    return override_settings(settings, overrides)


class NodeRow:
    """The row of one node on the board, which the cluster process writes; its counters go on from the row's last."""

    def __init__(self, row: ProcessRow, node: Node) -> None:
        self._row, self._node = row, node
        self._base = {name: row[name] for name in COUNTERS}
        row["generators"] = row["servers"] = row["done"] = row["ready"] = 0
        row["started"] = time.monotonic()
        row.beat(Waiting.STARTING)

    @property
    def ready(self) -> bool:
        """Whether the node has begun to play."""
        return bool(self._row["ready"])

    def update(self, report: Report, games: int) -> None:
        """Take over what the node's pod tells; ``games`` of it have been brought in."""
        row = self._row
        for name in COUNTERS:
            row[name] = self._base[name] + report["counters"][name]
        row["generators"], row["servers"] = report["generators"], report["servers"]
        if games and not row["first_game"]:
            row["first_game"] = time.monotonic()
        row.add("games", games)
        if report["ready"] and not self.ready:
            row["ready"] = time.monotonic()
            row.note = f"{self._node.name} plays: {report['note']}"
        row.beat(Waiting(report["waiting"]))

    def wait(self, waiting: Waiting) -> None:
        """Say what the node's games wait for on this side."""
        self._row.beat(waiting)

    def lose(self, why: str) -> None:
        """The node is gone; the row is free for another."""
        self._row["done"] = 1
        self._row["generators"] = self._row["servers"] = 0
        self._row.note = f"{self._node.name} was lost: {why}"


def take_row(stats: StatsBoard, node: Node) -> NodeRow | None:
    """A row for ``node``: one that no node has had before, else one whose node is gone; None if all are in use."""
    rows = list(stats.rows(NODE).values())
    free = [row for row in rows if not row["started"]] or [row for row in rows if row["done"]]
    return NodeRow(free[0], node) if free else None


def release_rows(stats: StatsBoard) -> None:
    """Free the rows of a cluster process that has died; its pods have died with it."""
    for row in stats.rows(NODE).values():
        if row["started"] and not row["done"]:
            row["done"], row["generators"], row["servers"] = 1, 0, 0
            row.note = "lost with the cluster process"
