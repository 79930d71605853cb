"""Bulk self-play: many games of one checkpoint against itself, played by worker processes and saved as they end.

Each worker (`bulk_worker`) has the net to itself and tells this process of its games over a pipe; this process alone
writes them to a folder (`game_files`).
"""

from __future__ import annotations

import multiprocessing
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from hexpipe import kernel_cache
from hexpipe.bulk.bulk_request import OPENINGS, BulkRequest, Counts, Report, Work, play_settings
from hexpipe.bulk.game_files import GameFiles
from hexpipe.config import Settings
from hexpipe.errors import UsageError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.nets.checkpoints import Checkpoint, load_checkpoint
from hexpipe.processes.child import logging_to
from hexpipe.processes.interrupts import Interrupts, start_resource_tracker
from hexpipe.processes.machine import thread_environment
from hexpipe.processes.main_guard import check_main_guard
from hexpipe.processes.role import Role
from hexpipe.processes.run_state import RunState
from hexpipe.processes.stats import StatsBoard
from hexpipe.processes.supervisor import ChildSpec, Supervisor
from hexpipe.roles.nursery import nursery_for
from hexpipe.selfplay.openings import Opening, read_openings

_ROLE: Role[Any, Any] = Role("player", "hexpipe.bulk.bulk_worker:bulk_worker_main", replaceable=False)
_TICK_SECONDS = 0.2
_STOP_SECONDS = 3.0


@dataclass(frozen=True)
class BulkProgress:
    """Progress: the folder's games, and this session's boards, a second and from the cache."""

    games: int
    boards_per_s: float
    hit_rate: float


def play_games(
    request: BulkRequest, on_progress: Callable[[BulkProgress], None] = lambda progress: None
) -> dict[str, Any]:
    """Play until the folder holds ``request.num_games`` games, or a signal asks to end; the summary, as it is saved.

    Must run in the main thread (signals). Every finished game that a worker has told of is saved, whatever ends this.
    Raises UsageError for what cannot be, ProcessDiedError with the first failure of a worker.
    """
    check_main_guard()
    began = time.monotonic()
    start_resource_tracker()
    checkpoint = load_checkpoint(request.checkpoint, ("ema", "model"))
    checkpoint.check_fit()
    settings = play_settings(checkpoint.settings, request)
    kernel_cache.need(*kernel_cache.to_play(settings.game.name, settings.algorithm))
    game = make_game(settings.game)
    listed = _listed_openings(request, game)
    cache_entries = request.cache_entries if settings.algorithm == "alphazero" else 0  # latents are no answer to keep
    request = replace(request, checkpoint=checkpoint.path, cache_entries=cache_entries)
    folder = request.output_dir or Path("runs") / f"selfplay-{_name(checkpoint)}"
    with GameFiles(folder, game, _asked(request, checkpoint, settings, listed)) as files, Interrupts() as interrupts:
        tally, before = files.tally, files.tally.games
        session = _Session(request, settings, files, listed)
        try:
            if before < request.num_games:
                session.play(interrupts, on_progress)
        finally:
            summary = {
                "checkpoint": str(checkpoint.path),
                "game": settings.game.title,
                "folder": str(folder),
                "files": files.names,
                "asked_games": request.num_games,
                "games": tally.games,
                "wins": tally.wins,
                "draws": tally.draws,
                "moves": tally.plies,
                "mean_length": tally.plies / max(1, tally.games),
                "duplicates": tally.duplicates,
                "session_games": tally.games - before,
                **session.counts._asdict(),
                "cache_hit_rate": session.counts.hit_rate if cache_entries else None,
                "boards_per_s": session.boards_per_s,
                "play_seconds": session.play_seconds,
                "seconds": time.monotonic() - began,
                "workers": request.workers,
                "batch_size": request.batch_size,
                "interrupted": interrupts.count > 0,
            }
            files.write_summary(summary)
    return summary


class _Session:
    """The worker processes, from their start to their end."""

    def __init__(self, request: BulkRequest, settings: Settings, files: GameFiles, listed: tuple[Opening, ...]) -> None:
        self._files, self._num_games = files, request.num_games
        done = files.tally.games
        workers = min(request.workers, max(1, request.num_games - done))
        pipes = [multiprocessing.Pipe(duplex=False) for _ in range(workers)]
        self._pipes = [receiver for receiver, _ in pipes]
        self._senders = [sender for _, sender in pipes]
        specs = []
        for number, sender in enumerate(self._senders):
            stream = (request.seed, done, number)  # one that goes on must not play its first part's games again
            work = Work(request, range(done + number, request.num_games, workers), stream, listed)
            specs.append(ChildSpec(_ROLE, number, {"work": work, "sender": sender}, thread_environment(1)))
        names = [spec.name for spec in specs]
        self._state = RunState.create(names)
        stats = StatsBoard.create(names)
        self._nursery = nursery_for(settings)
        self._supervisor = Supervisor(
            specs, settings, files.folder, stats, self._state, lambda role, number: None, nursery=self._nursery
        )
        self._counts: dict[connection.Connection, Counts] = {}
        self._ended = 0.0

    def play(self, interrupts: Interrupts, on_progress: Callable[[BulkProgress], None]) -> None:
        """Play until all games are there or a signal has come."""
        with logging_to(self._files.folder):
            try:
                self._supervisor.start()
                for sender in self._senders:  # the workers' alone from now on: a pipe ends with its worker
                    sender.close()
                while self._files.tally.games < self._num_games and not interrupts.asked():
                    self._take(_TICK_SECONDS)
                    self._supervisor.watch(0.0)
                    on_progress(BulkProgress(self._files.tally.games, self.boards_per_s, self.counts.hit_rate))
            finally:
                self._stop()

    @property
    def counts(self) -> Counts:
        """Of all workers together."""
        return Counts(*map(sum, zip(*self._counts.values(), strict=True)))

    @property
    def play_seconds(self) -> float:
        """Seconds since the first worker has had its net."""
        ready = [since for name in self._state.names if (since := self._state.of(name).ready)]
        return (self._ended or time.monotonic()) - min(ready) if ready else 0.0

    @property
    def boards_per_s(self) -> float:
        """Boards a second of ``play_seconds``, of all workers together."""
        seconds = self.play_seconds
        return self.counts.boards / seconds if seconds else 0.0

    def _take(self, timeout: float) -> bool:
        """Save what the workers have told, waiting up to ``timeout`` seconds for something; whether there was any."""
        if not self._pipes:
            time.sleep(timeout)
            return False
        ready = connection.wait(self._pipes, timeout)
        for pipe in ready:
            assert isinstance(pipe, connection.Connection)
            try:
                report: Report = pipe.recv()
            except EOFError:  # its worker has ended; the supervisor sees how
                self._pipes.remove(pipe)
                continue
            self._counts[pipe] = report.counts
            if report.games:
                self._files.append(report.games)
        return bool(ready)

    def _stop(self) -> None:
        """Let the workers tell what they have finished, and end them."""
        self._ended = time.monotonic()
        self._supervisor.ask(_ROLE.name)
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            while self._supervisor.alive(_ROLE.name) and time.monotonic() < deadline:
                self._take(_TICK_SECONDS / 4)
        finally:
            self._supervisor.kill(_ROLE.name)
            self._nursery.end()
        while self._take(0.0):  # of those that are dead: every pipe comes to its end
            pass


def _listed_openings(request: BulkRequest, game: Game) -> tuple[Opening, ...]:
    if request.openings in OPENINGS:
        return ((),) if request.openings == "none" else ()
    path = Path(request.openings)
    if not path.is_file():
        raise UsageError(f"there is no file of openings {path}: name one, or say {', '.join(OPENINGS)}")
    return read_openings(path, game)


def _name(checkpoint: Checkpoint) -> str:
    """Return a checkpoint by its run and step: "first-step-00001234"."""
    path = checkpoint.path.resolve()
    return f"{path.parent.parent.name}-{path.name}"


def _asked(
    request: BulkRequest, checkpoint: Checkpoint, settings: Settings, listed: tuple[Opening, ...]
) -> dict[str, Any]:
    """Return what decides the games, however many there are and whoever plays them."""
    weights: Mapping[str, int] = checkpoint.meta["groups"]["ema" if "ema" in checkpoint.groups else "model"]
    return {
        "checkpoint": _name(checkpoint),
        "weights_crc32": weights["crc32"],
        "game": settings.game.model_dump(),
        "root": settings.search.root,
        "simulations": settings.search.num_simulations,
        "temperature": request.temperature,
        "openings": f"{request.openings} {zlib.crc32(repr(listed).encode()):08x}" if listed else request.openings,
        "opening_plies": request.opening_plies,
        "seed": request.seed,
    }
