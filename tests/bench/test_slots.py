"""The slots benchmark, short: its keys, and figures that must hold whatever the speed."""

from __future__ import annotations

import pytest

from hexpipe.bench import slots
from hexpipe.bench.stage import Board, Stage
from hexpipe.errors import ProcessDiedError


def test_slots_benchmark_counts_what_went_through() -> None:
    result = slots.run(generators=1, seconds=0.5, size=5, games=8, simulations=16, leaves=2)
    for key in ("evals_per_s", "per_generator_core_evals_per_s", "simulations_per_s"):
        assert float(result[key]) > 0
    assert 0 < float(result["leaves_per_request"]) <= int(result["max_leaves"]) == 8
    # a 5x5 leaf takes 25 + 50 + 8 bytes; a request adds its message and ids; some simulations end in known states
    assert 0 < float(result["bytes_per_simulation"]) < 83 + 60
    assert 0 < float(result["server_cpu_share"]) < 1


def test_a_generator_that_dies_is_reported() -> None:
    class Dead:
        exitcode = -9
        name = "generator-0"

    board = Board.create(1)
    with pytest.raises(ProcessDiedError, match="generator-0"):
        Stage(board, [Dead()]).sleep(1.0)  # type: ignore[list-item]
    board.segment.close()
