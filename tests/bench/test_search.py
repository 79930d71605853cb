"""Throughput of the tree alone: `bin/test tests/bench --benchmark-enable`."""

from __future__ import annotations

from typing import Any

import pytest

from hexpipe.bench import search


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_search_throughput(benchmark: Any, root: str) -> None:
    figures = benchmark.pedantic(search.run, kwargs={"seconds": 0.2, "games": 8, "root": root}, rounds=1)
    benchmark.extra_info.update(figures)
    assert figures["simulations_per_s"] > 0
    assert 0 < figures["unique_evals_per_move"] <= 1.2 * figures["simulations"]  # a root is evaluated beside them
    assert 1 <= figures["mean_depth"] < 100
