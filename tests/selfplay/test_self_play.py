"""Self-play's records against the rules, for two games, both roots, with and without what can be switched on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.config import Settings, load_settings
from hexpipe.errors import InferenceError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from hexpipe.records import GameRecord, unpack_policies
from hexpipe.search.evaluator import Evaluation
from hexpipe.selfplay.self_play import SelfPlay
from tests.refusals import refused
from tests.search import reference
from tests.search.toys import Bandit, HalvesGame
from tests.selfplay.evaluators import LosingLatents


class CountingEvaluator:
    """Answers from a hash, counts what it is asked, and calls its weights newer with every batch."""

    def __init__(self, evaluate: reference.Evaluate, most: int = 10**9) -> None:
        self.evaluate, self.most = evaluate, most
        self.waiting: dict[int, np.ndarray] = {}
        self.positions = self.batches = 0

    def submit(self, group: int, codes: np.ndarray, moves: None = None) -> None:
        assert group not in self.waiting
        assert len(codes) > 0
        self.waiting[group] = codes.copy()

    def collect(self, group: int) -> Evaluation:
        codes = self.waiting.pop(group)
        self.positions += len(codes)
        self.batches += 1
        if self.batches > self.most:
            raise InferenceError("the server has gone")
        return Evaluation(reference.evaluate_batch(self.evaluate, codes), self.batches)


def small_settings(**options: Any) -> Settings:
    defaults = {
        "search.root": "puct",
        "search.num_simulations": 12,
        "search.leaves_per_game": 2,
        "selfplay.games_per_worker": 6,
        "selfplay.temperature_plies": 10,
        "selfplay.opening_random_plies": 0,
    }
    return load_settings("quick", {**defaults, **options})


def play(game: Game, settings: Settings, seed: int, count: int) -> tuple[list[GameRecord], SelfPlay]:
    """At least ``count`` records."""
    records: list[GameRecord] = []
    evaluator = CountingEvaluator(reference.hash_evaluator(game, 3))
    selfplay = SelfPlay(game, settings, evaluator, seed, records.append)
    assert selfplay.max_leaves == 3 * settings.search.leaves_per_game
    while len(records) < count:
        selfplay.step()
        for group in selfplay._groups:
            assert (group.mcts.tree.num_nodes <= group.mcts.num_nodes).all()
    under_way = sum(len(codes) for codes in evaluator.waiting.values())
    assert selfplay.stats.evaluations == evaluator.positions + under_way
    return records, selfplay


def assert_legal(game: Game, record: GameRecord) -> None:
    """Replay a record by the rules and compare all that it says."""
    states, row = game.new_states(1), np.zeros(1, np.int32)
    legal = np.zeros((1, game.num_actions), np.bool_)
    policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
    assert policies.sum(1) == pytest.approx(np.ones(record.num_plies), abs=1e-5)
    for ply, action in enumerate(record.actions.tolist()):
        assert states.winner[0] < 0
        assert (record.seats[ply], record.views[ply]) == (states.to_move[0], states.view[0])
        game.legal_mask(states, row, legal)
        assert legal[0, action]
        assert not policies[ply, ~legal[0]].any()
        game.step(states, row, np.array([action], np.int32), row)
    outcome = np.zeros((1, game.num_seats), np.float32)
    game.terminal_values(states, row, outcome)
    assert record.outcome.tolist() == outcome[0].tolist()
    assert states.winner[0] >= 0
    assert (record.game, record.board_size, record.swap) == (game.name, game.board_size, game.swap)
    assert GameRecord.from_bytes(record.to_bytes()).to_bytes() == record.to_bytes()


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "no reuse": {"search.reuse_tree": False},
    "gumbel": {"search.root": "gumbel"},
    "gumbel, no reuse": {"search.root": "gumbel", "search.reuse_tree": False, "search.solver": False},
    "no solver": {"search.solver": False},
    "opening": {"selfplay.opening_random_plies": 4},
    "no temperature": {"selfplay.temperature_plies": 0},
    "no early stop": {"search.early_stop": False, "search.leaves_per_game": 1},
}


@pytest.mark.parametrize(("root", "share"), [("puct", 1.0), ("gumbel", 1.0), ("gumbel", 0.5)])
def test_a_game_may_end_once_it_is_proven(root: str, share: float) -> None:
    options = {"search.root": root, "search.num_simulations": 200, "selfplay.opening_random_plies": 5}
    settings = small_settings(**options, **{"selfplay.stop_when_proven": share})
    records, _ = play(Hex(4), settings, seed=1, count=40)
    solver, won_early = HexSolver(4), 0
    for record in records:
        states = Hex(4).play(record.actions.tolist())
        if states.winner[0] < 0:
            won_early += 1
            view = int(states.view[0])  # of who moves next; without a swap that is the seat
            black_wins = (solver.value(states.cells[0], view) == 1) == (view == 0)
            assert record.outcome.tolist() == ([1, -1] if black_wins else [-1, 1])
            assert record.root_values[-1].tolist() == record.outcome.tolist()
        else:
            assert record.outcome.tolist() == [[1, -1], [-1, 1]][int(states.winner[0])]
    assert won_early > 10 * share - 1
    assert won_early < len(records) or share == 1
    whole, _ = play(Hex(4), small_settings(**options), seed=1, count=40)
    assert np.mean([r.num_plies for r in records]) < np.mean([r.num_plies for r in whole]) - 0.5


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    "game", [Hex(3), Hex(4, swap=True), HalvesGame(3, 5, 4)], ids=["hex3", "hex4-swap", "three-seats"]
)
def test_records(game: Game, name: str) -> None:
    settings = small_settings(**OPTIONS[name])
    records, selfplay = play(game, settings, 0, 10)
    for record in records:
        assert_legal(game, record)
        assert record.simulations == 12
        assert record.weights_version >= 1
    assert selfplay.stats.games == len(records)
    assert selfplay.stats.moves >= sum(record.num_positions for record in records)
    assert (max(record.opening_plies for record in records) > 0) == (name == "opening")
    assert len({record.to_bytes() for record in records}) > 3
    if not settings.search.reuse_tree and settings.search.root == "gumbel":
        # every move costs all its simulations; those of searches under way are counted too
        moves = selfplay.stats.moves
        assert 12 * moves <= selfplay.stats.simulations <= 12 * (moves + 6)

    again, _ = play(game, settings, 0, 10)
    assert [record.to_bytes() for record in again] == [record.to_bytes() for record in records]
    other, _ = play(game, settings, 1, 10)
    assert [record.to_bytes() for record in other] != [record.to_bytes() for record in records]


def test_moves_follow_the_policy() -> None:
    """After the opening plies the most visited move is played, in them any move with visits."""
    game = Hex(4)
    records, _ = play(game, small_settings(**{"selfplay.temperature_plies": 3}), 0, 30)
    followed = []
    for record in records:
        policies = unpack_policies(record.policy_offsets, record.policy_bytes, 16)
        for ply, action in enumerate(record.actions):
            is_best = policies[ply, action] == policies[ply].max()
            assert policies[ply, action] > 0
            assert is_best or ply < 3
            if ply < 3:
                followed.append(bool(is_best))
    assert 0.2 < np.mean(followed) < 0.95


def test_root_values_are_those_of_the_seats() -> None:
    """Where the mover has a winning move at hand, its seat's value is near 1 once that move has been found."""
    game = Bandit(4, winning=2)
    settings = small_settings(**{"search.num_simulations": 100, "search.early_stop": False})
    records, _ = play(game, settings, 0, 12)
    for record in records:
        assert record.root_values.shape == (1, 2)
        assert record.root_values[0, 0] > 0.5
        assert record.root_values[0, 1] < -0.5
        assert record.outcome.tolist() == ([1, -1] if record.actions[0] == 2 else [-1, 1])


def test_random_openings() -> None:
    """0 to 4 uniform plies without a search, after which good moves follow; all of them are in the record."""
    game = Hex(5)
    priors = np.zeros(25, np.float32)
    priors[24] = 1  # a net that always wants e5, or else whatever comes first
    evaluator = CountingEvaluator(lambda codes: (np.where(codes == 0, priors + 1e-6, 0), np.zeros(2, np.float32)))
    options = {"selfplay.opening_random_plies": 4, "selfplay.temperature_plies": 0, "search.dirichlet_fraction": 0}
    records: list[GameRecord] = []
    selfplay = SelfPlay(game, small_settings(**options), evaluator, 0, records.append)
    while len(records) < 100:
        selfplay.step()
    lengths = np.bincount([record.opening_plies for record in records], minlength=5)
    assert len(lengths) == 5
    assert lengths.min() > 100 / 5 / 3
    opening = [int(action) for record in records for action in record.actions[: record.opening_plies]]
    assert len(set(opening)) == 25
    assert max(np.bincount(opening)) < 0.12 * len(opening)
    for record in records:
        policies = unpack_policies(record.policy_offsets, record.policy_bytes, 25)
        first = record.opening_plies
        assert (policies[:first].argmax(1) == record.actions[:first]).all()
        assert (policies[:first].max(1, initial=1) == 1).all()
        if 24 not in record.actions[:first]:
            assert record.actions[first] == 24


def test_a_game_past_the_step_cap_is_nobodys() -> None:
    game = Hex(4)
    records, _ = play(game, small_settings(**{"selfplay.max_game_plies": 5}), 0, 10)
    for record in records:
        assert record.num_plies == 5
        assert record.outcome.tolist() == [0, 0]
        game.play(record.actions.tolist())


@pytest.mark.parametrize("draws", ["ranked", "shared"])
def test_a_game_of_three_past_the_step_cap_is_a_draw(draws: str) -> None:
    """Its places are those of the longest chains, where draws have places."""
    rules = {"name": "inarow", "board_size": 9, "players": 3, "win_length": 7, "draws": draws}
    settings = small_settings(
        **{f"game.{name}": value for name, value in rules.items()}, **{"selfplay.max_game_plies": 19}
    )
    game = make_game(settings.game)
    capped = make_game(settings.game.model_copy(update={"move_cap": 19}))
    records, _ = play(game, settings, 0, 10)
    outcomes = []
    for record in records:
        assert record.num_plies == 19
        drawn, outcome = capped.play(record.actions.tolist()), np.zeros((1, 3), np.float32)
        capped.terminal_values(drawn, np.zeros(1, np.int32), outcome)
        np.testing.assert_array_equal(record.outcome, outcome[0])
        outcomes.append(record.outcome)
    assert np.any(outcomes) == (draws == "ranked")


def test_weights_version_is_that_of_the_first_move() -> None:
    records, _ = play(Hex(3), small_settings(), 0, 30)
    versions = [record.weights_version for record in records]
    # twelve simulations in batches of two and the root take a few batches; games follow one another
    assert min(versions) >= 4
    assert len(set(versions)) > 3


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_searches_that_a_server_lost_begin_again(root: str) -> None:
    game = Hex(4)
    settings = small_settings(algorithm="muzero", **{"search.root": root})
    evaluator = LosingLatents(game, 3, every=31)
    records: list[GameRecord] = []
    selfplay = SelfPlay(game, settings, evaluator, 5, records.append)
    while len(records) < 12:
        selfplay.step()
    assert evaluator.lost > 5
    for record in records:
        assert_legal(game, record)
        assert record.simulations == 12


def test_an_evaluators_error_comes_through() -> None:
    game = Hex(3)
    evaluator = CountingEvaluator(reference.hash_evaluator(game, 0), most=5)
    selfplay = SelfPlay(game, small_settings(), evaluator, 0, lambda record: None)
    for _ in range(2 + 5):  # each group's first turn has nothing to collect
        selfplay.step()
    with pytest.raises(InferenceError, match="gone"):
        selfplay.step()


def test_unusable_weights_come_through() -> None:
    game = Hex(3)
    broken = np.full(9, np.nan, np.float32)
    evaluator = CountingEvaluator(lambda codes: (broken, np.zeros(2, np.float32)))
    selfplay = SelfPlay(game, small_settings(), evaluator, 0, lambda record: None)
    selfplay.step()
    selfplay.step()
    with refused(InferenceError, "leaf 0", kind="damaged"):
        selfplay.step()
