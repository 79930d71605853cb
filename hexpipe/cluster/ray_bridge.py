"""Ray, as far as hexpipe needs it: a cluster's nodes, one pod on each, and weights in its object store.

The only module that imports Ray, and only once a run asks for it. What goes over the network is Ray's own traffic: it
is pickled and not encrypted, and who may join decides what runs on every node, so that a cluster belongs in a network
whose every machine is trusted. What hexpipe puts into it are numbers, text, bytes of games and arrays, no objects of
its own.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import hexpipe
from hexpipe.cluster.nodes import Node, Report
from hexpipe.cluster.pod import Pod
from hexpipe.cluster.private_folder import private_folder
from hexpipe.config import Settings, dump_settings
from hexpipe.errors import HexpipeError, UsageError
from hexpipe.processes.machine import available_cores, visible_gpus
from hexpipe.roles.cluster import LOCAL

log = logging.getLogger(__name__)

FOLDER_PREFIX = "hexpipe-ray-"
_SHORT_FOLDER = Path("/tmp")  # Ray's sockets lie under it, and a socket's path has 107 characters at most
CONNECT_SECONDS = 90.0


class LostPodError(HexpipeError):
    """A pod does not answer any more, or its node is gone."""


@contextmanager
def connected(address: str, give_up: Callable[[], None]) -> Iterator[None]:
    """Be a driver of the cluster at ``address``; `LOCAL` starts one of this machine, which ends after the block.

    ``give_up`` is called, on another thread, where no connection has come about in `CONNECT_SECONDS`: it must end the
    process, as Ray waits for ever. UsageError where Ray refuses.
    """
    # a child begins with these blocked, which what Ray starts would inherit; this process ignores them
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP})
    os.setsid()  # Ctrl-C on the run's terminal is for its supervisor, not for Ray's processes
    watchdog = threading.Timer(CONNECT_SECONDS, give_up)
    watchdog.daemon = True
    watchdog.start()
    with ExitStack() as resources:
        resources.callback(watchdog.cancel)
        options = {"address": address, "log_to_driver": False, "configure_logging": False}
        if address == LOCAL:
            folder = resources.enter_context(private_folder(FOLDER_PREFIX, _SHORT_FOLDER))
            os.environ |= private_environment(folder)
            os.environ.pop("RAY_AUTH_TOKEN", None)
            options |= {"num_cpus": available_cores(), "num_gpus": visible_gpus()}
            options |= {"include_dashboard": False, "_temp_dir": str(folder)}
        import ray  # which reads the environment now

        # what it has to say goes to the run's log
        logging.getLogger("ray").handlers.clear()
        logging.getLogger("ray").propagate = True
        resources.callback(ray.shutdown)
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            hint = "" if address == LOCAL else ": this machine must be one of its nodes, with the token that they have"
            raise UsageError(f"Ray at {address} cannot be joined ({first}){hint}; the log has the rest") from error
        watchdog.cancel()
        yield


def private_environment(folder: Path) -> dict[str, str]:
    """Return an environment that lets nobody else into a cluster that is started in it, for Ray listens on the network;
    that has it send no figures of its use to its makers, and gives its workers the priority of any process."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    niceness = os.environ.get("RAY_worker_niceness", "0")  # noqa: SIM112  (15 is Ray's own)
    told = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": niceness}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), **told}


def live_nodes() -> list[Node]:
    """Return the cluster's nodes that live and offer cores; a node that was started with none takes no part."""
    import ray

    found = []
    for node in ray.nodes():
        cores, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
        if node["Alive"] and cores:
            address = node["NodeManagerAddress"]
            found.append(Node(node["NodeID"], node.get("NodeName") or address, address, cores, gpus))
    return found


def own_address() -> str:
    """Return the address of this machine in the cluster."""
    import ray

    return str(ray.util.get_node_ip_address())


def share(content: Any) -> Any:
    """Put arrays into the object store once, for any number of pods; what is returned stands for them."""
    import ray

    return ray.put(content)


class _PodOnRay(Pod):
    """A pod in one of Ray's worker processes."""

    def __init__(self, settings: str, version: str, cores: int, gpus: int) -> None:
        # a spawned child imports the main module again, which here is Ray's worker: all of Ray, for nothing
        vars(sys.modules["__main__"]).pop("__file__", None)
        super().__init__(settings, version, cores, gpus)


class RemotePod:
    """A pod on a node, asked from here; one question is under way at a time."""

    def __init__(self, node: Node, settings: Settings) -> None:
        """Start it; it waits for the node's cores where others have them."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.node = node
        actor = ray.remote(max_restarts=0, max_task_retries=0)(_PodOnRay).options(
            num_cpus=node.cores,
            num_gpus=node.gpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        self._actor: Any = actor.remote(dump_settings(settings), hexpipe.__version__, node.cores, node.gpus)
        self.question: Any = None

    def ask(self, stage: tuple[float, float], weights: Any) -> None:
        """Begin `Pod.exchange`; ``weights`` are shared ones, or None."""
        self.question = self._actor.exchange.remote(stage, weights)

    def ask_to_stop(self) -> None:
        """Begin `Pod.stop`, once the question under way is answered."""
        self.question = self._actor.stop.remote()

    def answer(self, timeout: float) -> Report:
        """Return the answer to the question. LostPodError where there will be none, or it has not come in ``timeout``
        s."""
        import ray

        try:
            report: Report = ray.get(self.question, timeout=timeout)
        except ray.exceptions.RayTaskError as error:  # something was raised there
            raise LostPodError(str(error).strip().splitlines()[-1]) from error
        except ray.exceptions.RayError as error:
            log.info("%s: %s", self.node.name, error)
            raise LostPodError(f"it does not answer any more ({type(error).__name__})") from error
        return report

    def kill(self) -> None:
        """End it at once; its children die with it."""
        import ray

        ray.kill(self._actor)


def answered(pods: Sequence[RemotePod], timeout: float) -> list[RemotePod]:
    """Return those of ``pods`` whose question is answered, or will never be; waits ``timeout`` seconds for the
    first."""
    import ray

    questions = {pod.question: pod for pod in pods}
    first, _ = ray.wait(list(questions), num_returns=1, timeout=timeout)
    if not first:
        return []
    ready, _ = ray.wait(list(questions), num_returns=len(questions), timeout=0)
    return [questions[question] for question in ready]
