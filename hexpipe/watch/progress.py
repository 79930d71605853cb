"""A run's figures at one moment, from the stats board and psutil, for the view, the log and the metrics."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import psutil

from hexpipe.config import Settings
from hexpipe.processes.machine import gpu_use
from hexpipe.processes.run_state import RunState
from hexpipe.processes.stats import WAITING_TEXT, ProcessRow, StatsBoard, role_of
from hexpipe.selfplay.curriculum import stage_in_words

_REPLAY_COUNTERS = ("total_games", "total_positions", "session_games", "lag_sum", "plies_sum", "refreshed_positions")
_NODE_RATES = ("positions", "evals")
_WINDOW_SECONDS = 30.0
_MEMORY_EVERY = 5.0
_READ_EVERY = 1.0


@dataclass(frozen=True)
class ProcessFigures:
    """One process in the view: CPU in percent of a core, own memory in bytes, what it does or waits for."""

    name: str
    pid: int
    cpu_percent: float
    own_bytes: int
    waiting: str
    note: str
    restarts: int


@dataclass(frozen=True)
class NodeFigures:
    """One node of a cluster in the view: its pod, its finished games, its rates over the last half minute."""

    name: str
    generators: int
    servers: int
    games: float
    positions_per_s: float
    evals_per_s: float
    waiting: str
    note: str


@dataclass
class Figures:
    """A run at one moment. Rates are over the last half minute; None where unknown yet."""

    elapsed: float
    values: dict[str, float | None]
    processes: list[ProcessFigures]
    gpus: list[tuple[int, int, int]] = field(default_factory=list)
    stage: str = ""  # of the curriculum, in words
    nodes: list[NodeFigures] = field(default_factory=list)

    def get(self, name: str) -> float | None:
        """Return a value by name, None if unknown."""
        return self.values.get(name)


class ProgressMeter:
    """Conversion of a stats board's counters into `Figures`; call `read` every second or so. ``started``: when the run
    was, in monotonic seconds, if not now."""

    def __init__(
        self, stats: StatsBoard, state: RunState, settings: Settings, gpus: int, started: float | None = None
    ) -> None:
        self._stats, self._state, self._settings = stats, state, settings
        self._start = time.monotonic() if started is None else started
        self._history: deque[tuple[float, dict[str, float]]] = deque()
        self._processes: dict[str, psutil.Process] = {}
        self._memory: dict[str, int] = {}
        self._memory_time = 0.0
        self._next = 0.0
        self._has_gpus = gpus > 0
        self._gpus: list[tuple[int, int, int]] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    def read_if_due(self, now: float) -> Figures | None:
        """Return the figures if the last ones are a second old, else None."""
        if now < self._next:
            return None
        self._next = now + _READ_EVERY
        return self.read()

    def read(self) -> Figures:
        """Return the present figures."""
        now = time.monotonic()
        counters = self._counters()
        self._history.append((now, counters))
        while len(self._history) > 2 and now - self._history[0][0] > _WINDOW_SECONDS:
            self._history.popleft()
        if now - self._memory_time >= _MEMORY_EVERY:
            self._memory_time = now
            self._read_memory()
            if self._has_gpus:
                self._gpus = gpu_use()
        values = {**self._totals(counters), **self._rates(now, counters), **self._learning(), **self._rating()}
        values["seconds_left"] = self._seconds_left(values)
        nodes = self._node_figures(now, counters)
        return Figures(self.elapsed, values, self._process_figures(), self._gpus, self.stage(), nodes)

    def stage(self) -> str:
        """Return the stage of the curriculum in words; empty without one, or if it is not known yet."""
        state = self._state
        if not self._settings.curriculum.stages or not state.stage:
            return ""
        return stage_in_words(self._settings, state.stage - 1, state.mastered_after)

    def _counters(self) -> dict[str, float]:
        stats = self._stats
        counters = {
            name: stats.total(name, "generator", "node")
            for name in ("games", "positions", "simulations", "leaves", "cache_hits")
        }
        counters["restarts"] = sum(self._state.of(name).restarts for name in stats.names)
        counters |= {f"{column}/{node}": row[column] for node, row in self._nodes() for column in _NODE_RATES}
        counters |= {name: stats.total(name, "inference", "league", "node") for name in ("evals", "batches")}
        replay = stats.row("replay-0")
        counters |= {name: replay[name] for name in _REPLAY_COUNTERS}
        counters["steps"] = stats.row("learner-0")["steps"]
        return counters

    def _totals(self, counters: dict[str, float]) -> dict[str, float | None]:
        replay = self._stats.row("replay-0")
        totals: dict[str, float | None] = {
            "games": counters["total_games"],
            "positions": counters["total_positions"],
            "steps": counters["steps"],
            "restarts": counters["restarts"],
            "refreshed": counters["refreshed_positions"] if self._settings.reanalyze.ratio else None,
            "replay_games": replay["replay_games"],
            "replay_positions": replay["replay_positions"],
            "replay_bytes": replay["replay_bytes"],
            "replay_fill": replay["replay_bytes"] / replay["replay_budget"] if replay["replay_budget"] else None,
        }
        if self._settings.curriculum.stages and self._state.stage:
            totals["stage"], totals["stage_games"] = self._state.stage, replay["stage_games"]
        if replay["league_window"]:
            totals["league_share"], totals["league_window"] = replay["league_share"], replay["league_window"]
            totals["league_games"] = self._stats.total("league_games", "generator")
        return totals

    def _rates(self, now: float, counters: dict[str, float]) -> dict[str, float | None]:
        then, before = self._history[0]
        seconds = now - then
        delta = {name: value - before.get(name, 0.0) for name, value in counters.items()}
        if seconds < 0.5:
            return {}
        games = delta["session_games"]
        return {
            "games_per_s": games / seconds,
            "positions_per_s": delta["positions"] / seconds,
            "refreshed_per_s": delta["refreshed_positions"] / seconds if self._settings.reanalyze.ratio else None,
            "evals_per_s": delta["evals"] / seconds,
            "simulations_per_s": delta["simulations"] / seconds,
            "steps_per_s": delta["steps"] / seconds,
            "mean_batch": delta["evals"] / delta["batches"] if delta["batches"] else None,
            "cache_hit_rate": delta["cache_hits"] / delta["leaves"] if delta["leaves"] else None,
            "policy_lag": delta["lag_sum"] / games if games > 0 else None,
            "mean_plies": delta["plies_sum"] / games if games > 0 else None,
        }

    def _learning(self) -> dict[str, float | None]:
        learner = self._stats.row("learner-0")
        if not learner["learning_rate"]:  # nothing reported yet in this part of the run
            return {}
        names = ("loss", "policy_loss", "value_loss", "gradient_norm", "learning_rate")
        values: dict[str, float | None] = {name: learner[name] for name in names}
        for name in ("threat_loss", "focus_loss", "solver_score", "solver_policy", "skipped_steps", "recoveries"):
            if learner[name] > 0:
                values[name] = learner[name]
        return values

    def _rating(self) -> dict[str, float | None]:
        """Return the newest rating of a checkpoint, with its standard error and the checkpoint's step."""
        for row in self._stats.rows("rating").values():
            if row["rated"]:
                return {name: row[name] for name in ("rating_elo", "rating_elo_error", "rating_step")}
        return {}

    def _seconds_left(self, values: dict[str, float | None]) -> float | None:
        """Return the seconds until the nearest limit, None without limits or if it cannot be estimated yet."""
        limits = self._settings.limits
        left = [limits.minutes * 60 - self.elapsed] if limits.minutes else []
        for limit, done, rate in (
            (limits.games, values["games"], values.get("games_per_s")),
            (limits.steps, values["steps"], values.get("steps_per_s")),
        ):
            if limit and rate:
                left.append((limit - (done or 0)) / rate)
        return max(0.0, min(left)) if left else None

    def _read_memory(self) -> None:
        for name, row in self._stats.rows().items():
            process = self._process(name, int(row["pid"]))
            if process is not None:
                with contextlib.suppress(psutil.Error):
                    self._memory[name] = int(process.memory_full_info().uss)

    def _process(self, name: str, pid: int) -> psutil.Process | None:
        known = self._processes.get(name)
        if known is not None and known.pid == pid:
            return known
        if not pid:
            return None
        try:
            self._processes[name] = psutil.Process(pid)
        except psutil.Error:
            return None
        return self._processes[name]

    def _nodes(self) -> list[tuple[str, ProcessRow]]:
        """Return the rows of a cluster's nodes that have joined so far."""
        return [(name, row) for name, row in self._stats.rows("node").items() if row["started"]]

    def _node_figures(self, now: float, counters: dict[str, float]) -> list[NodeFigures]:
        then, before = self._history[0]
        found = []
        for name, row in self._nodes():
            gained = [counters[key] - before.get(key, 0.0) for key in (f"{column}/{name}" for column in _NODE_RATES)]
            positions, evals = (gain / (now - then) if now > then else 0.0 for gain in gained)
            text = "lost" if self._state.of(name).done else WAITING_TEXT[row.waiting]
            found.append(
                NodeFigures(
                    name, int(row["generators"]), int(row["servers"]), row["games"], positions, evals, text, row.note
                )
            )
        return found

    def _process_figures(self) -> list[ProcessFigures]:
        found = []
        for name, row in self._stats.rows().items():
            if role_of(name) == "node":
                continue
            process = self._process(name, int(row["pid"]))
            cpu = 0.0
            if process is not None:
                with contextlib.suppress(psutil.Error):
                    cpu = process.cpu_percent()
            state, memory = self._state.of(name), self._memory.get(name, 0)
            text = "ended" if state.done else WAITING_TEXT[row.waiting]
            found.append(ProcessFigures(name, int(row["pid"]), cpu, memory, text, row.note, state.restarts))
        return found


def as_metrics(figures: Figures) -> dict[str, Any]:
    """Return the figures as one flat JSON-able dict."""
    line: dict[str, Any] = {"time": time.time(), "elapsed": round(figures.elapsed, 3)}
    line |= {name: value for name, value in figures.values.items() if value is not None}
    for process in figures.processes:
        line[f"cpu_percent/{process.name}"] = process.cpu_percent
        line[f"own_bytes/{process.name}"] = process.own_bytes
    for node in figures.nodes:
        line[f"games/{node.name}"] = node.games
        line[f"positions_per_s/{node.name}"] = node.positions_per_s
        line[f"evals_per_s/{node.name}"] = node.evals_per_s
    for number, (busy, used, _) in enumerate(figures.gpus):
        line[f"gpu_percent/{number}"] = busy
        line[f"gpu_mb/{number}"] = used
    return line
