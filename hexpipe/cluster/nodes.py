"""The nodes of a cluster as the run's own machine sees them: what is left to it, what they get, their rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from hexpipe.config import AUTO, Settings, override_settings
from hexpipe.processes.run_state import ProcessState, RunState
from hexpipe.processes.stats import ProcessRow, StatsBoard, Waiting
from hexpipe.random_streams import Stream, stream
from hexpipe.roles.cluster import NODE, POD_COUNTERS

_MOST_SERVERS = 64


class Report(TypedDict):
    """A pod's answer when it is asked: finished games as `GameRecord.to_bytes` has them, and how it is.

    ``failure``, where it is not empty, is why the pod has ended; ``usage``: something cannot be had there that the
    settings ask for.
    """

    games: list[bytes]
    counters: dict[str, float]
    restarts: int
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
    """Return the settings that a pod on ``node`` plays by.

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

    def __init__(self, row: ProcessRow, state: ProcessState, node: Node) -> None:
        self._row, self._state, self._node = row, state, node
        self._base = {name: row[name] for name in POD_COUNTERS}
        self._restarts = state.restarts
        row["generators"] = row["servers"] = 0
        state.done, state.ready = 0, 0.0
        row["started"] = time.monotonic()
        row.beat(Waiting.STARTING)

    @property
    def ready(self) -> bool:
        """True once the node has begun to play."""
        return bool(self._state.ready)

    def update(self, report: Report, games: int) -> None:
        """Take over what the node's pod tells; ``games`` of it have been brought in."""
        row = self._row
        for name in POD_COUNTERS:
            row[name] = self._base[name] + report["counters"][name]
        self._state.restarts = self._restarts + report["restarts"]
        row["generators"], row["servers"] = report["generators"], report["servers"]
        if games and not row["first_game"]:
            row["first_game"] = time.monotonic()
        row.add("games", games)
        if report["ready"] and not self.ready:
            self._state.set_ready()
            row.note = f"{self._node.name} plays: {report['note']}"
        row.beat(Waiting(report["waiting"]))

    def wait(self, waiting: Waiting) -> None:
        """Say what the node's games wait for on this side."""
        self._row.beat(waiting)

    def lose(self, why: str) -> None:
        """Say that the node is gone; the row is free for another."""
        _free(self._row, self._state, f"{self._node.name} was lost: {why}")


def take_row(stats: StatsBoard, state: RunState, node: Node) -> NodeRow | None:
    """Take a row for ``node``: one that no node has had before, else one whose node is gone; None if all are in use."""
    rows = list(stats.rows(NODE.name).items())
    free = [name for name, row in rows if not row["started"]] or [name for name, _ in rows if state.of(name).done]
    return NodeRow(stats.row(free[0]), state.of(free[0]), node) if free else None


def release_rows(stats: StatsBoard, state: RunState) -> None:
    """Free the rows of a cluster process that has died; its pods have died with it."""
    for name, row in stats.rows(NODE.name).items():
        if row["started"] and not state.of(name).done:
            _free(row, state.of(name), "lost with the cluster process")


def _free(row: ProcessRow, state: ProcessState, note: str) -> None:
    state.done = 1
    row["generators"] = row["servers"] = 0
    row.note = note
