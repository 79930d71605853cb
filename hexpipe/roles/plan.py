"""Numbers of processes of each role, and their devices."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hexpipe.config import AUTO, Settings, named_devices, override_settings
from hexpipe.errors import SettingsError
from hexpipe.games.factory import make_game

GROUPS = 2
"""Groups of games in a generator, each with a region of slots: one searches while the other waits for the device
(double buffering)."""


@dataclass(frozen=True)
class Plan:
    """The processes of a run.

    Generators, servers (one entry each: its device), the learners' devices and the threads of each, the servers of a
    league's opponents, and the device that rates checkpoints (None without ratings).
    """

    workers: int
    server_devices: tuple[str, ...]
    learner_devices: tuple[str, ...]
    learner_threads: int
    cores: int
    league_devices: tuple[str, ...] = ()
    rating_device: str | None = None


def plan_processes(settings: Settings, cores: int, gpus: int) -> Plan:
    """Plan the processes of a run of ``settings`` on ``cores`` cores and ``gpus`` GPUs.

    Where a cluster's nodes play, this machine plays only if it is a node: then it has a pod of its own. SettingsError
    where the settings name a GPU that does not exist.
    """
    if settings.cluster.address:
        here = override_settings(settings, {"cluster.address": None, "inference.devices": AUTO})  # a list is for nodes
        return replace(plan_processes(here, cores, gpus), workers=0, server_devices=(), league_devices=())
    _check_there("inference.devices", settings.inference.devices, gpus)
    _check_there("learner.devices", settings.learner.devices, gpus)
    count = gpus if settings.devices is None else min(gpus, settings.devices)
    used = tuple(f"cuda:{number}" for number in range(count))
    workers = settings.selfplay.workers
    if workers is None:
        workers = max(1, min(8, cores // 4))
    learners = named_devices(settings.learner.devices)
    on_cpu = learners[0] == "cpu" if learners else not used
    # on a CPU the servers do nearly all the work: a generator needs a small part of a core, and on a small machine
    # the learners, which are paced by play, share the cores too
    ranks = settings.learner.ranks
    threads = max(1, min(8, (cores // 4 if workers else cores) // ranks)) if on_cpu else 1
    free_cores = cores - (threads * ranks if on_cpu and cores >= 4 else 0)
    servers = _server_devices(settings, workers, free_cores, used)
    if not learners:
        # one learner, on the last GPU, preferably one without a server. On a shared GPU the server gets less work,
        # because work is balanced by load
        alone = [device for device in used if device not in servers]
        learners = ((alone or used)[-1],) if used else ("cpu",)
    # the opponents' servers share the devices: a league divides the work without adding to it
    opponents = _league_servers(settings, len(servers), workers)
    league = tuple(servers[-1 - number % len(servers)] for number in range(opponents))
    return Plan(workers, servers, learners, threads, cores, league, _rating_device(settings, servers or learners))


def _check_there(name: str, text: str, gpus: int) -> None:
    """Raise SettingsError if the setting ``name`` names a GPU that this machine does not have."""
    for device in named_devices(text):
        if device != "cpu" and int(device.removeprefix("cuda:")) >= gpus:
            there = f"its GPUs are cuda:0 to cuda:{gpus - 1}" if gpus else "it has no GPU"
            words = f"{name} names {device}, which this machine has not: {there}; name others, or auto"
            raise SettingsError(words, kind="missing", setting=name)


def _server_devices(settings: Settings, workers: int, free_cores: int, gpus: tuple[str, ...]) -> tuple[str, ...]:
    """Return the device of each inference server: those in the settings, else all GPUs in turn, else a core each."""
    if not workers:
        return ()
    named, count = named_devices(settings.inference.devices), settings.inference.servers
    if named:
        return named
    if gpus:
        return tuple(gpus[number % len(gpus)] for number in range(count or len(gpus)))
    # a region has one request in flight: servers beyond the number of regions would be idle
    return ("cpu",) * min(count or max(1, free_cores), GROUPS * workers)


def _league_servers(settings: Settings, servers: int, workers: int) -> int:
    """Return the number of servers of past checkpoints, which search half of the moves of a league's games.

    Each has its own opponent, and a generator asks only one of them, whose answers it caches.
    """
    if not settings.league.share:
        return 0
    return min(workers, max(1, round(servers * settings.league.share / 2)))


def _rating_device(settings: Settings, devices: tuple[str, ...]) -> str | None:
    """Return the device that rates checkpoints, one of those that play; None for more than two seats, which the arena
    cannot rate."""
    rated = settings.rating.share > 0 and make_game(settings.game).num_seats == 2
    return devices[-1] if rated else None
