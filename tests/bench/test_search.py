"""The search benchmark, short: figures that hold wherever the window begins and ends, and however long it is."""

from __future__ import annotations

from typing import Literal

import pytest

from hexpipe.bench import search


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_search_throughput(seconds: float, root: Literal["puct", "gumbel"]) -> None:
    figures = search.run(seconds=seconds, games=8, root=root)
    assert figures["simulations_per_s"] > 0
    assert figures["simulations_per_s"] == pytest.approx(figures["moves_per_s"] * figures["simulations"])
    assert 0 < figures["unique_evals_per_move"] <= 1.2 * figures["simulations"]  # a root is evaluated beside them
    assert 1 <= figures["mean_depth"] < 100


def test_every_move_costs_its_simulations() -> None:
    searches = search.Searches(5, 4, 20, 2, "puct", "alphazero")
    moves = searches.play(40)
    assert 40 <= moves < 44
    # those of the moves that were made, and of the four searches under way
    assert 20 * moves <= searches.mcts.simulations <= 20 * (moves + 4)
