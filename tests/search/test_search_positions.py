from __future__ import annotations

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_evaluate
from hexpipe.config import SearchSettings
from hexpipe.games.hex import Hex
from hexpipe.search.evaluator import Evaluation
from hexpipe.search.mcts import search_positions

GAME = Hex(4)
SETTINGS = SearchSettings.model_validate({"num_simulations": 50, "early_stop": False, "leaves_per_game": 1})
MOVE_LISTS = [[], [5], [0, 15, 3], [6, 9], [1, 2, 4, 8, 10]]


class HashEvaluator:
    """Priors and values from a hash of the position."""

    def submit(self, group: int, codes: np.ndarray, moves: None = None) -> None:
        self.codes = codes.copy()

    def collect(self, group: int) -> Evaluation:
        priors = np.zeros((len(self.codes), 16), np.float32)
        values = np.zeros((len(self.codes), 2), np.float32)
        hash_evaluate(self.codes, priors, values)
        return Evaluation(Answers(priors, values), 0)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_results_are_of_the_positions_asked_for(root: str) -> None:
    settings = SETTINGS.model_copy(update={"root": root, "gumbel_scale": 0.0})
    results = search_positions(GAME, MOVE_LISTS, HashEvaluator(), settings, seed=0)
    for g, moves in enumerate(MOVE_LISTS):
        assert results.visit_counts[g].sum() == 50
        assert not results.visit_counts[g, moves].any()
        assert results.visit_counts[g, results.actions[g]] > 0
        # the net alone, asked directly; codes and priors are in the mover's frame, values relative to the mover
        states = GAME.play(moves)
        codes = np.zeros((1, 16), np.int8)
        GAME.codes(states, np.zeros(1, np.int32), codes)
        evaluator = HashEvaluator()
        evaluator.submit(0, codes)
        net = evaluator.collect(0).answers
        view, seat = int(states.view[0]), int(states.to_move[0])
        legal = states.cells[0] == 0
        np.testing.assert_allclose(
            results.net_priors[g][legal], net.priors[0][GAME.action_view[view]][legal], rtol=1e-5, atol=1e-7
        )
        assert (results.net_priors[g][~legal] == -1).all()
        np.testing.assert_allclose(results.net_values[g], net.values[0][[seat, 1 - seat]], rtol=1e-6)
        own = results.root_values[g, seat]
        assert abs(own) <= 1
        assert results.root_values[g].sum() == pytest.approx(0, abs=1e-5)


def test_company_and_repetition_change_nothing() -> None:
    together = search_positions(GAME, MOVE_LISTS, HashEvaluator(), SETTINGS, seed=0)
    again = search_positions(GAME, MOVE_LISTS, HashEvaluator(), SETTINGS, seed=9)
    for name, array in together._asdict().items():
        np.testing.assert_array_equal(array, getattr(again, name))
    for g, moves in enumerate(MOVE_LISTS):
        alone = search_positions(GAME, [moves], HashEvaluator(), SETTINGS, seed=0)
        np.testing.assert_array_equal(alone.visit_counts[0], together.visit_counts[g])


def test_a_finished_game_is_refused() -> None:
    with pytest.raises(ValueError, match="over"):
        search_positions(GAME, [[0, 1, 4, 2, 8, 3, 12]], HashEvaluator(), SETTINGS, seed=0)


def test_no_position_is_refused() -> None:
    with pytest.raises(ValueError, match="no position"):
        search_positions(GAME, [], HashEvaluator(), SETTINGS, seed=0)
