"""A run as a page sees it: curves, processes and newest games, read from its folder and its shared memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from hexpipe.errors import HexpipeError
from hexpipe.games.factory import make_stages
from hexpipe.pipeline.live_stats import live_rows
from hexpipe.pipeline.metrics import metrics_line, metrics_lines
from hexpipe.pipeline.run_folder import ARCHIVE_NAME, live_run, read_settings
from hexpipe.pipeline.stats import WAITING_TEXT, ProcessRow
from hexpipe.plain_files import open_own
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.game_list import moves_of_record

STATE_SECONDS = 1.0
MOST_POINTS = 600  # of a curve: more than a screen shows
MOST_GAMES = 24
_TAIL_BYTES = 65536
_PREFIXES = (
    "cpu_percent/", "own_bytes/", "gpu_percent/", "gpu_mb/", "games/", "positions_per_s/", "evals_per_s/",
)  # fmt: skip


class RunWatcher:
    """Looks at the run in ``run_dir``; nothing of it is changed, held open or kept beyond the newest state."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.settings = read_settings(run_dir)
        self._stages = make_stages(self.settings)
        self._processes: dict[int, psutil.Process] = {}

    def state(self) -> dict[str, Any]:
        """The run now: "alive", "title", the newest "figures" by name, "processes" (name, pid, waits_for, cpu_percent,
        own_bytes, restarts)."""
        document = live_run(self.run_dir)
        return {
            "time": time.time(),
            "run": self.run_dir.name,
            "title": self.settings.game.title,
            "algorithm": self.settings.algorithm,
            "alive": document is not None,
            "figures": _plain(self._newest_line()),
            "processes": self._process_table(document) if document is not None else [],
        }

    def metrics(self) -> dict[str, list[float | None]]:
        """Every figure of metrics.jsonl over time, at most MOST_POINTS of each, None where it was not known."""
        lines = [_plain(line) for line in self._lines()]
        stride = -(-len(lines) // MOST_POINTS) or 1
        kept = lines[::-1][::stride][::-1]  # the newest is always one of them
        names = sorted(set().union(*kept))
        return {name: [line.get(name) for line in kept] for name in names}

    def games(self, count: int) -> list[dict[str, Any]]:
        """The newest finished games: moves as cells of the board, winner (-1 for a draw), weights version."""
        path = self.run_dir / ARCHIVE_NAME
        if not path.exists():
            return []
        with ReplayArchive(path, self._stages, read_only=True) as archive:
            newest = archive.newest(count, 1 << 40, lambda plies, policy_bytes: 0)
            records = [record for _, record in newest]
        return [
            {
                "game": record.game,
                "size": record.board_size,
                "seats": record.num_seats,
                "moves": moves_of_record(self._stages, record),
                "views": [int(view) for view in record.views],
                "opening": record.opening_plies,
                "winner": int(record.outcome.argmax()) if record.outcome.max() > 0 else -1,
                "weights_version": record.weights_version,
            }
            for record in reversed(records)
        ]

    def _lines(self) -> Iterator[dict[str, Any]]:
        with contextlib.suppress(OSError):
            yield from metrics_lines(self.run_dir)

    def _newest_line(self) -> dict[str, Any]:
        try:
            with open_own(self.run_dir / "metrics.jsonl", "rb") as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
                tail = file.read().splitlines()
        except OSError:
            return {}
        return next((line for line in map(metrics_line, reversed(tail)) if line), {})

    def _process_table(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        pids = document.get("processes", {})
        return [self._process(name, int(pids[name]), row) for name, row in live_rows(document).items()]

    def _process(self, name: str, pid: int, row: ProcessRow) -> dict[str, Any]:
        cpu, own = 0.0, 0
        with contextlib.suppress(psutil.Error):
            if pid not in self._processes:
                self._processes[pid] = psutil.Process(pid)
            process = self._processes[pid]
            cpu, own = process.cpu_percent(), int(process.memory_full_info().uss)
        return {
            "name": name,
            "pid": pid,
            "waits_for": "ended" if row["done"] else WAITING_TEXT[row.waiting],
            "note": row.note,
            "cpu_percent": cpu,
            "own_bytes": own,
            "restarts": int(row["restarts"]),
        }


def add_dashboard(app: FastAPI, run_dir: Path) -> None:
    """The run's part of the API: /api/run/state, /api/run/metrics, /api/run/games and the websocket /api/run/live."""
    watcher = RunWatcher(run_dir)
    lock = asyncio.Lock()
    newest: dict[str, Any] = {}

    async def state() -> dict[str, Any]:
        """The state, at most STATE_SECONDS old: however many watch, the run is looked at once."""
        async with lock:
            if not newest or time.time() - newest["time"] > STATE_SECONDS:
                newest.update(await anyio.to_thread.run_sync(watcher.state))
        return dict(newest)

    @app.get("/api/run/state")
    async def run_state() -> dict[str, Any]:
        """The run now: figures and processes."""
        return await state()

    @app.get("/api/run/metrics")
    def run_metrics() -> dict[str, list[float | None]]:
        """Every figure over time."""
        return watcher.metrics()

    @app.get("/api/run/games")
    def run_games(count: int = 6) -> list[dict[str, Any]]:
        """The newest finished games."""
        return watcher.games(max(1, min(count, MOST_GAMES)))

    @app.websocket("/api/run/live")
    async def live(socket: WebSocket) -> None:
        """The state, again and again: each is sent once the one before has gone, so a slow watcher only sees fewer."""
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                try:
                    await socket.send_json(await state())
                except HexpipeError as error:
                    await socket.send_json({"error": str(error)})
                await asyncio.sleep(STATE_SECONDS)


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """A line of metrics without what belongs to one process or node."""
    return {name: value for name, value in line.items() if not name.startswith(_PREFIXES)}
