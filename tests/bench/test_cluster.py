"""The benchmark of a cluster: what it refuses, and a small real call."""

from __future__ import annotations

import pytest

from hexpipe.bench import cluster
from hexpipe.errors import SettingsError
from tests.refusals import refused


@pytest.mark.parametrize("given", [{"workers": 3}, {"servers": 1}, {"workers": 0}])
def test_processes_that_two_nodes_cannot_share_are_refused(given: dict[str, int]) -> None:
    pytest.importorskip("ray", reason="several machines need hexpipe[ray]")
    with refused(SettingsError, kind="conflict", setting="--workers"):
        cluster.run(**given)


@pytest.mark.slow
def test_two_nodes_against_a_plain_run() -> None:
    pytest.importorskip("ray", reason="several machines need hexpipe[ray]")
    small = {"size": 5, "blocks": 1, "channels": 16, "simulations": 16, "games": 8}
    figures = cluster.run(**small, slices=2, seconds=2.0)
    assert figures["evals_per_s"] > 0
    assert 0.2 < figures["ratio_low"] <= figures["ratio"] <= figures["ratio_high"]
