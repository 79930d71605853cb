"""`hexpipe bench serve`: many visitors at once ask a web server for moves.

The server is a process of its own, as `hexpipe serve` starts it. The visitors are tasks of this process: each keeps one
connection and asks for the next move as soon as it has the last one, in a random position of a few random plies.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from hexpipe.bench.commands import running
from hexpipe.bench.fresh_checkpoint import fresh_checkpoint
from hexpipe.config import load_settings
from hexpipe.errors import HexpipeError
from hexpipe.games.board_moves import move_name
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.nets.checkpoints import load_checkpoint

OPTIONS = {
    "checkpoint": "a run or a checkpoint; unset: an untrained net of the preset quick",
    "clients": "visitors at once",
    "seconds": "length of the measured window",
    "simulations": "simulations of a search",
    "most_waiting": "searches that may wait in the server, which answers 503 to more",
    "positions": "different positions that are asked about",
}
WARM_SECONDS = 3.0  # before the window: the net is made, the kernels are loaded
_END_SECONDS = 30.0
_ANSWER_SECONDS = 60.0


@dataclass
class _Counts:
    """What the visitors have seen within the window."""

    seconds: list[float] = field(default_factory=list)  # of each answer
    busy: int = 0
    errors: list[str] = field(default_factory=list)


def run(
    *,
    checkpoint: str | None = None,
    clients: int = 50,
    seconds: float = 15.0,
    simulations: int = 32,
    most_waiting: int = 64,
    positions: int = 2000,
) -> dict[str, float | int | str]:
    """Keys: requests_per_s (answered searches), p50_ms, p99_ms, most_ms (from a question to the end of its answer),
    requests, busy (answers 503: the visitor waits as long as it is told), errors (any other answer than a legal move),
    first_error, server_cores (CPU time of the server over time), rss_before_mb, rss_after_mb (its memory at both ends
    of the window).

    HexpipeError if the server does not start or dies.
    """
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        path = Path(checkpoint) if checkpoint else fresh_checkpoint(Path(folder), load_settings("quick"))
        game = make_game(load_checkpoint(path, groups=()).settings.game)
        bodies = bodies_of(game, positions, simulations)
        with server_of(path, most_waiting, Path(folder) / "output") as (process, port):
            server = psutil.Process(process.pid)
            asyncio.run(visits(port, bodies, clients, WARM_SECONDS))
            before, began, cpu = server.memory_info().rss, time.perf_counter(), _cpu_seconds(server)
            counts = asyncio.run(visits(port, bodies, clients, seconds))
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
        "busy": counts.busy,
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
    """Questions about ``count`` positions of random play, each with a legal move left."""
    rng = np.random.default_rng(0)
    most = game.board_size**2 // 2
    bodies: list[bytes] = []
    while len(bodies) < count:
        moves = rng.permutation(game.board_size**2)[: rng.integers(0, most)].tolist()
        if game.play(moves).winner[0] == ONGOING:
            words = [move_name(game, move) for move in moves]
            bodies.append(json.dumps({"moves": words, "simulations": simulations}).encode())
    return bodies


@contextmanager
def server_of(path: Path, most_waiting: int, output: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`hexpipe serve` on a free port of this machine, until the block ends."""
    arguments = ["serve", str(path), "--port", "0", "--most-waiting", str(most_waiting)]
    with running(arguments, output, _END_SECONDS) as process:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not (found := re.search(r"http://[\d.]+:(\d+)/", output.read_text(errors="replace"))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise HexpipeError(f"the server did not start:\n{output.read_text(errors='replace')}")
            time.sleep(0.02)
        yield process, int(found[1])
        if process.poll() is not None:
            raise HexpipeError(f"the server died:\n{output.read_text(errors='replace')}")


async def visits(
    port: int, bodies: list[bytes], clients: int, seconds: float, searches: float = float("inf")
) -> _Counts:
    """All visitors at work for ``seconds``, or until each has had ``searches`` answered; what has begun by then is
    waited for."""
    counts = _Counts()
    end = time.perf_counter() + seconds
    visitors = (_visitor(port, bodies[number::clients], end, counts, searches) for number in range(clients))
    await asyncio.gather(*visitors)
    return counts


async def _visitor(port: int, bodies: list[bytes], end: float, counts: _Counts, searches: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        number = 0
        while number < searches and time.perf_counter() < end:
            body = bodies[number % len(bodies)]
            began = time.perf_counter()
            try:
                status, wait, answer = await asyncio.wait_for(_post(reader, writer, body), _ANSWER_SECONDS)
            except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
                counts.errors.append(f"{type(error).__name__} {error}")
                return
            if status == 503:
                counts.busy += 1
                await asyncio.sleep(min(wait, max(0.0, end - time.perf_counter())))
                continue
            if status == 200 and json.loads(answer)["move"] not in json.loads(body)["moves"]:
                counts.seconds.append(time.perf_counter() - began)
            else:
                counts.errors.append(f"{status} {answer.decode(errors='replace')[:200]}")
            number += 1
    finally:
        writer.close()
        await writer.wait_closed()


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> tuple[int, float, bytes]:
    """The status of POST /api/move, the seconds after which a busy server may be asked again, and the answer."""
    head = (
        f"POST /api/move HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    writer.write(head.encode() + b"\r\n\r\n" + body)
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    answer = await reader.readexactly(int(headers["content-length"]))
    return int(status.split()[1]), float(headers.get("retry-after", 0)), answer
