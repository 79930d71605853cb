"""The body of the cluster process: it keeps a pod on every node of a Ray cluster and brings their games into the run.

A node is asked for its next games only when the last ones lie in this process's outbox, so that a full outbox here
holds the nodes' generators up. New weights go into the object store once, and with its next question to every node.
A node that is lost is left out; one that comes, or comes back, is found within seconds.
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any

from hexpipe.cluster.nodes import Node, NodeRow, Report, node_settings, release_rows, take_row
from hexpipe.cluster.ray_bridge import (
    CONNECT_SECONDS,
    LostPodError,
    RemotePod,
    answered,
    connected,
    live_nodes,
    own_address,
    share,
)
from hexpipe.errors import ArchiveError, UsageError
from hexpipe.inference.weights import WeightsBoard
from hexpipe.processes.messages import ChildContext, write_error
from hexpipe.processes.stats import Waiting
from hexpipe.records import GameRecord
from hexpipe.replay.outbox import Outboxes

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0  # for nodes that have come
_WAIT_SECONDS = 0.2
_ANSWER_SECONDS = 10.0  # for an answer that is there: from its node
_STOP_SECONDS = 15.0
_LONGEST_PAUSE = 60.0  # before a node whose pod has failed gets another: 1, 2, 4, ... seconds


def cluster_main(context: ChildContext, outboxes: Outboxes, weights: WeightsBoard, worker: int) -> None:
    """Bring the nodes' games to the outbox of ``worker`` until asked to stop.

    UsageError where the cluster cannot be joined, or the first node to answer cannot have what the settings ask for.
    """
    address = str(context.settings.cluster.address)

    def give_up() -> None:
        error = UsageError(
            f"no Ray cluster has answered at {address} within {CONNECT_SECONDS:.0f} s: is it Ray's head?"
        )
        write_error(context.run_dir, context.name, error, ready=False)
        os._exit(1)

    release_rows(context.stats, context.state)
    with connected(address, give_up):
        bridge = _Bridge(context, outboxes, weights, worker)
        while not context.stopping():
            bridge.step()
        bridge.stop()


class _Member:
    """A node with its pod."""

    def __init__(self, pod: RemotePod, row: NodeRow) -> None:
        self.pod, self.row = pod, row
        self.version = 0  # of the weights that it was sent last


class _Bridge:
    """Between the run and the nodes."""

    def __init__(self, context: ChildContext, outboxes: Outboxes, weights: WeightsBoard, worker: int) -> None:
        self._context, self._weights = context, weights
        self._sender = outboxes.sender(worker)
        self._members: dict[str, _Member] = {}
        self._failed: dict[str, tuple[int, float]] = {}  # by node: failures in a row, and when it gets another pod
        self._version, self._shared = 0, None
        self._pods = 0
        self._next_look = 0.0
        self._full = False
        self._ends_at = math.inf

    def step(self) -> None:
        """Look for nodes and weights if that is due, then take in what has come, for a fifth of a second."""
        row = self._context.row
        row.beat(Waiting.GAMES if self._members else Waiting.NODES)
        if time.monotonic() >= self._next_look:
            self._look_for_nodes()
            self._next_look = time.monotonic() + _LOOK_SECONDS
        newer = self._weights.read_if_newer(self._version)
        if newer is not None:
            self._version, self._shared = newer[0], share(newer)
        if not self._members:
            time.sleep(_WAIT_SECONDS)
            return
        by_pod = {member.pod: member for member in self._members.values()}
        for pod in answered(list(by_pod), _WAIT_SECONDS):
            self._take_answer(by_pod[pod])

    def stop(self) -> None:
        """Ask every pod to end, and bring in what was finished by then."""
        members = list(self._members.values())
        questions = [member.pod.question for member in members]
        for member in members:
            member.pod.ask_to_stop()
        for member, last in zip(members, questions, strict=True):
            self._context.row.beat(Waiting.STOPPING)
            ending = member.pod.question
            try:
                for question in (last, ending):
                    member.pod.question = question
                    self._forward(member, member.pod.answer(max(0.0, self._deadline() - time.monotonic())))
            except (LostPodError, ArchiveError) as error:
                log.warning("%s did not end in order: %s", member.pod.node.name, error)

    def _look_for_nodes(self) -> None:
        nodes = {node.id: node for node in live_nodes()}
        for name in [name for name in self._members if name not in nodes]:
            self._lose(name, "it is gone")
        for name in [name for name in self._failed if name not in nodes]:
            del self._failed[name]
        for node in nodes.values():
            due = self._failed.get(node.id, (0, 0.0))[1]
            if node.id not in self._members and time.monotonic() >= due:
                self._join(node)

    def _join(self, node: Node) -> None:
        row = take_row(self._context.stats, self._context.state, node)
        if row is None:
            if not self._full:
                log.warning("%s does not play: cluster.max_nodes is %d", node.name, len(self._members))
            self._full = True
            return
        self._pods += 1
        context = self._context
        # neither another node, nor a later pod on this one, nor a resumed run plays the same games
        identity = (context.session, context.me.restarts, self._pods)
        settings = node_settings(context.settings, node, identity, node.address == own_address())
        member = _Member(RemotePod(node, settings), row)
        self._members[node.id] = member
        self._ask(member)
        log.info("%s gets a pod: %d cores, %d GPUs", node.name, node.cores, node.gpus)

    def _ask(self, member: _Member) -> None:
        weights: Any = self._shared if self._version > member.version else None
        member.version = self._version
        member.pod.ask((self._context.state.stage, self._context.state.mastered_after), weights)

    def _take_answer(self, member: _Member) -> None:
        node = member.pod.node
        try:
            report = member.pod.answer(_ANSWER_SECONDS)
            self._forward(member, report)
        except (LostPodError, ArchiveError) as error:
            self._lose(node.id, str(error))
            return
        if report["failure"]:
            if report["usage"] and not self._context.me.ready:
                raise UsageError(f"on the node {node.name}: {report['failure']}")
            self._lose(node.id, report["failure"])
            return
        if member.row.ready:
            self._failed.pop(node.id, None)
            if not self._context.me.ready:
                self._context.set_ready()
        self._ask(member)

    def _forward(self, member: _Member, report: Report) -> None:
        """Put the games into the outbox. ArchiveError where one arrived damaged."""

        def keep_waiting() -> bool:
            self._context.row.beat(Waiting.OUTBOX)
            member.row.wait(Waiting.OUTBOX)
            return time.monotonic() < self._deadline()

        sent = sum(self._sender.send(GameRecord.from_bytes(data), keep_waiting) for data in report["games"])
        member.row.update(report, sent)

    def _deadline(self) -> float:
        """Return until when there is time: for ever, and some seconds once the run has asked for an end."""
        if self._context.stopping():
            self._ends_at = min(self._ends_at, time.monotonic() + _STOP_SECONDS)
        return self._ends_at

    def _lose(self, name: str, why: str) -> None:
        member = self._members.pop(name)
        log.warning("%s was lost: %s", member.pod.node.name, why)
        member.row.lose(why.splitlines()[-1])
        member.pod.kill()
        self._full = False
        failures = self._failed.get(name, (0, 0.0))[0]
        self._failed[name] = (failures + 1, time.monotonic() + min(_LONGEST_PAUSE, 2.0 ** min(failures, 10)))
