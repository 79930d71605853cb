"""The stats board and the state of a live run, read from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hexpipe.errors import SharedMemoryError
from hexpipe.processes.run_state import ProcessState, RunState
from hexpipe.processes.stats import ProcessRow, ReadOnly, StatsBoard
from hexpipe.roles.every_role import COUNTERS
from hexpipe.shm import read_only_view


class LiveProcess(NamedTuple):
    """The published state of a process; read-only, and valid as long as it is kept."""

    row: ProcessRow
    state: ProcessState


def live_board(document: Mapping[str, Any]) -> tuple[StatsBoard, RunState] | None:
    """Return the board and the state of the run of ``document`` (`run_folder.live_run`).

    None if it has just ended, or is of another version of hexpipe.
    """
    board, state = (_arrays(document, name) for name in ("stats", "run-state"))
    names = [f"{role}-{number}" for role in COUNTERS if role in board for number in range(len(board[role]))]
    if not names or not state:
        return None
    return StatsBoard(ReadOnly(board), names, COUNTERS), RunState(ReadOnly(state), names)


def live_processes(document: Mapping[str, Any]) -> dict[str, LiveProcess]:
    """Return the processes of `live_board` by name, of those that have taken their rows."""
    board = live_board(document)
    if board is None:
        return {}
    stats, state = board
    pids = document.get("processes", {}).items()
    known = [name for name, pid in pids if name in stats.names and stats.row(name)["pid"] == pid]
    return {name: LiveProcess(stats.row(name), state.of(name)) for name in known}


def _arrays(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the arrays of a segment of the run; empty if there is none."""
    part = next((part for part in document.get("segments", []) if part["name"] == name), None)
    if part is None:
        return {}
    try:
        return read_only_view(int(document["pid"]), int(part["fd"]), part["layout"])
    except SharedMemoryError:
        return {}
