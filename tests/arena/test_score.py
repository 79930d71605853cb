from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.arena import score as score_module
from hexpipe.arena.score import make_share, score_positions, wilson_interval
from hexpipe.arena.solved_positions import SolvedPosition
from hexpipe.config import SearchSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from hexpipe.inference.latents import PoolShape
from hexpipe.search.evaluator import Evaluation, Moves

SEARCH = SearchSettings.model_validate({"num_simulations": 200})


class NetLikeEvaluator:
    """Priors that like the first legal cell, values that say ``value`` for the mover."""

    def __init__(self, game: Game, value: float) -> None:
        self.game, self.value = game, value
        self.batches: list[int] = []
        self._answer: Evaluation | None = None

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        assert group == 0
        self.batches.append(len(codes))
        legal = codes[:, : self.game.num_actions] == 0
        priors = np.where(legal, 0.5, 0.0) + (np.cumsum(legal, axis=1) == 1) * legal
        priors = (priors / priors.sum(1, keepdims=True)).astype(np.float32)
        values = np.tile(np.array([self.value, -self.value], np.float32), (len(codes), 1))
        self._answer = Evaluation(Answers(priors, values), 0)

    def collect(self, group: int) -> Evaluation:
        assert self._answer is not None
        return self._answer


def _solved(size: int, count: int, seed: int) -> list[SolvedPosition]:
    """Random positions late in the game, solved."""
    rng, game, solver = np.random.default_rng(seed), Hex(size), HexSolver(size)
    found: list[SolvedPosition] = []
    while len(found) < count:
        moves = rng.permutation(size * size)[: int(rng.integers(2, size * size - 2))].tolist()
        states = game.new_states(1)
        row = np.zeros(1, np.int32)
        for move in moves:
            game.step(states, row, np.array([move], np.int32), row)
            if states.winner[0] >= 0:
                break
        if states.winner[0] >= 0:
            continue
        winning = solver.winning_moves(states.cells[0], int(states.view[0]))
        found.append(SolvedPosition(len(found) + 1, size, tuple(moves), 1 if winning else -1, frozenset(winning)))
    return found


def _score(positions: Sequence[SolvedPosition], value: float = 0.2, settings: SearchSettings = SEARCH):
    return score_positions(positions, lambda game, pool: NetLikeEvaluator(game, value), settings)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_search_solves_small_boards_that_the_net_does_not(root: str) -> None:
    positions = _solved(3, 40, 0) + _solved(4, 10, 1)
    settings = SEARCH.model_copy(update={"root": root, "num_simulations": 1000})
    result = _score(positions, settings=settings)
    won = sum(p.value == 1 for p in positions)
    assert result.net_value_share.right == won  # the net says that the mover wins, always
    assert result.net_value_share.total == len(positions)
    assert result.net_move_share.total == result.search_move_share.total == won
    game = {size: Hex(size) for size in (3, 4)}
    assert result.net_move_share.right == sum(_first_legal(game[p.board_size], p) in p.winning_moves for p in positions)
    assert result.search_value_share.share >= 0.9
    assert result.search_move_share.share >= 0.9
    assert result.search_value_share.right > result.net_value_share.right


def _first_legal(game: Game, position: SolvedPosition) -> int:
    """The absolute cell that comes first in the mover's frame."""
    states = game.play(position.moves)
    view = int(states.view[0])
    legal = np.flatnonzero(states.cells[0] == 0)
    return int(legal[game.action_view[view, legal].argmin()])


def test_a_pessimist_is_right_where_the_mover_loses() -> None:
    positions = _solved(3, 30, 2)
    lost = sum(p.value == -1 for p in positions)
    assert 0 < lost < len(positions)
    assert _score(positions, value=-0.2).net_value_share.right == lost
    assert _score(positions, value=0.0).net_value_share.right == 0


def test_the_score_is_deterministic_and_does_not_depend_on_the_company() -> None:
    positions = _solved(3, 20, 3)
    together = _score(positions)
    assert together == _score(positions)
    alone = [_score([position]) for position in positions]
    for name in together._fields:
        assert getattr(together, name).right == sum(getattr(one, name).right for one in alone)


def test_many_positions_are_searched_at_once_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_module, "MOST_AT_ONCE", 8)
    evaluators: list[NetLikeEvaluator] = []
    told: list[int] = []

    def evaluator_for(game: Game, pool: PoolShape) -> NetLikeEvaluator:
        evaluators.append(NetLikeEvaluator(game, 0.1))
        return evaluators[-1]

    positions = [p for pair in zip(_solved(3, 12, 4), _solved(4, 12, 5), strict=True) for p in pair]
    score_positions(positions, evaluator_for, SEARCH, on_progress=told.append)
    assert told == [8, 12, 20, 24]
    assert [evaluator.game.board_size for evaluator in evaluators] == [3, 4]
    assert max(evaluators[0].batches) == 8


def test_no_position_with_winning_moves() -> None:
    result = _score([SolvedPosition(1, 3, (), 1, frozenset())])
    assert result.search_move_share == (0, 0, None, 0.0, 1.0)


def test_wilson_interval_known_values() -> None:
    # 81 of 263: the example of Newcombe 1998, table I
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_solves_its_equation(case: tuple[int, int]) -> None:
    right, total = case
    share = make_share(right, total)
    assert share.share is not None
    assert 0 <= share.low <= share.share <= share.high <= 1
    for bound in (share.low, share.high):
        if 0 < bound < 1:
            assert abs(share.share - bound) == pytest.approx(
                1.959964 * math.sqrt(bound * (1 - bound) / total), rel=1e-6, abs=1e-9
            )
