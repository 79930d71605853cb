"""The stats board of a run that is at work, seen from outside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import SharedMemoryError
from hexpipe.processes.stats import INDEX, ProcessRow
from hexpipe.shm import read_only_view


def live_board(document: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of the board, "values" float64 [rows, columns] and "notes" uint8 [rows, bytes]; ``document`` is what
    `run_folder.live_run` gives. They may be read only, and for as long as they are kept. Empty where the run has just
    ended."""
    stats = next((part for part in document.get("segments", []) if part["name"] == "stats"), None)
    if stats is None:
        return {}
    try:
        return read_only_view(int(document["pid"]), int(stats["fd"]), stats["layout"])
    except SharedMemoryError:
        return {}


def live_rows(document: Mapping[str, Any]) -> dict[str, ProcessRow]:
    """The rows of `live_board` by process, of those that have taken theirs."""
    board = live_board(document)
    if not board:
        return {}
    pids = board["values"][:, INDEX["pid"]]
    found = {name: np.flatnonzero(pids == pid) for name, pid in document.get("processes", {}).items()}
    return {
        name: ProcessRow(board["values"][rows[0]], board["notes"][rows[0]]) for name, rows in found.items() if len(rows)
    }
