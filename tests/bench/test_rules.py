"""The rules benchmark, short: figures that hang together."""

from __future__ import annotations

import pytest

from hexpipe.bench import rules


@pytest.mark.parametrize("size", [5, 11])
def test_rules_throughput(size: int) -> None:
    figures = rules.run(seconds=0.2, size=size)
    assert figures["moves_per_s"] > 0
    assert 2 * size - 1 <= figures["moves_per_game"] <= size * size
    assert 0.4 < figures["first_player_wins"] < 0.7


@pytest.mark.parametrize(("size", "players"), [(9, 2), (30, 3)])
def test_rules_throughput_of_n_in_a_row(size: int, players: int) -> None:
    figures = rules.run(seconds=0.2, size=size, game="inarow", players=players)
    assert figures["moves_per_s"] == pytest.approx(figures["playouts_per_s"] * figures["moves_per_game"])
    assert 4 * players < figures["moves_per_game"] < size * size
    assert 0.2 < figures["first_player_wins"] < 0.7


def test_rules_throughput_of_go() -> None:
    """Games of 4x4 end by 32 plies, and hardly any before a few."""
    figures = rules.run(seconds=0.0, size=4, game="go")
    assert 10 < figures["moves_per_game"] <= 32
    assert 0 < figures["first_player_wins"] < 0.7


def test_no_time_is_one_batch_of_games() -> None:
    assert rules.run(seconds=0.0, size=3)["moves_per_game"] > 5
