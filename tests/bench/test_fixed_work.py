"""Each benchmark as fixed work in rounds: `bin/test tests/bench --benchmark-enable`, then --benchmark-compare."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi")

from hexpipe.bench import BENCHMARKS
from tests.bench import fixed

ROUNDS = 5


def test_the_benchmarks_are_there() -> None:
    wanted = {"rules", "search", "replay", "learner", "slots", "forward", "library", "selfplay", "serve"}
    assert set(fixed.WORKS) == wanted
    assert wanted <= set(BENCHMARKS)


@pytest.mark.parametrize("name", fixed.WORKS)
def test_the_same_work_in_rounds(name: str, benchmark: Any) -> None:
    done: list[int] = []
    with fixed.WORKS[name]() as work:
        benchmark.pedantic(lambda: done.append(work()), rounds=ROUNDS, warmup_rounds=1)
    assert done[0] > 0
    assert max(done) <= 1.01 * min(done), "no round has more to do than another"
    if not benchmark.disabled:
        assert benchmark.stats.stats.rounds >= 3
