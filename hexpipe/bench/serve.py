"""`hexpipe bench serve`: many visitors at once ask a web server for moves.

The server is a process of its own, as `hexpipe serve` starts it. The visitors are threads of this process: each keeps
one connection and asks for the next move as soon as it has the last one, in a random position of a few random plies.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil

from hexpipe.bench.commands import running
from hexpipe.bench.fresh_checkpoint import fresh_checkpoint
from hexpipe.bench.measuring import wait_until
from hexpipe.bench.options import Figures
from hexpipe.config import load_settings
from hexpipe.errors import HexpipeError
from hexpipe.games.board_moves import legal_moves, move_names, play_moves
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.nets.checkpoints import load_checkpoint

WARM_SECONDS = 3.0  # before the window: the net is made, the kernels are loaded
_ANSWER_SECONDS = 60.0


@dataclass
class _Counts:
    """Answers that the visitors have had within the window."""

    seconds: list[float] = field(default_factory=list)  # of each answer
    waits: list[float] = field(default_factory=list)  # that a busy server asked for
    errors: list[str] = field(default_factory=list)


def run(
    *,
    checkpoint: Annotated[str | None, "a run or a checkpoint; unset: an untrained net of the preset quick"] = None,
    clients: Annotated[int, "visitors at once"] = 50,
    seconds: Annotated[float, "length of the measured window"] = 15.0,
    simulations: Annotated[int, "simulations of a search"] = 32,
    most_waiting: Annotated[int, "searches that may wait in the server, which answers 503 to more"] = 64,
    positions: Annotated[int, "different positions that are asked about"] = 2000,
) -> Figures:
    """Have visitors ask a server. Keys: requests_per_s (answered searches), p50_ms, p99_ms, most_ms (from a question to
    the end of its answer), requests, busy (answers 503: the visitor waits as long as it is told), errors (any other
    answer than a legal move), first_error, server_cores (CPU time of the server over time), rss_before_mb, rss_after_mb
    (its memory at both ends of the window).

    HexpipeError if the server does not start or dies.
    """
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        path = Path(checkpoint) if checkpoint else fresh_checkpoint(Path(folder), load_settings("quick"))
        game = make_game(load_checkpoint(path, groups=()).settings.game)
        bodies = bodies_of(game, positions, simulations)
        with server_of(path, most_waiting, Path(folder) / "output") as (process, port):
            server = psutil.Process(process.pid)
            visits(port, bodies, clients, WARM_SECONDS)
            before, began, cpu = server.memory_info().rss, time.perf_counter(), _cpu_seconds(server)
            counts = visits(port, bodies, clients, seconds)
            took = time.perf_counter() - began
            cores, after = (_cpu_seconds(server) - cpu) / took, server.memory_info().rss
    if not counts.seconds:
        why = counts.errors[0] if counts.errors else "it was busy"
        raise HexpipeError(f"no search was answered within {seconds:.0f} s: {why}; raise --seconds or --most-waiting")
    p50, p99 = np.percentile(counts.seconds, (50, 99)) * 1e3
    return {
        "requests_per_s": len(counts.seconds) / took,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "most_ms": max(counts.seconds) * 1e3,
        "requests": len(counts.seconds),
        "busy": len(counts.waits),
        "errors": len(counts.errors),
        "first_error": counts.errors[0] if counts.errors else "none",
        "server_cores": cores,
        "rss_before_mb": before / 1e6,
        "rss_after_mb": after / 1e6,
    }


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def bodies_of(game: Game, count: int, simulations: int) -> list[bytes]:
    """Return questions about ``count`` positions of random play, each with a legal move left."""
    rng = np.random.default_rng(0)
    states, row = game.new_states(1), np.zeros(1, np.int32)
    bodies: list[bytes] = []
    while len(bodies) < count:
        game.reset(states, row)
        moves: list[int] = []
        for _ in range(rng.integers(0, game.shapes.board_cells // 2)):
            if states.winner[0] == ONGOING:
                moves.append(int(rng.choice(legal_moves(game, states))))
                play_moves(game, states, row, np.array(moves[-1:], np.int32))
        if states.winner[0] == ONGOING:
            bodies.append(json.dumps({"moves": move_names(game, moves), "simulations": simulations}).encode())
    return bodies


@contextmanager
def server_of(path: Path, most_waiting: int, output: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `hexpipe serve` on a free port of this machine until the block ends."""
    arguments = ["serve", str(path), "--port", "0", "--most-waiting", str(most_waiting)]
    with running(arguments, output) as command:

        def port() -> int:
            found = re.search(r"http://[\d.]+:(\d+)/", command.said())
            return int(found[1]) if found else 0

        wait_until(
            port, _ANSWER_SECONDS, "the server did not start", partial(command.check, "the server did not start")
        )
        yield command.process, port()
        command.check("the server died")


def visits(port: int, bodies: list[bytes], clients: int, seconds: float, searches: float = float("inf")) -> _Counts:
    """Have all visitors ask for ``seconds``, or until each has had ``searches`` answered; what has begun by then is
    waited for."""
    counts = _Counts()
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(clients) as threads:
        asked = [bodies[number::clients] for number in range(clients)]
        list(threads.map(lambda mine: _visit(port, mine, end, counts, searches), asked))
    return counts


def _visit(port: int, bodies: list[bytes], end: float, counts: _Counts, searches: float) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)) as connection:
        number = 0
        while number < searches and time.perf_counter() < end:
            body = bodies[number % len(bodies)]
            began = time.perf_counter()
            try:
                connection.request("POST", "/api/move", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, HTTPException) as error:
                counts.errors.append(f"{type(error).__name__} {error}")
                return
            if response.status == 503:
                wait = float(response.headers.get("Retry-After", 0))
                counts.waits.append(wait)
                time.sleep(min(wait, max(0.0, end - time.perf_counter())))
                continue
            if response.status == 200 and json.loads(answer)["move"] not in json.loads(body)["moves"]:
                counts.seconds.append(time.perf_counter() - began)
            else:
                counts.errors.append(f"{response.status} {answer.decode(errors='replace')[:200]}")
            number += 1
