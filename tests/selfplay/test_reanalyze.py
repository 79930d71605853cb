"""Old games searched anew, against one search of each prefix, for games of all kinds, both roots and both models."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from hexpipe.config import Settings, load_settings
from hexpipe.errors import InferenceError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game, moves_view
from hexpipe.records import GameRecord, pack_policies
from hexpipe.search.evaluator import Evaluation, Evaluator
from hexpipe.search.mcts import Mcts, RootResults, nodes_per_game, search_positions
from hexpipe.selfplay.reanalyze import OldGame, Reanalysis
from tests.selfplay.evaluators import LosingLatents
from tests.selfplay.old_games import HashEvaluator, random_old_game

GAMES: dict[str, dict[str, Any]] = {
    "hex": {"game.board_size": 4, "game.swap": True},
    "inarow": {"game.name": "inarow", "game.board_size": 3},
    "views": {"game.name": "inarow", "game.board_size": 7, "game.view_size": 5, "game.players": 3},
    "othello": {"game.name": "othello", "game.board_size": 4},
    "breakthrough": {"game.name": "breakthrough", "game.board_size": 4, "game.board_width": 3},
    "go": {"game.name": "go", "game.board_size": 3},
}
SEARCHES: dict[str, dict[str, Any]] = {
    "puct": {"search.root": "puct"},
    "puct, whole searches": {"search.root": "puct", "search.early_stop": False, "search.solver": False},
    "gumbel": {"search.root": "gumbel"},
    "learned": {"search.root": "puct", "algorithm": "muzero"},
    "learned, gumbel": {"search.root": "gumbel", "algorithm": "muzero"},
    "scheduled": {
        "search.root": "puct",
        "search.phase_simulations": (6, 12, 9),
        "search.phase_plies": (2, 5),
        "selfplay.temperature_late": 0.5,
        "selfplay.policy_temperature": 0.5,
    },
}


def settings_for(game: str, search: str = "puct", **options: Any) -> Settings:
    small = {
        "search.num_simulations": 12,
        "search.leaves_per_game": 2,
        "selfplay.games_per_worker": 10,
        "selfplay.temperature_plies": 3,
    }
    return load_settings("quick", {**small, **GAMES[game], **SEARCHES[search], **options})


def evaluator_for(game: Game, settings: Settings) -> HashEvaluator:
    return HashEvaluator(game, settings.selfplay.games_per_worker * nodes_per_game(settings.search, learned=True))


class Run:
    """A Reanalysis of games that are all at hand."""

    def __init__(self, settings: Settings, records: list[GameRecord], evaluator: Evaluator | None = None) -> None:
        self.game = make_game(settings.game)
        self.evaluator = evaluator or evaluator_for(self.game, settings)
        self.waiting = deque(OldGame(10 + i, record) for i, record in enumerate(records))
        self.done: dict[int, GameRecord] = {}
        self.idle: list[int] = []
        self.reanalysis = Reanalysis(
            self.game, settings, self.evaluator, self.take, self.done.__setitem__, self.idle.append
        )

    def take(self) -> OldGame | None:
        return self.waiting.popleft() if self.waiting else None

    def finish(self) -> list[GameRecord]:
        while self.reanalysis.step():
            pass
        assert not self.waiting
        return [self.done[number] for number in sorted(self.done)]


def search_prefix(game: Game, settings: Settings, record: GameRecord, ply: int) -> RootResults:
    """One search, alone, of the position before ``ply``, with the policy to be learned from it; its moves are played by
    the rules in the record's views."""
    mcts = Mcts(game, 1, settings.search, np.random.default_rng(7), settings.algorithm == "muzero")
    only = np.zeros(1, np.int32)
    mcts.reset(only)
    row = mcts.root_rows(only)
    for before, action in enumerate(record.actions[: ply + 1].tolist()):
        if moves_view(game):
            mcts.states.origin[row] = record.origins[before]
        if before < ply:
            game.step(mcts.states, row, np.array([action], np.int32), row)
    assert mcts.states.to_move[row[0]] == record.seats[ply]
    evaluator = evaluator_for(game, settings)
    search, selfplay = settings.search, settings.selfplay
    simulations = None
    if search.phase_simulations is not None:
        phase = sum(ply >= start for start in search.phase_plies)
        simulations = np.array([search.phase_simulations[phase]], np.int32)
    may_stop = ply >= selfplay.temperature_plies and selfplay.temperature_late == 0
    mcts.begin(only, noise=False, may_stop=may_stop, simulations=simulations)
    while mcts.select():
        evaluator.submit(0, *mcts.request)
        mcts.update(evaluator.collect(0).answers)
    found = mcts.results(only)
    if selfplay.policy_temperature == 1:
        return found
    sharp = found.policy ** (1 / selfplay.policy_temperature)
    return found._replace(policy=sharp / sharp.sum())


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", GAMES)
def test_a_game_searched_anew_is_what_a_search_of_each_prefix_finds(name: str, search: str) -> None:
    settings = settings_for(name, search)
    game = make_game(settings.game)
    records = [random_old_game(game, seed, opening_plies=seed % 3) for seed in range(9)]
    run = Run(settings, records)
    for old, new in zip(records, run.finish(), strict=True):
        for same in ("actions", "seats", "views", "outcome", "origins"):
            np.testing.assert_array_equal(getattr(new, same), getattr(old, same))
        assert (new.opening_plies, new.opponents, new.win_length) == (old.opening_plies, 0, old.win_length)
        assert new.simulations == 12
        assert new.weights_version >= 1
        policies = np.zeros((old.num_plies, game.num_actions), np.float32)
        for ply in range(old.num_plies):
            if ply < old.opening_plies:
                policies[ply, old.actions[ply]] = 1
                assert not new.root_values[ply].any()
                continue
            found = search_prefix(game, settings, old, ply)
            policies[ply] = found.policy[0]
            np.testing.assert_array_equal(new.root_values[ply], found.root_values[0])
        offsets, packed = pack_policies(policies)
        np.testing.assert_array_equal(new.policy_offsets, offsets)
        np.testing.assert_array_equal(new.policy_bytes, packed)
        assert not np.array_equal(new.root_values, old.root_values)


def test_the_search_of_a_position_is_the_one_that_scores_and_plays() -> None:
    settings = settings_for("hex", "puct", **{"game.swap": False, "selfplay.temperature_plies": 0})
    game = make_game(settings.game)
    record = random_old_game(game, 5)
    (new,) = Run(settings, [record]).finish()
    prefixes = [record.actions[:ply].tolist() for ply in range(record.num_plies)]
    found = search_positions(game, prefixes, HashEvaluator(game), settings.search, seed=3)
    np.testing.assert_array_equal(new.root_values, found.root_values)


def test_plies_of_several_games_fill_the_batches() -> None:
    settings = settings_for("hex", "learned", **{"search.early_stop": False})
    game = make_game(settings.game)
    run = Run(settings, [random_old_game(game, seed) for seed in range(30)])
    positions = sum(old.record.num_positions for old in run.waiting)
    run.finish()
    # 5 trees with 2 leaves each in either group; roots are alone in their trees' first batch, and rounds have an end
    assert sum(run.evaluator.batches) == 13 * positions
    assert 0.75 * 10 < np.mean(run.evaluator.batches) <= 10


def test_groups_are_idle_when_they_say_so_and_go_on_with_what_comes() -> None:
    settings = settings_for("hex", "learned")
    game = make_game(settings.game)
    run = Run(settings, [random_old_game(game, seed) for seed in range(4)])
    assert len(run.finish()) == 4
    assert run.idle == [0], "four games are one group's; the other never began"
    assert not run.reanalysis.step()
    run.waiting.extend(OldGame(20 + seed, random_old_game(game, seed)) for seed in range(10))
    assert len(run.finish()) == 14
    assert sorted(run.idle) == [0, 0, 0, 1], "eight at once, then the last two"
    twice = [run.done[20 + seed].to_bytes() for seed in range(3)]
    for first, second in zip((run.done[10 + seed] for seed in range(3)), twice, strict=True):
        again = GameRecord.from_bytes(second)
        np.testing.assert_array_equal(again.root_values, first.root_values)
        assert again.weights_version > first.weights_version


def test_the_version_is_that_of_the_oldest_weights() -> None:
    settings = settings_for("inarow", "puct")
    (record,) = Run(settings, [random_old_game(make_game(settings.game), 0)]).finish()
    # its weights are newer with each batch: a dozen simulations of a position, two at a time, take some
    assert 2 <= record.weights_version <= 8


def test_what_a_server_lost_is_searched_again_and_found_the_same() -> None:
    settings = settings_for("hex", "learned")
    game = make_game(settings.game)
    records = [random_old_game(game, seed) for seed in range(8)]
    found = {}
    for every in (10**9, 31):
        evaluator = LosingLatents(game, 3, every)
        found[every] = Run(settings, records, evaluator).finish()
    assert evaluator.lost > 3
    for whole, lost in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(lost.root_values, whole.root_values)
        np.testing.assert_array_equal(lost.policy_bytes, whole.policy_bytes)


def test_an_evaluators_error_comes_through() -> None:
    settings = settings_for("hex")
    game = make_game(settings.game)

    class Gone(HashEvaluator):
        def collect(self, group: int) -> Evaluation:
            raise InferenceError("the server has gone")

    with pytest.raises(InferenceError, match="gone"):
        Run(settings, [random_old_game(game, 0)], Gone(game)).finish()
