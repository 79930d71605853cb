"""Analysis of positions whose truth is known, of all kinds of net, in time."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.arena.analysis import LONGEST_VARIATION, analyse
from hexpipe.bench.replay import HashEvaluator
from hexpipe.config import GameSettings, SearchSettings
from hexpipe.games.board_moves import after_moves
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from tests.arena.strong_players import PerfectPlayer
from tests.clock import TestClock

TIC_TAC_TOE = InARow(GameSettings(name="inarow", board_size=3, win_length=3))


def search(simulations: int, **changes: object) -> SearchSettings:
    return SearchSettings.model_validate({"num_simulations": simulations, **changes})


def test_a_won_position_is_proven_and_its_variation_wins() -> None:
    won = [0, 3, 1, 4]  # two each in the first two rows, the first player to move
    (found,) = analyse(TIC_TAC_TOE, [won], HashEvaluator(TIC_TAC_TOE, 1), search(200))
    assert found.proven
    assert found.to_move == 0
    assert found.best == 2
    assert found.moves[0].value == 1
    assert found.moves[0].proven
    assert found.moves[0].variation == (2,)
    assert found.win_probability == 1
    assert found.values.tolist() == [1, -1]


def test_best_moves_and_values_are_those_of_perfect_play() -> None:
    perfect = PerfectPlayer(TIC_TAC_TOE, 0)
    positions = [[4, 0], [0, 4, 8], [0, 1], [4, 1, 0, 8]]
    found = analyse(TIC_TAC_TOE, positions, HashEvaluator(TIC_TAC_TOE, 1), search(4000, leaves_per_game=2))
    for position, analysis in zip(positions, found, strict=True):
        assert analysis.best in perfect.best_actions(position)
        np.testing.assert_allclose(analysis.values, perfect.value(position), atol=0.2)


def test_variations_are_legal_and_visits_add_up() -> None:
    game = Hex(4)
    positions = [[], [5, 6], [0]]
    for position, analysis in zip(
        positions, analyse(game, positions, HashEvaluator(game, 1), search(120, solver=False)), strict=True
    ):
        assert analysis.simulations == 120
        assert sum(move.visits for move in analysis.moves) == 120
        assert [move.visits for move in analysis.moves] == sorted((m.visits for m in analysis.moves), reverse=True)
        assert analysis.to_move == len(position) % 2
        assert len(analysis.priors) == 16 - len(position)
        assert max(len(move.variation) for move in analysis.moves) > 1
        for move in analysis.moves:
            assert move.variation[0] == move.move
            assert len(move.variation) <= LONGEST_VARIATION
            game.play([*position, *move.variation])
            assert -1 <= move.value <= 1


def test_the_same_question_has_the_same_answer_whatever_the_root_is_set_to() -> None:
    game = Hex(5)
    first, second = (
        analyse(game, [[7]], HashEvaluator(game, 1), search(64, root=root))[0] for root in ("puct", "gumbel")
    )
    assert first.moves == second.moves


def test_time_ends_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    game, clock = Hex(9), TestClock(monkeypatch, tick=0.01)
    began = clock.now
    (found,) = analyse(game, [[]], HashEvaluator(game, 1), search(1_000_000 // 81), seconds=0.2)
    assert clock.now - began < 0.3
    assert 0 < found.simulations < 1_000_000 // 81
    (only_the_net,) = analyse(game, [[]], HashEvaluator(game, 1), search(100), seconds=0.0)
    assert only_the_net.simulations == 0
    assert only_the_net.best == max(only_the_net.priors, key=only_the_net.priors.__getitem__)
    assert only_the_net.moves[0].visits == 0


def test_nothing_to_search_is_refused() -> None:
    with pytest.raises(ValueError, match="no position"):
        analyse(TIC_TAC_TOE, [], HashEvaluator(TIC_TAC_TOE, 1), search(10))


def test_views_that_move_are_searched_where_the_net_looks() -> None:
    game = InARow(GameSettings(name="inarow", board_size=9, win_length=4, view_size=5))
    position = [0, 80, 1, 79, 2]  # the first player threatens in the corner
    (found,) = analyse(game, [position], HashEvaluator(game, 1), search(60))
    for move in found.moves:
        played = after_moves(game, [*position, *move.variation])
        assert played.ply[0] == len(position) + len(move.variation)
        assert (played.cells[0] > 0).sum() == played.ply[0]
    assert set(found.priors) >= {move.move for move in found.moves}
