"""The stats board and the state of a run for tests, as one thing to be unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hexpipe.processes.run_state import ProcessState, RunState
from hexpipe.processes.stats import ProcessRow, StatsBoard
from hexpipe.roles.every_role import COUNTERS


class Board(NamedTuple):
    stats: StatsBoard
    state: RunState

    def row(self, name: str) -> ProcessRow:
        return self.stats.row(name)

    def rows(self) -> dict[str, ProcessRow]:
        return self.stats.rows()

    def of(self, name: str) -> ProcessState:
        return self.state.of(name)


def make_board(names: Sequence[str], private: bool = True) -> Board:
    return Board(StatsBoard.create(names, COUNTERS, private), RunState.create(names, private))
