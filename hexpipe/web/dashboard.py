"""A run as a page sees it: curves, processes and newest games, read from its folder and its shared memory."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import anyio
import numpy as np
import psutil
from fastapi import FastAPI, Query, Request, Response, WebSocket, WebSocketDisconnect

from hexpipe.errors import HexpipeError, UsageError
from hexpipe.games.board_moves import last_cell
from hexpipe.games.factory import make_stages
from hexpipe.games.game_env import Game, places_stones
from hexpipe.plain_files import open_own
from hexpipe.processes.stats import WAITING_TEXT
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.game_list import moves_of_record
from hexpipe.run_folder import ARCHIVE_NAME, live_run, read_settings
from hexpipe.watch.curves import Curves
from hexpipe.watch.live_stats import LiveProcess, live_processes
from hexpipe.watch.metrics import metrics_line
from hexpipe.web.refusals import refusals

Found = TypeVar("Found")

STATE_SECONDS = 1.0
MOST_POINTS = 600  # of a curve: more than a screen shows
MOST_GAMES = 24
_TAIL_BYTES = 65536
_PREFIXES = (
    "cpu_percent/", "own_bytes/", "gpu_percent/", "gpu_mb/", "games/", "positions_per_s/", "evals_per_s/",
)  # fmt: skip


class Packed(NamedTuple):
    """A JSON text, as it is and with gzip."""

    plain: bytes
    small: bytes


class RunWatcher:
    """Looks at the run in ``run_dir``; nothing of it is changed or held open, and what is kept of it does not grow."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.settings = read_settings(run_dir)
        self._stages = make_stages(self.settings)
        self._processes: dict[int, psutil.Process] = {}
        self._curves = Curves(run_dir / "metrics.jsonl", MOST_POINTS, lambda name: not name.startswith(_PREFIXES))
        self._packed = _pack({})

    def state(self) -> dict[str, Any]:
        """Return the run now: "alive", "title", the newest "figures" by name, "processes" (name, pid, waits_for,
        cpu_percent, own_bytes, restarts)."""
        document = live_run(self.run_dir)
        return {
            "time": time.time(),
            "run": self.run_dir.name,
            "title": self.settings.game.title,
            "algorithm": self.settings.algorithm,
            "alive": document is not None,
            "figures": {name: value for name, value in self._newest_line().items() if not name.startswith(_PREFIXES)},
            "processes": [self._process(name, found) for name, found in live_processes(document or {}).items()],
        }

    def metrics(self) -> Packed:
        """Return every figure of metrics.jsonl over time, at most MOST_POINTS of each, None where it was not known, as
        an object of lists. What was read before is not read again."""
        if self._curves.update():
            self._packed = _pack(self._curves.series())
        return self._packed

    def games(self, count: int) -> list[dict[str, Any]]:
        """Return the newest finished games: moves as cells of the board, winner (-1 for a draw), weights version; and
        where a move changes more than one cell the ``boards`` before each ply and at the end, a digit a cell."""
        path = self.run_dir / ARCHIVE_NAME
        if not path.exists():
            return []
        with ReplayArchive(path, self._stages, read_only=True) as archive:
            newest = archive.newest(count, 1 << 40, lambda plies, policy_bytes: 0)
            records = [record for _, record in newest]
        return [self._described(record) for record in reversed(records)]

    def _described(self, record: GameRecord) -> dict[str, Any]:
        moves = moves_of_record(self._stages, record)
        return {
            "game": record.game,
            "size": record.board_size,
            "width": record.board_size if len(self._stages) > 1 else self._stages[0].shapes.board_width,
            "seats": record.num_seats,
            "moves": moves,
            "boards": _boards(self._stages[0], record),
            "last_cells": _last_cells(self._stages, record, moves),
            "views": [int(view) for view in record.views],
            "opening": record.opening_plies,
            "winner": int(record.outcome.argmax()) if record.outcome.max() > 0 else -1,
            "weights_version": record.weights_version,
        }

    def _newest_line(self) -> dict[str, Any]:
        try:
            with open_own(self.run_dir / "metrics.jsonl", "rb") as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
                tail = file.read().splitlines()
        except OSError:
            return {}
        return next((line for line in map(metrics_line, reversed(tail)) if line), {})

    def _process(self, name: str, found: LiveProcess) -> dict[str, Any]:
        pid, cpu, own = int(found.row["pid"]), 0.0, 0
        with contextlib.suppress(psutil.Error):
            if pid not in self._processes:
                self._processes[pid] = psutil.Process(pid)
            process = self._processes[pid]
            cpu, own = process.cpu_percent(), int(process.memory_full_info().uss)
        return {
            "name": name,
            "pid": pid,
            "waits_for": "ended" if found.state.done else WAITING_TEXT[found.row.waiting],
            "note": found.row.note,
            "cpu_percent": cpu,
            "own_bytes": own,
            "restarts": found.state.restarts,
        }


def add_dashboard(app: FastAPI, run_dir: Path) -> None:
    """Add the run's part of the API: /api/run/state, /api/run/metrics, /api/run/games and the websocket
    /api/run/live."""
    watcher = RunWatcher(run_dir)
    state = _Looked(watcher.state)
    metrics = _Looked(watcher.metrics)
    games = _Looked(lambda: watcher.games(MOST_GAMES))

    @app.get("/api/run/state", responses=refusals())
    async def run_state() -> dict[str, Any]:
        """Return the run now: figures and processes."""
        return await state()

    @app.get("/api/run/metrics", response_model=dict[str, list[float | None]], responses=refusals())
    async def run_metrics(request: Request) -> Response:
        """Return every figure over time: lists of one length, null where it was not known. Long runs are thinned."""
        packed = await metrics()
        headers = {"Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return Response(packed.plain, 200, headers, "application/json")
        return Response(packed.small, 200, {**headers, "Content-Encoding": "gzip"}, "application/json")

    @app.get("/api/run/games", responses=refusals(422))
    async def run_games(
        count: Annotated[int, Query(description=f"how many: 1 to {MOST_GAMES}, what is outside counts as these")] = 6,
    ) -> list[dict[str, Any]]:
        """Return the newest finished games, the newest first."""
        return (await games())[: max(1, min(count, MOST_GAMES))]

    @app.websocket("/api/run/live")
    async def live(socket: WebSocket) -> None:
        """Send the state, again and again: each is sent once the one before has gone, so a slow watcher only sees
        fewer."""
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                try:
                    await socket.send_json(await state())
                except HexpipeError as error:
                    await socket.send_json({"error": str(error)})
                await asyncio.sleep(STATE_SECONDS)


class _Looked(Generic[Found]):
    """The findings of ``look``, at most STATE_SECONDS old: however many ask, it looks once, in a thread.

    What is wrong with a run is no fault of the question: HexpipeError, and never UsageError.
    """

    def __init__(self, look: Callable[[], Found]) -> None:
        self._look = look
        self._lock = asyncio.Lock()
        self._found: tuple[float, Found] | None = None

    async def __call__(self) -> Found:
        async with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > STATE_SECONDS:
                try:
                    found = await anyio.to_thread.run_sync(self._look)
                except UsageError as error:
                    raise HexpipeError(str(error)) from error
                self._found = time.monotonic(), found
            return self._found[1]


def _pack(document: dict[str, Any]) -> Packed:
    plain = json.dumps(document, separators=(",", ":")).encode()
    return Packed(plain, gzip.compress(plain, 6, mtime=0))


def _last_cells(stages: Sequence[Game], record: GameRecord, moves: Sequence[int]) -> list[int]:
    """Return the cell of the stone or piece that each of the ``moves`` of ``record`` places or moves, -1 if it does
    neither."""
    game = next(stage for stage in stages if stage.board_size == record.board_size)
    return [last_cell(game, move, seat) for move, seat in zip(moves, record.seats.tolist(), strict=True)]


def _boards(game: Game, record: GameRecord) -> list[str] | None:
    """Return the cells of each position of ``record``, the first and the last too; None if its moves tell them."""
    if places_stones(game):
        return None
    states, row = game.new_states(1), np.zeros(1, np.int32)
    boards = ["".join(map(str, states.cells[0]))]
    for ply in range(record.num_plies):
        game.step(states, row, record.actions[ply : ply + 1], row)
        boards.append("".join(map(str, states.cells[0])))
    return boards
